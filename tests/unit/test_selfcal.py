"""Rounds of self-calibration: what is measured, tried, used and refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits as afits
from synthetic_images import inject, sin_header
from test_configuration import SCHEMA, changed

import compare_selfcal
import report_selfcal
from contimg.calibration_table import Gains
from contimg.configuration import ConfigurationError, validated
from contimg.predict import by_baseline
from contimg.selfcal import Quality, outcome_of, qualities_of, require_worth_trying
from contimg.selfcal_model import ImageModel, Rows
from contimg.selfcal_solve import combined
from contimg.status import Rejected, write_status
from contimg.tables import read_table

MODES = [{"mode": "p"}, {"mode": "ap"}, {"mode": "ap"}]
LIMIT = 0.05


def rounds_of(*snrs: float | None) -> list[Quality | None]:
    return [None if snr is None else Quality(1.0, 1 / snr, 1 / snr, 0, 0) for snr in snrs]


@pytest.mark.parametrize(
    ("snrs", "used", "converged", "words"),
    [
        (
            (100, 300, 340, 343),
            3,
            True,
            "100 -> 343; converged: round 3 raised the S/N by 0.9%",
        ),
        ((100, 300, 340, None), 2, False, "still rising: round 2 raised the S/N by 13.3%"),
        ((100, 300, 290, None), 1, True, "converged: round 2 lowered the S/N by 3.3%"),
        ((100, 90, 99, 98), 0, False, "fell back on the calibrated set: at best, round 2 lowered"),
        ((100, None, None, None), 0, False, "fell back on the calibrated set: no data"),
    ],
)
def test_the_best_round_is_used_and_one_that_does_not_raise_the_snr_is_not(
    snrs: tuple, used: int, converged: bool, words: str
) -> None:
    reasons = ["" if snr else "no data" for snr in snrs[1:]]
    found = outcome_of(rounds_of(*snrs), reasons, LIMIT)
    assert (found.round, found.converged, found.fell_back) == (used, converged, used == 0)
    assert words in found.reason


def test_a_mode_that_brought_nothing_is_not_tried_again() -> None:
    require_worth_trying(MODES, rounds_of(100), LIMIT)
    require_worth_trying(MODES, rounds_of(100, 101), LIMIT)  # amplitudes may still bring something
    require_worth_trying(MODES, rounds_of(100, 200, 220), LIMIT)
    with pytest.raises(Rejected, match=r"round 2, the last of mode ap, raised the S/N by 2\.0%"):
        require_worth_trying(MODES, rounds_of(100, 200, 204), LIMIT)
    with pytest.raises(Rejected, match=r"round 2, the last of mode ap, gave no image"):
        require_worth_trying(MODES, rounds_of(100, 200, None), LIMIT)


def test_a_fixed_model_is_solved_against_once() -> None:
    require_worth_trying(MODES, rounds_of(100, 300), LIMIT, fixed_model=True)
    with pytest.raises(Rejected, match="it would repeat round 2"):
        require_worth_trying(MODES, rounds_of(100, 300, 400), LIMIT, fixed_model=True)
    found = outcome_of(rounds_of(100, 300), [""], LIMIT, fixed_model=True)
    assert (
        found.converged and found.reason == "round 1: S/N 100 -> 300; converged: the model is fixed"
    )
    assert outcome_of(rounds_of(100, 90), [""], LIMIT, fixed_model=True).fell_back


def test_all_rounds_are_measured_where_the_first_is_brightest(tmp_path: Path) -> None:
    """A spurious peak elsewhere is not taken for the source."""
    header, images, residuals = sin_header(), [], []
    for number, (flux, spurious) in enumerate([(1.0, 0.0), (1.2, 5.0)]):
        data = np.zeros((256, 256))
        inject(data, header, [100, 200], [80, 30], [flux, spurious])
        noise = np.random.default_rng(number).normal(0, 0.01 / (number + 1), data.shape)
        for list_of, values in ((images, data), (residuals, noise)):
            list_of.append(tmp_path / f"{len(list_of)}.{id(list_of)}.fits")
            afits.PrimaryHDU(values.astype(np.float32)[None, None], header).writeto(list_of[-1])
    first, second = qualities_of(images, residuals)
    assert (first.row, first.column) == (second.row, second.column) == (80, 100)
    assert first.snr == pytest.approx(100, rel=0.03)
    assert second.snr == pytest.approx(240, rel=0.03)
    assert second.dynamic_range == pytest.approx(240, rel=0.1)


def test_a_clean_model_is_predicted_where_its_pixels_are(tmp_path: Path) -> None:
    """ducc0 against the direct Fourier sum."""
    rng = np.random.default_rng(1)
    header = sin_header(cell_arcsec=20.0)
    pixels, place = np.zeros((256, 256), dtype=np.float32), rng.integers(5, 250, (10, 2))
    pixels[place[:, 0], place[:, 1]] = flux = rng.uniform(0.1, 1, 10)
    afits.PrimaryHDU(pixels, header).writeto(tmp_path / "model.fits")
    east, north = (
        np.radians((128 - place[:, 1]) * 20 / 3600),
        np.radians((place[:, 0] - 128) * 20 / 3600),
    )
    lmn = np.column_stack([east, north, np.sqrt(1 - east**2 - north**2) - 1])
    uvw = rng.uniform(-600, 600, (28, 3)) * [1, 1, 0.3]
    freq_hz, ids = np.linspace(1.3e9, 1.5e9, 6), np.zeros(28, dtype=np.int32)
    expected = by_baseline(uvw, lmn, np.tile(flux, (6, 1)), freq_hz)
    found = ImageModel(tmp_path / "model.fits").visibilities(
        Rows(np.zeros(28), uvw, ids, ids), freq_hz
    )
    np.testing.assert_allclose(found, expected, atol=1e-4 * flux.sum())


def test_gains_have_no_gaps_and_leave_the_flux_scale() -> None:
    rng = np.random.default_rng(2)
    shape = (20, 3, 2)
    phase = rng.normal(0, 0.3, shape)
    flag = np.zeros(shape, dtype=bool)
    flag[4, 1], flag[5], flag[19] = True, True, True
    names = tuple(map(str, range(20)))
    phases = Gains(names, np.array([1.0, 2.0, 3.0]), np.exp(1j * phase).astype("c8"), flag)
    size = 1.3 * np.exp(rng.normal(0, 0.02, (20, 1, 2)))
    size[7] = 5.0  # an outlier counts for nothing
    amplitudes = Gains(names, np.array([2.0]), size.astype("c8"), np.zeros(size.shape, dtype=bool))
    found = combined(phases, amplitudes, np.arange(19))
    assert np.isfinite(found.gain).all()
    np.testing.assert_allclose(found.gain[4, 1] / found.gain[4, 0], 1)  # the nearest interval's
    np.testing.assert_allclose(np.angle(found.gain[5]), 0)  # in phase with the others' mean
    np.testing.assert_allclose(found.gain[19], 1)  # not there
    rest = [a for a in range(19) if a != 7]
    assert np.exp(np.log(np.abs(found.gain[rest])).mean()) == pytest.approx(1, abs=1e-3)
    outlier = np.abs(found.gain[7, 0] / found.gain[0, 0])
    np.testing.assert_allclose(outlier, 5 / size[0, 0], rtol=1e-6)
    assert found.figures["flagged_solutions"] == pytest.approx((1 + 3) / (19 * 3))


def chosen(folder: Path, strategy: str, group: str, snrs: list[float], used: int) -> Path:
    """Write the status of a set that a strategy chose."""
    rounds = [
        {"round": n, "reason": "", **Quality(1.0, 1 / snr, 2 / snr, 0, 0).figures()}
        for n, snr in enumerate(snrs)
    ]
    found = {
        "strategy": strategy, "round": used, "converged": used > 0, "fell_back": used == 0,
        "reason": f"<{strategy}> says so", "rounds": rounds,
    }  # fmt: skip
    path = folder / "selfcal" / strategy / group[:10] / f"{group}.ms.json"
    write_status(path, figures={"selfcal": found})
    return path


def test_strategies_are_compared_on_the_same_groups(tmp_path: Path) -> None:
    """A group that is mended, one that falls back, and one without data; with its page."""
    groups = [f"2025-10-01T22:1{minute}:00" for minute in (0, 5)]
    paths = [
        chosen(tmp_path, "clean", groups[0], [100, 250, 300], 2),
        chosen(tmp_path, "clean", groups[1], [400, 390], 0),
        chosen(tmp_path, "seeded", groups[0], [100, 320], 1),
        tmp_path / "selfcal" / "seeded" / "2025-10-01" / f"{groups[1]}.ms.json",
    ]
    write_status(paths[3], status="rejected", reason="no calibration")
    for name, seconds in (
        ("image_round/{}.none.r0", 5), ("solve_round/{}.clean.r1", 7),
        ("image_round/{}.clean.r1", 6), ("solve_round/{}.clean.r9", 99),
        ("choose_round/{}.clean", 2), ("image_group/{}", 80),
    ):  # fmt: skip
        record = tmp_path / "benchmarks" / "2025-10-01" / f"{name.format(groups[0])}.jsonl"
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps({"s": seconds}) + "\n")
    table_path, page = tmp_path / "comparison.parquet", tmp_path / "selfcal.html"
    compare_selfcal.main(chosen=paths, output=table_path, options={})
    table = read_table(table_path)[0].set_index(["group", "strategy"])
    assert table["snr_improvement"].round(6).to_list()[:5] == [1, 3, 3.2, 1, 1]
    assert table.loc[(groups[0], "clean"), ["n_rounds", "round"]].to_list() == [2, 2]
    assert table.loc[(groups[1], "clean"), "fell_back"]
    assert table.loc[(groups[1], "seeded"), ["status", "reason"]].to_list() == [
        "rejected", "no calibration",
    ]  # fmt: skip
    report_selfcal.main(
        comparison=table_path, chosen=paths, page=page, benchmarks=str(tmp_path / "benchmarks")
    )
    text = page.read_text()
    assert "&lt;clean&gt; says so" in text and "<clean>" not in text
    assert "no calibration" in text
    (clean,) = [
        row
        for row in json.loads(text.split('id="data">')[1].split("</script>")[0])["rows"]
        if (row["group"], row["strategy"]) == (groups[0], "clean")
    ]
    assert (clean["time_s"], clean["more"]) == (20, 0.25)  # not of a round that was not asked for


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (
            "selfcal.strategies.both", {"model": "calibrator", "min_mjy": 1},
            "selfcal.strategies.both: a calibrator model and catalogue seeding (min_mjy) together: "
            "the catalogue has the calibrator, which would count twice; leave min_mjy out, or take "
            "model: catalogue",
        ),
        (
            "selfcal.strategies.seeded", {"model": "catalogue"},
            "selfcal.strategies.seeded: no key min_mjy, which model: catalogue needs; add it",
        ),
        (
            "selfcal.strategies.none", {"model": "clean"},
            "selfcal.strategies.none: the name means no self-calibration; take another",
        ),
        (
            "selfcal.strategy", "cleann",
            "selfcal.strategy: 'cleann' found, none or one of clean, catalogue_0.1mjy, "
            "catalogue_1mjy, catalogue_10mjy expected",
        ),
        (
            "selfcal.rounds",
            [
                {"mode": "ap", "solint": "inf", "phase_solint": "30s", "min_snr": 3},
                {"mode": "p", "solint": "30s", "min_snr": 3},
            ],
            "selfcal.rounds: modes ap, p; phases (p) come before amplitudes (ap)",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_in_one_line(path: str, value: object, line: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        validated(changed(path, value), SCHEMA)
    assert str(caught.value) == f"configuration: {line}"
