"""Candidates are ranked and explained, and people's verdicts stand beside them."""

import re

import numpy as np
import pandas as pd
import pytest
from simulated_lenses import background, curves_of, epochs_of, trough
from simulated_photometry import Field
from simulated_subbands import curves, fluxes

import calibrate_false_alarms
import find_ese_candidates
import measure_variability
import search_ese
from contimg.annotations import read_annotations
from contimg.epochs import usable_epochs
from contimg.ese_candidates import explanation, find_candidates, reason, searched_epochs
from contimg.ese_search import search
from contimg.lightcurves import light_curves
from contimg.schemas import ESE_CANDIDATES
from contimg.status import InputError
from contimg.tables import check_schema, read_table

MJD = 60000 + 6.0 * np.arange(20)
QUICK = {"n_nulls": 100, "n_class": 50, "max_cadences": 1, "null_error_step": 9.0}


def alarms_of(searched):
    """Return false alarms of a tail about as nulls of a few per cent have it."""
    chance = np.minimum(1.0, 0.1 * np.exp(-(searched.ese_llr - 6) / 1.3))
    keys = [name for name in ("source_id", "freq_hz") if name in searched]
    return searched[keys].assign(
        ese_false_alarm=np.where(searched.template == "", 1.0, chance),
        ese_false_alarm_archive=1 - (1 - chance) ** len(searched),
        flipped_false_alarm=0.125,
    )


def candidates_of(epochs, verdicts=None, options=None):
    searched = search(epochs)
    sources = epochs.sources.assign(ese_score=0.5)
    told = read_annotations(None) if verdicts is None else verdicts
    return find_candidates(searched, alarms_of(searched), sources, told, options)


@pytest.fixture(scope="module")
def four():
    """Four sources: an event in the middle, a deeper one at the end, and two without."""
    rng = np.random.default_rng(0)
    flux = 1 + 0.02 * rng.normal(size=(4, 20))
    flux[1] *= trough(MJD, 0.8, MJD[-1], 50)
    flux[2] *= trough(MJD, 0.3, 60060, 30)
    return epochs_of(MJD, flux, 0.02)


@pytest.mark.parametrize("span_days", [60.0, 77.0, 90.0])
@pytest.mark.parametrize("seed", range(2))
def test_an_event_among_constant_sources_is_first_and_alone(seed, span_days):
    # A smooth dip in 12 epochs of S/N 20: slow variation of 10 % would do that once in 100.
    field = Field(n_sources=26, seed=seed, span_days=span_days, max_snr=50, gradient_scatter=0.01)
    number = 7 * seed + 3
    photometry = field.photometry(dip=(number, 0.3, 0.45 * span_days, 25))
    curves, *_ = light_curves(photometry, set(photometry.source_id))
    found = candidates_of(usable_epochs(curves), options={"max_false_alarm": 0.02})
    assert found.source_id.tolist() == [photometry.source_id[number]]
    assert found["rank"].tolist() == [1] and found.found_by.tolist() == ["search"]
    assert found.depth[0] == pytest.approx(0.3, abs=0.1)
    assert found.fwhm_days[0] == pytest.approx(25, abs=12)
    assert found.centre_mjd[0] == pytest.approx(60900.25 + 0.45 * span_days, abs=6)


def test_errors_too_small_flicker_and_flares_make_no_candidates():
    rng = np.random.default_rng(1)
    mjd = 60000 + np.arange(30) * 5.0
    days = mjd - mjd[0]
    flux = rng.normal(1, 0.03, (60, 30))
    flux[:15] = rng.normal(1, 0.045, (15, 30))
    flux[15:30] *= rng.normal(1, 0.1, (15, 30))
    flux[30:40] *= 1 + 0.5 * np.exp(-(((days - 80) / 12) ** 2))
    flux[40:50] *= 1 + 0.5 * np.where(days < 70, 0, np.exp(-(days - 70) / 25))
    flux[50:] += background(days, 10, rng, 0.05, 30)
    assert len(candidates_of(epochs_of(mjd, flux, 0.03))) == 0


def test_incomplete_events_come_after_complete_ones_whatever_their_probability(four):
    found = candidates_of(four)
    assert found.source_id.tolist() == ["s002", "s001"]
    assert found.incomplete.tolist() == [False, True]
    assert found.ese_false_alarm[1] <= found.ese_false_alarm[0]
    assert candidates_of(four, options={"max_false_alarm": 0.0}).empty


