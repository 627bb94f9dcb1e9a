"""Light curves of other telescopes, with all that is odd in them: a clear error or honest rows."""

import numpy as np
import pandas as pd
import pytest
import yaml

import find_ese_candidates
import measure_variability
from contimg import Source
from contimg.checkout import CHECKOUT
from contimg.light_curve_options import search_options
from contimg.light_curve_tables import read_light_curves
from contimg.schemas import VARIABILITY
from contimg.status import InputError
from contimg.tables import check_schema, read_table

ROWS = {
    "source_id": ["b", "a", "a", "a", "b"],
    "mjd": [60003.0, 60100.5, 60000.25, 60001.25, 60001.0],
    "flux_jy": [1.0, 2.0, 2.2, 1.8, 1.2],
    "flux_err_jy": [0.1, 0.2, 0.1, 0.3, 0.1],
}


def measured(tmp_path, table, options=None, kind="csv"):
    path = tmp_path / f"theirs.{kind}"
    if kind == "csv":
        pd.DataFrame(table).to_csv(path, index=False)
    else:
        pd.DataFrame(table).to_parquet(path)
    measure_variability.main(lightcurves=path, output=tmp_path / "v.parquet", options=options)
    found, about = read_table(tmp_path / "v.parquet")
    check_schema(found, VARIABILITY)
    return found.set_index("source_id"), about


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_order_gaps_and_unequal_errors_are_fine(tmp_path, kind):
    found, about = measured(tmp_path, ROWS, kind=kind)
    assert found.index.tolist() == ["a", "b"] and found.n_epochs.tolist() == [3, 2]
    assert found.first_mjd.tolist() == [60000.25, 60001.0]
    weights = np.array([0.2, 0.1, 0.3]) ** -2
    assert found.wmean_jy["a"] == pytest.approx(np.average([2.0, 2.2, 1.8], weights=weights))
    assert found[["ra_deg", "ese_llr", "ese_false_alarm"]].isna().all(axis=None)
    assert about["rows"] == {"used": 5, "limits": 0, "left_out": 0}


def test_sentinels_infinities_and_errors_of_zero_are_left_out_and_counted(tmp_path):
    odd = pd.DataFrame(
        {
            "source_id": "a",
            "mjd": 60010.0 + np.arange(6),
            "flux_jy": [-99, -999, np.nan, np.inf, 1.0, 1.0],
            "flux_err_jy": [0.1, 0.1, 0.1, 0.1, 0.0, -99],
        }
    )
    table = pd.concat([pd.DataFrame(ROWS), odd])
    found, about = measured(tmp_path, table, {"sentinels": [-99, -999]})
    clean, _ = measured(tmp_path, ROWS)
    pd.testing.assert_frame_equal(found, clean)
    assert about["rows"] == {"used": 5, "limits": 0, "left_out": 6}


def test_an_error_that_is_a_sentinel_takes_its_flux_with_it(tmp_path):
    table = {**ROWS, "flux_err_jy": [0.1, 0.2, 999.0, 0.3, 0.1]}
    assert measured(tmp_path, table, {"sentinels": [999]})[0].n_epochs["a"] == 2


def test_a_sentinel_that_was_forgotten_is_told_beside_the_others(tmp_path, caplog):
    table = {**ROWS, "flux_jy": [1.0, -99.0, 1e30, 1.8, 9999.0]}
    found, _ = measured(tmp_path, table, {"sentinels": [-99]})
    assert found.n_epochs.tolist() == [2, 2]
    assert "flux_jy is [9999.0, 1e+30] in 2 rows" in caplog.text
    assert '{"sentinels": [-99, 9999.0, 1e+30]}' in caplog.text


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sentinel": [-99]}, "options: sentinel: unknown key; did you mean sentinels?"),
        ({"sentinels": -99}, "options: sentinels: -99 found, a list expected"),
        ({"sentinels": ["-99"]}, "options: sentinels.0: '-99' found, a number expected"),
        ({"min_vs": "high"}, "options: min_vs: 'high' found, a number expected"),
        ({"ese": {"min_epoch": 5}}, "options: min_epoch: unknown key; did you mean min_epochs?"),
        ({"ese": {"min_epochs": 5}}, "options: min_epochs: 5 found, at least 8 expected"),
        ({"ese": {"min_fwhm_days": 200}}, "min_fwhm_days: 200 found, at most max_fwhm_days (180)"),
        ("options.json", "options: 'options.json' found, keys with values expected"),
    ],
)
def test_an_option_that_cannot_be_meant_is_no_silence(tmp_path, options, told):
    with pytest.raises(InputError) as error:
        measured(tmp_path, ROWS, options)
    assert told in str(error.value)


def test_other_names_of_columns_are_told_with_what_was_found(tmp_path):
    table = pd.DataFrame(ROWS).rename(columns=str.upper)
    with pytest.raises(InputError, match="found SOURCE_ID, MJD, FLUX_JY, FLUX_ERR_JY; needed"):
        measured(tmp_path, table)


def test_dates_are_told_how_they_become_mjd(tmp_path):
    days = pd.to_datetime(np.array(ROWS["mjd"]) - 40587, unit="D", utc=True)
    with pytest.raises(InputError, match=r"mjd of row 1 is '20.*convert dates to MJD"):
        measured(tmp_path, {**ROWS, "mjd": days.strftime("%Y-%m-%dT%H:%M:%SZ")})
    for dates in (days, days.tz_localize(None)):
        with pytest.raises(InputError, match=r"mjd holds dates.*convert dates to MJD"):
            measured(tmp_path, {**ROWS, "mjd": dates}, kind="parquet")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("source_id;mjd;flux_jy;flux_err_jy\na;6;1;1\n", "separate the columns by commas"),
        ("source_id,mjd,flux_jy,flux_err_jy\na,60000,25,1,003,0,01\n", "row 1 has 7 fields, the"),
        ("source_id,mjd,flux_jy,flux_err_jy\na,6,1,1\na,7,1,1,9\n", "in line 3, saw 5; write"),
        ("source_id,mjd,flux_jy,flux_err_jy\né,6,1,1\n", "not UTF-8 text"),
    ],
)
def test_text_that_is_none_of_commas_and_points_is_refused(tmp_path, text, told):
    """With a decimal comma the fraction of the day was the flux."""
    (tmp_path / "theirs.csv").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=told):
        measure_variability.main(lightcurves=tmp_path / "theirs.csv", output=tmp_path / "v.parquet")


def test_spaces_commas_at_the_ends_and_other_columns_do_no_harm(tmp_path):
    text = "source_id, mjd, flux_jy, flux_err_jy, note\na, 6, 1, 0.1, x,\na, 7, 2, 0.1, 'y z',\n"
    (tmp_path / "theirs.CSV").write_text(text)
    measure_variability.main(lightcurves=tmp_path / "theirs.CSV", output=tmp_path / "v.parquet")
    (row,) = read_table(tmp_path / "v.parquet")[0].to_dict("records")
    assert (row["source_id"], row["n_epochs"], row["mean_jy"]) == ("a", 2, 1.5)


def test_a_frequency_in_mhz_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"freq_hz 1400\.0 found \(5 such rows\).*convert to Hz"):
        measured(tmp_path, {**ROWS, "freq_hz": 1400.0})


def test_a_result_that_would_not_be_what_its_name_says_is_refused(tmp_path):
    pd.DataFrame(ROWS).to_csv(tmp_path / "theirs.csv", index=False)
    with pytest.raises(InputError, match=r"v\.csv: the result is a parquet table"):
        measure_variability.main(lightcurves=tmp_path / "theirs.csv", output=tmp_path / "v.csv")


def test_the_options_of_the_configuration_are_all_known():
    ese = yaml.safe_load((CHECKOUT / "config" / "config.yaml").read_text())["ese"]
    assert search_options(ese) == ese