def test_verdicts_are_shown_and_move_nothing(four):
    verdicts = pd.DataFrame(
        [
            ("s001", "artefact", "Ann", "sidelobe"),
            ("s000", "Maybe, wait", "Ann", ""),
            ("s000", "no", "Bob", ""),
            ("s003", "constant", "Bob", ""),
        ],
        columns=["id", "verdict", "who", "note"],
    )
    found = candidates_of(four, verdicts)
    assert found.source_id.tolist() == ["s002", "s001", "s000"]
    assert found["rank"].tolist() == [1, 2, 3]
    assert found.found_by.tolist() == ["search", "search", "person"]
    assert found.verdict.tolist() == ["", "artefact", "Maybe, wait; no"]
    assert found.verdict_who[2] == "Ann; Bob" and found.verdict_note[1] == "sidelobe"
    told = found.iloc[2].to_dict()
    assert reason(told).startswith("flagged by a person: Maybe, wait; no (Ann; Bob); the search:")


def test_the_explanation_says_what_when_how_deep_and_against_what(four):
    found = candidates_of(four).to_dict("records")
    assert "flux fell by 2" in reason(found[0]) and "chance" in reason(found[0])
    text = explanation(found[0], 4)
    for said in (
        "of 20 epochs in the dip",
        "on both sides",
        "plasma of strength",
        "Without an event: a ",
        "one of the 4 that were searched",
        "upside down",
    ):
        assert said in text
    assert "in its own band" in text, "the frequency is not known"
    assert "at 1.4 GHz" in explanation({**found[0], "freq_hz": 1.405e9}, 4)
    assert "2023-04-" in text or "2023-05-" in text  # MJD 60060 is 2023-04-26
    assert "incomplete, there are too few epochs after it" in explanation(found[1], 4)
    assert "incomplete" in reason(found[1])


def test_what_is_said_is_no_finer_than_what_is_known(four):
    """A tail of exponentials gives 1e-31; nobody has simulated that; and 1220 mJy is a flux."""
    row = candidates_of(four).to_dict("records")[0]
    bright = {**row, "baseline_jy": 1.2234, "ese_false_alarm": 2e-31, "n_nulls": 400}
    text = explanation({**bright, "null_background": "drw", "null_timescale_days": 1000.0}, 4)
    assert "from a baseline of 1220 mJy" in text and "and 1000 days" in text
    assert "less than 1e-09 by extrapolation of the 400 that were simulated" in text
    assert "less than 1e-09" in reason(bright) and "e-31" not in text + reason(bright)
    assert "0.01 by simulation" in explanation({**bright, "ese_false_alarm": 0.01}, 4)
    one_of_four = explanation({**bright, "ese_false_alarm_archive": 0.987}, 4)
    assert "that were searched does 0.99" in one_of_four, "nothing is certain"


@pytest.fixture
def folder(tmp_path, four):
    rng = np.random.default_rng(5)
    flux = 1 + 0.02 * rng.normal(size=(6, 20))
    flux[2] *= trough(MJD, 0.5, 60060, 30)
    curves_of(MJD, flux, 0.02).to_csv(tmp_path / "theirs.csv", index=False)
    return tmp_path


def test_the_list_is_made_again_from_the_light_curves_alone(folder):
    theirs = folder / "theirs.csv"
    search_ese.main(lightcurves=theirs, output=folder / "s.parquet", options=QUICK)
    find_ese_candidates.main(lightcurves=theirs, output=folder / "alone.parquet", options=QUICK)
    find_ese_candidates.main(
        lightcurves=theirs,
        ese_search=folder / "s.parquet",
        output=folder / "with.parquet",
        options=QUICK,
        threads=2,
    )
    alone, about = read_table(folder / "alone.parquet")
    check_schema(alone, ESE_CANDIDATES)
    assert alone.source_id.tolist() == ["s002"] and about["n_searched"] == 6
    assert np.isnan(alone.ra_deg[0]) and alone.ese_score[0] > 0.6
    pd.testing.assert_frame_equal(alone, read_table(folder / "with.parquet")[0])


def test_where_there_is_no_candidate_the_best_is_told(folder, caplog):
    caplog.set_level("INFO")
    strict = QUICK | {"max_false_alarm": 0.0}
    find_ese_candidates.main(
        lightcurves=folder / "theirs.csv", output=folder / "none.parquet", options=strict
    )
    assert "0 candidates; 6 of 6 sources searched" in caplog.text
    assert re.search(r"probability is \S+, of s002; max_false_alarm is 0$", caplog.text, re.M)


def test_verdicts_come_from_a_file_that_stays_as_it_is(folder):
    searched = search(epochs_of(MJD, np.ones((2, 20)), 0.01))
    alarms_of(searched).to_parquet(folder / "a.parquet")
    searched.to_parquet(folder / "s.parquet")
    table = curves_of(MJD, np.ones((2, 20)), 0.01)
    table.to_csv(folder / "constant.csv", index=False)
    path = folder / "candidates.csv"
    given = {
        "lightcurves": folder / "constant.csv",
        "ese_search": folder / "s.parquet",
        "ese_false_alarms": folder / "a.parquet",
        "output": folder / "c.parquet",
    }
    find_ese_candidates.main(**given)
    none, _ = read_table(folder / "c.parquet")
    check_schema(none, ESE_CANDIDATES)
    assert none.empty
    text = 'id,verdict,who,note\ns001,ESE,Ann,"seen elsewhere, too"\nunknown,ESE,Bob,\n'
    path.write_text(text)
    find_ese_candidates.main(**given, annotations=[path])
    found, _ = read_table(folder / "c.parquet")
    assert found.source_id.tolist() == ["s001"] and found.found_by.tolist() == ["person"]
    assert found.verdict_note[0] == "seen elsewhere, too"
    assert path.read_text() == text
    path.write_text("id,verdict,who,note\ns001,ESE\n")
    with pytest.raises(ValueError, match=r"candidates\.csv: line 2 has 2 fields"):
        find_ese_candidates.main(**given, annotations=[path])


def test_frequencies_without_a_whole_band_are_searched_each_by_itself(folder):
    rng = np.random.default_rng(2)
    tables = []
    for freq_hz, depth in ((1.4e9, 0.0), (8.4e9, 0.5)):
        flux = (1 + 0.02 * rng.normal(size=(2, 20))) * [[1], [1]]
        flux[1] *= trough(MJD, depth, 60060, 30)
        tables.append(curves_of(MJD, flux, 0.02).assign(freq_hz=freq_hz))
    every = pd.concat(tables)
    every.loc[every.index[3], "flux_jy"] = -99.0
    every.to_parquet(folder / "two.parquet")
    search_ese.main(
        lightcurves=folder / "two.parquet",
        output=folder / "s.parquet",
        options={"sentinels": [-99.0]},
    )
    found, _ = read_table(folder / "s.parquet")
    assert found.freq_hz.tolist() == [1.4e9, 8.4e9] * 2
    assert found.n_epochs.sum() == 78  # index 3 is a row of each frequency
    best = found.loc[found.ese_llr.idxmax()]
    assert (best.source_id, best.freq_hz) == ("s001", 8.4e9)


def test_a_flag_of_a_source_that_is_not_searched_says_why(folder):
    rng = np.random.default_rng(3)
    flux = np.array([[1.0], [1.0], [0.005]]) + 0.01 * rng.normal(size=(3, 20))
    flux[1, 5:] = np.nan
    bands = [
        curves_of(MJD + 1e-3 * band, flux, 0.01).assign(subband=band, freq_hz=1.4e9 + 5e7 * band)
        for band in (-1, 0, 1)
    ]
    pd.concat(bands).to_csv(folder / "bands.csv", index=False)
    rows = ["id,verdict,who,note", "s001,ESE,Ann,", "s002,maybe,Ann,", ""]
    (folder / "candidates.csv").write_text("\n".join(rows))
    find_ese_candidates.main(
        lightcurves=folder / "bands.csv",
        annotations=[folder / "candidates.csv"],
        output=folder / "c.parquet",
        options=QUICK,
    )
    found, _ = read_table(folder / "c.parquet")
    check_schema(found, ESE_CANDIDATES)
    assert found.source_id.tolist() == ["s001", "s002"]
    assert found.chromaticity.tolist() == ["", ""], "there is no dip to judge"
    assert found.explanation.tolist() == [
        "Not searched: too few epochs (5; 8 are needed).",
        "Not searched: its flux is not above its errors (20 epochs).",
    ]


@pytest.mark.parametrize("given", ["ese_search", "ese_false_alarms"])
def test_tables_of_other_light_curves_are_refused(folder, given):
    other = curves_of(MJD, np.ones((2, 20)), 0.01)
    other.to_csv(folder / "other.csv", index=False)
    with pytest.raises(InputError, match=r"other\.csv: not the sources of .*theirs\.csv"):
        find_ese_candidates.main(
            lightcurves=folder / "theirs.csv",
            output=folder / "never.parquet",
            **{given: folder / "other.csv"},
        )