def test_what_looks_like_a_sentinel_is_told(tmp_path, caplog):
    measured(tmp_path, {**ROWS, "flux_jy": [1.0, -99.0, 2.2, 1.8, 1.2]})
    assert "if that stands for no value" in caplog.text and "[-99.0]" in caplog.text


def test_an_error_that_looks_like_a_sentinel_is_told(tmp_path, caplog):
    measured(tmp_path, {**ROWS, "flux_err_jy": [0.1, 999.0, 0.1, 0.3, 0.1]})
    assert "flux_err_jy is [999.0] in 1 rows" in caplog.text


def test_words_of_status_that_leave_out_every_row_are_told(tmp_path, caplog):
    measured(tmp_path, {**ROWS, "status": ["good", "ok", "bad", "bad", "bad"]})
    assert not caplog.records
    found, _ = measured(tmp_path, {**ROWS, "status": ["good", "bad", "good", "good", "good"]})
    assert found.n_epochs.tolist() == [0, 0]
    (record,) = caplog.records
    assert "theirs.csv: no row is usable: status is bad, good, used are ok and unnormalised" in (
        record.getMessage()
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"flux_jy": np.nan}, "no row is usable: 5 found, none with a time, a flux and an error"),
        ({"flux_err_jy": 0.0}, "no row is usable"),
        ({"mjd": np.nan}, "no row is usable"),
        ({"upper_limit": True}, "none of 2 sources could be searched; the first, a: too few"),
        (
            {"source_id": list("abcde")},
            "none of 5 sources could be searched; the first, a",
        ),
        ({"source_id": list("abcde"), "freq_hz": 1.4e9, "upper_limit": True}, "could be searched"),
    ],
)
def test_what_holds_nothing_to_search_gives_honest_rows_and_no_warning_of_numpy(
    tmp_path, caplog, change, told
):
    """All NaN, one epoch a source, limits only: each source has its row and its picture."""
    table = pd.DataFrame(ROWS).assign(**change)
    found, about = measured(tmp_path, table)
    path = tmp_path / "theirs.csv"
    find_ese_candidates.main(lightcurves=path, output=tmp_path / "c.parquet")
    candidates, searched = read_table(tmp_path / "c.parquet")
    assert len(candidates) == 0 and searched["n_searched"] == 0
    assert told in caplog.text and "theirs.csv" in caplog.text
    assert sorted(found.index) == sorted(set(table.source_id))
    assert sum(about["rows"].values()) == 5
    for source_id in found.index:
        source = Source(source_id, lightcurves=path)
        assert source.metrics().n_epochs == source.n_epochs == found.n_epochs[source_id]
        source.lightcurve()


def test_a_table_of_a_header_only_is_told(tmp_path, caplog):
    measured(tmp_path, pd.DataFrame(ROWS)[:0])
    (record,) = caplog.records
    assert record.getMessage().endswith("theirs.csv: no rows found, one a source and time expected")


def test_days_that_are_no_mjd_are_refused(tmp_path):
    julian = {**ROWS, "mjd": np.array(ROWS["mjd"]) + 2400000.5}
    message = r"theirs\.csv: mjd 2460003\.5 found \(5 such rows\), MJD .*; subtract 2400000\.5"
    with pytest.raises(ValueError, match=message):
        measured(tmp_path, julian)
    with pytest.raises(ValueError, match=r"mjd -1\.0 found \(1 such rows\), MJD from 0 to 200000"):
        measured(tmp_path, {**ROWS, "mjd": [60003.0, -1.0, np.nan, np.inf, 60001.0]})
    measured(tmp_path, {**ROWS, "mjd": [60003.0, 1.0, np.nan, np.inf, 60001.0]})