def test_verdicts_that_cannot_be_read_are_told_before_the_search(folder, monkeypatch):
    monkeypatch.setattr(find_ese_candidates, "search", lambda *_: pytest.fail("hours of search"))
    curves_of(MJD, np.ones((1, 20)), 0.01).to_csv(folder / "one.csv", index=False)
    (folder / "verdicts.csv").write_text("id,verdict\ns000,ESE\n")
    with pytest.raises(InputError, match=r"verdicts\.csv: line 1 is id,verdict; expected id"):
        find_ese_candidates.main(
            lightcurves=folder / "one.csv",
            annotations=[folder / "verdicts.csv"],
            output=folder / "never.parquet",
        )


def test_candidates_at_several_frequencies_are_told_apart_and_judged_by_them(folder):
    mjd, freq_hz = 60000 + 2.99 * np.arange(120), np.array([1.3e9, 1.5e9])
    lens = {
        "centre_mjd": 60180.0, "days_a_radius": 14.0, "alpha": 8.0, "beta_s": 0.3, "fraction": 0.3,
    }  # fmt: skip
    random = np.random.default_rng(0)
    table = curves(mjd, freq_hz, fluxes(mjd, freq_hz, lens), 0.02, random)
    table = table.drop(columns="subband")
    table.to_csv(folder / "two.csv", index=False)
    searched = search(usable_epochs(table))
    searched.to_parquet(folder / "s.parquet")
    alarms_of(searched).to_parquet(folder / "a.parquet")
    find_ese_candidates.main(
        lightcurves=folder / "two.csv",
        ese_search=folder / "s.parquet",
        ese_false_alarms=folder / "a.parquet",
        output=folder / "c.parquet",
    )
    found, _ = read_table(folder / "c.parquet")
    assert sorted(found.freq_hz) == [1.3e9, 1.5e9]
    for row in found.to_dict("records"):
        at = f"lux at {row['freq_hz'] / 1e6:.0f} MHz fell by"
        assert at in row["reason"] and at in row["explanation"]
    assert found.n_subbands.tolist() == [2, 2]
    assert found.chromaticity.tolist() == ["chromatic"] * 2
    assert found.delta_chi2[0] == found.delta_chi2[1]


def test_epochs_without_a_frequency_are_no_second_source():
    table = curves_of(MJD, np.ones((2, 20)), 0.01)
    table["freq_hz"] = np.where((np.arange(40) % 5 == 0) | (np.arange(40) >= 20), np.nan, 1.4e9)
    epochs = searched_epochs(table)
    assert epochs.sources.source_id.tolist() == ["s000", "s001"]
    assert np.isfinite(epochs.flux_jy).sum(axis=1).tolist() == [16, 20]


def test_a_table_of_another_telescope_goes_through_all_programs(folder):
    """Numbers as names, limits in words, subbands without a whole band."""
    rng = np.random.default_rng(4)
    flux = 1 + 0.02 * rng.normal(size=(3, 20))
    tables = []
    for subband, freq_hz in enumerate((1.3e9, 1.5e9)):
        dip = np.where(np.arange(3)[:, None] == 1, trough(MJD, 0.5, 60060, 30), 1.0)
        table = curves_of(MJD, flux * dip, 0.02).assign(freq_hz=freq_hz, subband=subband)
        tables.append(table)
    table = pd.concat(tables)
    limit = np.where(table.mjd == MJD[0], "yes", "no")
    table = table.assign(source_id=table.source_id.str[1:].astype(int), upper_limit=limit)
    table.to_csv(folder / "t.csv", index=False)
    given = {"lightcurves": folder / "t.csv", "options": QUICK | {"max_false_alarm": 0.01}}
    made = {"ese_search": folder / "s.parquet", "ese_false_alarms": folder / "a.parquet"}
    search_ese.main(**given, output=made["ese_search"])
    calibrate_false_alarms.main(
        **given, ese_search=made["ese_search"], output=made["ese_false_alarms"]
    )
    made["variability"] = folder / "v.parquet"
    measure_variability.main(lightcurves=folder / "t.csv", output=made["variability"])
    find_ese_candidates.main(**given, **made, output=folder / "c.parquet")
    find_ese_candidates.main(**given, output=folder / "alone.parquet")
    found, _ = read_table(folder / "c.parquet")
    assert found.source_id.tolist() == ["1", "1"] and found.n_epochs.tolist() == [19, 19]
    assert sorted(found.freq_hz) == [1.3e9, 1.5e9] and found.n_subbands.tolist() == [2, 2]
    pd.testing.assert_frame_equal(found, read_table(folder / "alone.parquet")[0])