def test_a_source_without_usable_flux_is_a_row_of_none(tmp_path):
    row = measured(tmp_path, {**ROWS, "flux_jy": [np.nan, 2.0, 2.2, 1.8, np.nan]})[0].loc["b"]
    assert row.n_epochs == 0 and np.isnan(row.mean_jy) and np.isnan(row.pair_p)


def test_a_table_without_rows_gives_one_without_rows(tmp_path):
    for kind in ("csv", "parquet"):
        empty = pd.DataFrame(ROWS)[:0].astype({"source_id": object})
        assert len(measured(tmp_path, empty, kind=kind)[0]) == 0


def test_positions_that_are_missing_stay_missing_and_others_are_found(tmp_path):
    table = {**ROWS, "ra_deg": [np.nan, 10, np.nan, 10, np.nan], "dec_deg": [np.nan] * 5}
    found, _ = measured(tmp_path, table)
    assert found.ra_deg["a"] == 10 and np.isnan(found.ra_deg["b"]) and found.dec_deg.isna().all()


def test_one_frequency_one_row(tmp_path):
    both = pd.concat([pd.DataFrame(ROWS).assign(freq_hz=f) for f in (1.4e9, 3e9)])
    found, _ = measured(tmp_path, both)
    assert found.index.tolist() == ["a", "a", "b", "b"]
    assert found.freq_hz.tolist() == [1.4e9, 3e9] * 2
    alone, _ = measured(tmp_path, ROWS)
    pd.testing.assert_frame_equal(found[found.freq_hz == 3e9].drop(columns="freq_hz"), alone)


def test_rows_without_a_frequency_are_left_out_where_other_rows_of_the_source_have_one(
    tmp_path, caplog
):
    table = {**ROWS, "freq_hz": [np.nan, 1.4e9, np.nan, 1.4e9, np.nan]}
    found, about = measured(tmp_path, table)
    assert found.index.tolist() == ["a", "b"] and found.n_epochs.tolist() == [2, 2]
    assert found.freq_hz["a"] == 1.4e9 and np.isnan(found.freq_hz["b"])
    assert about["rows"] == {"used": 4, "limits": 0, "left_out": 1}
    assert "theirs.csv: 1 rows without freq_hz are left out (the first of a)" in caplog.text
    both = pd.DataFrame(table).assign(subband=[-1, 0, -1, 0, -1])
    assert measured(tmp_path, both)[0].n_epochs.sum() == 5, "a band of its own needs no frequency"


def test_the_same_time_twice_names_source_and_time(tmp_path):
    table = {**ROWS, "mjd": [60003.0, 60001.25, 60000.25, 60001.25, 60001.0]}
    with pytest.raises(
        ValueError, match=r"theirs\.csv: source a is measured twice at MJD 60001.25"
    ):
        measured(tmp_path, table)
    measured(tmp_path, {**table, "flux_jy": [1.0, np.nan, 2.2, 1.8, 1.2]})  # one has no flux
    measured(tmp_path, {**table, "freq_hz": [1e9, 1e9, 2e9, 2e9, 2e9]})


def test_limits_are_no_epochs_but_count_for_the_mean(tmp_path):
    limits = ["false", "true", "false", "0", "1"]
    found, about = measured(tmp_path, {**ROWS, "upper_limit": limits})
    assert found.n_epochs.tolist() == [2, 1] and found.n_limits.tolist() == [1, 1]
    plain = np.average([2.2, 1.8], weights=[0.1**-2, 0.3**-2])
    assert found.wmean_jy["a"] == pytest.approx(plain)
    assert found.censored_mean_jy["a"] < plain
    assert np.isnan(found.mean_upper_jy["a"])
    assert about["rows"] == {"used": 3, "limits": 2, "left_out": 0}


def test_a_source_of_limits_only_has_a_bound_and_no_mean(tmp_path):
    row = measured(tmp_path, {**ROWS, "upper_limit": [True, False, False, False, True]})[0].loc["b"]
    assert row.n_epochs == 0 and row.n_limits == 2
    assert np.isnan([row.mean_jy, row.censored_mean_jy, row.eta]).all()
    assert 1.0 < row.mean_upper_jy < 1.0 + 1.645 * 0.1


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("flux_jy", ["1", "<0.5", "1", "1", "1"], r"flux_jy of row 2 is '<0.5', a number"),
        ("source_id", ["a", None, "b", "b", "c"], r"row 2 and 0 more have no source_id"),
        ("upper_limit", ["no", "yes", "perhaps", "no", "no"], r"upper_limit of row 3 is 'perhaps'"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, column, values, message):
    with pytest.raises(ValueError, match=message):
        measured(tmp_path, {**ROWS, column: values})


def test_files_that_are_no_tables_are_named(tmp_path):
    (tmp_path / "t.csv").write_text("")
    (tmp_path / "t.parquet").write_text("text")
    with pytest.raises(ValueError, match=r"t\.csv: empty"):
        read_light_curves(tmp_path / "t.csv")
    with pytest.raises(ValueError, match=r"t\.parquet: not a readable parquet"):
        read_light_curves(tmp_path / "t.parquet")


def test_numbers_serve_as_names(tmp_path):
    found, _ = measured(tmp_path, {**ROWS, "source_id": [7, 12, 12, 12, 7]}, kind="parquet")
    assert found.n_epochs.to_dict() == {"12": 3, "7": 2}


def test_the_search_and_its_false_alarms_are_copied_to_the_whole_band(tmp_path):
    path = tmp_path / "curves.parquet"
    bands = [pd.DataFrame(ROWS).assign(freq_hz=1.4e9 + 1e7 * b, subband=b) for b in (-1, 0)]
    pd.concat(bands).to_parquet(path)
    search = pd.DataFrame({"source_id": ["b", "a"], "ese_llr": [1.5, 20.0], "freq_hz": 1.39e9})
    search.to_parquet(tmp_path / "search.parquet")
    alarms = pd.DataFrame({"source_id": ["a"], "ese_false_alarm": [1e-4]})
    alarms.to_parquet(tmp_path / "alarms.parquet")
    measure_variability.main(
        lightcurves=path,
        output=tmp_path / "v.parquet",
        ese_search=tmp_path / "search.parquet",
        ese_false_alarms=tmp_path / "alarms.parquet",
    )
    found = read_table(tmp_path / "v.parquet")[0].set_index(["source_id", "subband"])
    assert found.ese_llr[:, -1].to_dict() == {"a": 20.0, "b": 1.5}
    assert found.ese_false_alarm["a", -1] == 1e-4 and np.isnan(found.ese_false_alarm["b", -1])
    assert found.ese_llr[:, 0].isna().all() and found.ese_false_alarm[:, 0].isna().all()


def test_without_a_whole_band_each_frequency_has_its_own_search():
    rows = [pd.DataFrame(ROWS).assign(freq_hz=f, subband=b) for b, f in enumerate((1.3e9, 1.4e9))]
    table = measure_variability.measure_variability(pd.concat(rows))
    search = pd.DataFrame(
        {"source_id": list("aabb"), "freq_hz": [1.3e9, 1.4e9] * 2, "ese_llr": [1.0, 2.0, 3.0, 4.0]}
    )
    found = measure_variability.with_ese_search(table, search, None)
    assert found.ese_llr.tolist() == [1.0, 2.0, 3.0, 4.0]


def test_two_rows_of_a_source_in_a_search_are_refused(tmp_path):
    pd.DataFrame(ROWS).to_parquet(tmp_path / "curves.parquet")
    pd.DataFrame({"source_id": ["a", "a"], "ese_llr": [1.0, 2.0]}).to_parquet(
        tmp_path / "s.parquet"
    )
    with pytest.raises(ValueError, match=r"table of ese_llr: source a has several rows"):
        measure_variability.main(
            lightcurves=tmp_path / "curves.parquet",
            output=tmp_path / "v.parquet",
            ese_search=tmp_path / "s.parquet",
        )
