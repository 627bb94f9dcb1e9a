"""Tables solved by CASA are the gains that were put in, and applying them takes those out."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import casacore.tables as casatables
import numpy as np
import pytest
import synthetic_calibration as synthetic
import synthetic_ms

from contimg.calibration_table import (
    antenna_names,
    read_bandpass,
    read_columns,
    read_gains,
    require_same_antennas,
    table_digest,
)
from contimg.status import read_status
from contimg.transform import Part, Sums, transform

PRESENT = [a for a in range(synthetic.N_ANTENNAS) if a not in (3, synthetic.DEAD)]


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    return synthetic.calibrated(tmp_path_factory.mktemp("solved"))


@pytest.fixture(scope="module")
def solved_with_delays(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Delays of 40 ns rms: the phase turns by half a circle over the band."""
    return synthetic.calibrated(tmp_path_factory.mktemp("delays"), delay_ns=40.0)


def status(path: Path) -> dict:
    return read_status(path.with_name(path.name + ".json")).figures


def test_bandpass_times_gain_is_the_truth(solved: SimpleNamespace) -> None:
    gain = read_bandpass(solved.bcal).gain * read_gains(solved.gcal).gain
    # pyuvdata conjugates the visibilities that it writes to a Measurement Set.
    ratio = (gain / np.where(solved.observed.gains == 0, 1, solved.observed.gains.conj()))[PRESENT]
    ratio /= np.exp(1j * np.angle(ratio.mean(axis=0)))
    # Noise allows 0.2 / (8 sqrt(10 x 4)) = 0.004 a channel.
    np.testing.assert_allclose(np.median(np.abs(ratio), axis=1), 1.0, atol=0.005)
    np.testing.assert_allclose(np.median(np.angle(ratio), axis=1), 0.0, atol=0.005)
    assert np.abs(ratio - 1).max() < 0.03


def test_dead_and_absent_antennas_are_flagged(solved: SimpleNamespace) -> None:
    bandpass, gains = read_bandpass(solved.bcal), read_gains(solved.gcal)
    for flag in (bandpass.flag, gains.flag):
        assert flag[[3, synthetic.DEAD]].all()
        assert not flag[PRESENT].any()


def test_all_antennas_keep_their_place(solved: SimpleNamespace) -> None:
    names = tuple(f"DSA-{number:03d}" for number in range(1, 13))
    assert read_bandpass(solved.bcal).antennas == names
    assert antenna_names(solved.folder / "calibrated.ms") == names
    np.testing.assert_allclose(read_bandpass(solved.bcal).freq_hz, solved.observed.freq_hz)


def test_status_tells_how_good_the_solutions_are(solved: SimpleNamespace) -> None:
    figures = status(solved.gcal)
    # Of the 11 antennas with data one is dead; the slot without data does not count.
    assert figures["flagged_solutions"] == pytest.approx(1 / 11)
    assert figures["flagged_antennas"] == ["DSA-008"]
    assert "DSA-008" not in figures["reference_antennas"]
    assert 0.05 < figures["closure_phase_deg"] < 1.0
    assert figures["residual_phase_deg"] < 1.0
    assert figures["amplitude"]["DSA-001"] == pytest.approx(1.0, abs=0.01)
    assert figures["calibrator"] == "fake"
    assert figures["group"] == "2025-10-19T02:24:00"


def test_published_tables_are_read_only_and_say_nothing_of_the_run(
    solved: SimpleNamespace,
) -> None:
    for table in (solved.bcal, solved.gcal):
        files = [path for path in table.rglob("*") if path.is_file()]
        assert not any(path.stat().st_mode & 0o222 for path in files)
        assert not any(str(solved.folder).encode() in path.read_bytes() for path in files)
    assert not list((solved.folder / "scratch").iterdir())
    assert not list(solved.folder.glob("*.log"))


def test_both_readers_digest_a_table_alike(solved: SimpleNamespace) -> None:
    assert table_digest(solved.bcal) == read_status(Path(f"{solved.bcal}.json")).digest
    assert table_digest(solved.gcal) == read_status(Path(f"{solved.gcal}.json")).digest


def test_calibrated_data_are_the_sky(solved: SimpleNamespace) -> None:
    calibrated = solved.folder / "calibrated.ms"
    columns = read_columns(calibrated, ["DATA", "FLAG", "ANTENNA1", "ANTENNA2"])
    model = read_columns(solved.folder / "solve.ms", ["MODEL_DATA"])["MODEL_DATA"]
    sky = model.reshape(len(model), -1, 4, 2).mean(axis=2)
    dead = (columns["ANTENNA1"] == synthetic.DEAD) | (columns["ANTENNA2"] == synthetic.DEAD)
    assert columns["FLAG"][dead].all()
    assert not columns["FLAG"][~dead].any()
    ratio = (columns["DATA"] / sky)[~dead]
    assert abs(ratio.mean() - 1) < 0.002
    assert np.abs(ratio - 1).max() < 0.15
    assert not np.any(columns["ANTENNA1"] == columns["ANTENNA2"])
    with casatables.table(str(calibrated), ack=False) as table:
        assert "MODEL_DATA" not in table.colnames()


def test_status_of_calibrated_set_has_what_beam_and_report_need(solved: SimpleNamespace) -> None:
    figures = read_status(solved.folder / "calibrated.ms.json").figures
    averaged = solved.observed.freq_hz.reshape(-1, 4).mean(axis=1)
    np.testing.assert_allclose(figures["freq_hz"], averaged)
    np.testing.assert_allclose(figures["weight_time"], 0.25)
    np.testing.assert_allclose(figures["weight_freq"], 0.25)
    assert figures["flagged_fraction"] == pytest.approx(10 / 55)
    assert figures["channel_width_hz"] == 1e6
    assert (figures["calibration_source"], figures["calibration_date"]) == ("own", "2025-10-19")


def test_delays_come_out_and_go_into_the_data(solved_with_delays: SimpleNamespace) -> None:
    test_calibrated_data_are_the_sky(solved_with_delays)
    assert status(solved_with_delays.gcal)["residual_phase_deg"] < 1.0
    bandpass = read_bandpass(solved_with_delays.bcal).gain[PRESENT]
    assert np.ptp(np.unwrap(np.angle(bandpass), axis=1), axis=1).max() < np.pi


def test_delays_are_the_slopes_of_the_phases(solved_with_delays: SimpleNamespace) -> None:
    columns = read_columns(solved_with_delays.kcal, ["ANTENNA1", "FPARAM", "FLAG"])
    order = np.argsort(columns["ANTENNA1"])
    found_ns = columns["FPARAM"][order, 0][PRESENT]
    assert not columns["FLAG"][order][PRESENT].any()
    # A Measurement Set holds the conjugates of what pyuvdata has.
    phase = np.unwrap(np.angle(solved_with_delays.observed.gains[PRESENT].conj()), axis=1)
    freq_ghz = solved_with_delays.observed.freq_hz / 1e9
    slope = np.polyfit(freq_ghz, phase.transpose(1, 0, 2).reshape(len(freq_ghz), -1), 1)[0]
    true_ns = slope.reshape(len(PRESENT), 2) / (2 * np.pi)
    difference_ns = (found_ns - true_ns) - (found_ns - true_ns).mean(axis=0)
    assert np.std(true_ns) > 30
    # CASA takes the reference antenna's baselines alone; their noise over 4 MHz allows 0.5 ns.
    assert np.std(difference_ns) < 1.0


def test_a_set_of_other_antennas_is_refused(solved: SimpleNamespace, tmp_path: Path) -> None:
    other = tmp_path / "other.ms"
    synthetic_ms.write(other, synthetic_ms.Observation(n_antennas=11))
    with pytest.raises(ValueError, match="11 expected"):
        require_same_antennas(solved.bcal, other)
    with casatables.table(f"{other}::ANTENNA", readonly=False, ack=False) as antenna:
        antenna.putcell("NAME", 4, "DSA-099")
    with pytest.raises(ValueError, match=r"row 4: 'DSA-005', 'DSA-099' expected"):
        require_same_antennas(solved.bcal, other)


MSTRANSFORM = """
import sys
sys.path.insert(0, {scripts!r})
from contimg.casa import casatasks
tables = {{
    "kcal": "tinterp='nearest' spwmap=[0]", "bcal": "tinterp='nearest' finterp='linearflag'",
    "gcal": "tinterp='nearest'",
}}
library = [f"caltable='x.{{kind}}' calwt=False {{how}}\\n" for kind, how in tables.items()]
open("callib.txt", "w").writelines(library)
averaging = [{{}}, {{"chanaverage": True, "chanbin": 4}}]
for number, options in enumerate(averaging):
    casatasks().mstransform(
        vis="sci.ms", outputvis=f"casa{{number}}.ms", datacolumn="corrected", antenna="*&",
        docallib=True, callib="callib.txt", keepflags=True, usewtspectrum=True, **options,
    )
"""


@pytest.fixture(scope="module")
def transformed(solved_with_delays: SimpleNamespace) -> Path:
    """Sets that CASA's mstransform made: as they are, and 4 channels to 1.

    The bandpass has other channels than the data and some that are flagged, the gains are of two
    times, at the second of which one antenna is flagged; so are a third of the data.
    """
    folder = solved_with_delays.folder
    for kind in ("kcal", "bcal", "gcal"):
        shutil.copytree(getattr(solved_with_delays, kind), folder / f"x.{kind}")
    for path in [*folder.glob("x.*/**/*"), *folder.glob("sci.ms/**/*")]:
        path.chmod(path.stat().st_mode | 0o200)
    with casatables.table(str(folder / "x.bcal"), readonly=False, ack=False) as bandpass:
        flag = bandpass.getcol("FLAG")
        flag[1, 3], flag[2, 9:11, 0] = True, True
        bandpass.putcol("FLAG", flag)
    with casatables.table(f"{folder}/x.bcal::SPECTRAL_WINDOW", readonly=False, ack=False) as window:
        freq_hz = window.getcol("CHAN_FREQ")
        freq_hz[:, :8] += 1e5
        window.putcol("CHAN_FREQ", freq_hz)
    with casatables.table(str(folder / "x.gcal"), readonly=False, ack=False) as gains:
        columns = {name: gains.getcol(name) for name in gains.colnames() if name != "WEIGHT"}
        gains.addrows(len(columns["TIME"]))
        for name, values in columns.items():
            gains.putcol(name, np.concatenate([values, values]))
        n_rows = len(columns["TIME"])
        gains.putcol("TIME", columns["TIME"] + 20.0, n_rows)
        gains.putcol("CPARAM", columns["CPARAM"] * (1.1 + 0.2j), n_rows)
        flag = columns["FLAG"]
        flag[5] = True
        gains.putcol("FLAG", flag, n_rows)
    with casatables.table(str(folder / "sci.ms"), readonly=False, ack=False) as table:
        flag, weight = table.getcol("FLAG"), table.getcol("WEIGHT_SPECTRUM")
        random = np.random.default_rng(7)
        flag |= random.random(flag.shape) < 0.3
        flag[::5] = True
        table.putcol("FLAG", flag)
        weight *= random.uniform(0.5, 2, weight.shape)
        table.putcol("WEIGHT_SPECTRUM", weight)
        # Without this column CASA weighs all channels of a row alike.
        sigma = casatables.makearrcoldesc("SIGMA_SPECTRUM", 0.0, ndim=2, valuetype="float")
        table.addcols(casatables.maketabdesc(sigma))
        table.putcol("SIGMA_SPECTRUM", 1 / np.sqrt(weight))
    scripts = str(synthetic.BASE / "scripts")
    synthetic.run_python(["-c", MSTRANSFORM.format(scripts=scripts)], cwd=folder)
    return folder


@pytest.mark.parametrize(("number", "channels"), [(0, 1), (1, 4)])
def test_calibrated_set_is_the_one_that_casa_makes(
    transformed: Path, tmp_path: Path, number: int, channels: int
) -> None:
    casa_ms, ms = transformed / f"casa{number}.ms", tmp_path / "ours.ms"
    transform(transformed / "sci.ms", ms, tables_of(transformed), channels)
    names = ["TIME", "ANTENNA1", "ANTENNA2", "DATA", "FLAG", "WEIGHT_SPECTRUM", "UVW"]
    ours, casa = sorted_by_baseline(ms, names), sorted_by_baseline(casa_ms, names)
    for name in ("ANTENNA1", "ANTENNA2", "FLAG", "UVW", "TIME"):
        np.testing.assert_array_equal(ours[name], casa[name], name)
    good = ~casa["FLAG"]
    assert 0.2 < good.mean() < 0.9
    # Single precision, in another order.
    np.testing.assert_allclose(ours["DATA"][good], casa["DATA"][good], rtol=2e-6, atol=2e-6)
    weights = (columns["WEIGHT_SPECTRUM"][good] for columns in (ours, casa))
    np.testing.assert_allclose(*weights, rtol=1e-6)
    for name in ("CHAN_FREQ", "CHAN_WIDTH", "REF_FREQUENCY"):
        windows = (read_columns(one / "SPECTRAL_WINDOW", [name])[name] for one in (ms, casa_ms))
        np.testing.assert_allclose(*windows, rtol=1e-12)


def test_integrations_are_averaged_by_weight(transformed: Path, tmp_path: Path) -> None:
    names = ["TIME", "ANTENNA1", "ANTENNA2", "DATA", "FLAG", "WEIGHT_SPECTRUM", "UVW", "INTERVAL"]
    one, two = tmp_path / "one.ms", tmp_path / "two.ms"
    transform(transformed / "sci.ms", one, tables_of(transformed), 4, 1)
    found = transform(transformed / "sci.ms", two, tables_of(transformed), 4, 2)
    single, double = sorted_by_baseline(one, names), sorted_by_baseline(two, names)
    pairs = {name: values.reshape(-1, 2, *values.shape[1:]) for name, values in single.items()}
    weight = np.where(pairs["FLAG"], 0, pairs["WEIGHT_SPECTRUM"])
    total = weight.sum(axis=1)
    np.testing.assert_array_equal(double["FLAG"], total == 0)
    good = total > 0
    expected = (weight * pairs["DATA"]).sum(axis=1)[good] / total[good]
    np.testing.assert_allclose(double["DATA"][good], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(double["WEIGHT_SPECTRUM"][good], total[good], rtol=1e-6)
    np.testing.assert_allclose(double["TIME"], pairs["TIME"].mean(axis=1))
    np.testing.assert_allclose(double["INTERVAL"], pairs["INTERVAL"].sum(axis=1))
    by_row = weight.sum(axis=(2, 3))
    used = by_row.any(axis=1)
    uvw = (pairs["UVW"] * by_row[:, :, None]).sum(axis=1)[used] / by_row.sum(axis=1)[used, None]
    np.testing.assert_allclose(double["UVW"][used], uvw, rtol=1e-6)
    imaged = np.where((total > 0).all(axis=2, keepdims=True), total, 0)  # both polarizations
    by_time = np.array([imaged[0::2].sum(), imaged[1::2].sum()])
    np.testing.assert_allclose(found.time, by_time / by_time.sum(), rtol=1e-5)


def test_a_sample_without_one_polarization_has_no_weight_in_the_image() -> None:
    """WSClean's Stokes I leaves it out; so must the beam that is averaged with these weights."""
    weight = np.ones((3, 4, 2), dtype=np.float32)
    weight[:, :2, 1] = 0.0
    sums = Sums(np.arange(4.0), ["XX", "YY"])
    sums.add(Part({"TIME": np.array([86400.0])}, weight.astype(np.complex64), weight))
    found = sums.weights()
    np.testing.assert_allclose(found.freq, [0, 0, 0.5, 0.5])
    assert found.flagged_fraction == 0.25
    assert found.silent == ()
    weight[..., 1] = 0.0
    sums = Sums(np.arange(4.0), ["XX", "YY"])
    sums.add(Part({"TIME": np.array([86400.0])}, weight.astype(np.complex64), weight))
    assert sums.weights().silent == ("YY",)


def tables_of(folder: Path) -> dict[str, Path]:
    return {kind: folder / f"x.{kind}" for kind in ("kcal", "bcal", "gcal")}


def sorted_by_baseline(ms: Path, names: list[str]) -> dict[str, np.ndarray]:
    columns = read_columns(ms, names)
    order = np.lexsort([columns[name] for name in ("TIME", "ANTENNA2", "ANTENNA1")])
    return {name: values[order] for name, values in columns.items()}


@pytest.fixture
def copy(solved: SimpleNamespace, tmp_path: Path) -> Path:
    """The folder of the solved set, to be spoilt."""
    shutil.copytree(solved.folder, tmp_path / "copy")
    return tmp_path / "copy"


APPLY = """
import json, sys
from pathlib import Path
sys.path.insert(0, {scripts!r})
import apply_calibration
from contimg.script import run
sys.argv = ["apply_calibration.py", "--ms", "sci.ms", "--ms-status", "sci.ms.json",
    "--calibration-status", "cal/2025-10-19/calibration.json", "--calibrated-ms", "new.ms",
    "--status", "new.ms.json", "--averaging", "{{channels: 1, integrations: 2}}",
    "--flagging", "{{max_flagged_fraction: {largest}}}", "--catalog", "none",
    "--drift", "{{enabled: false, min_change_jy: 0.0, min_response: 0.02, n_parts: 1}}",
    "--beam", "{{model: airy, table: ''}}"]
{before}
try:
    run(apply_calibration.main, reject=apply_calibration.reject)
except ValueError as error:
    Path("error.txt").write_text(str(error))
"""


def apply_again(folder: Path, *, largest: float = 0.9, before: str = "") -> None:
    scripts = str(synthetic.BASE / "scripts")
    program = APPLY.format(scripts=scripts, largest=largest, before=before)
    synthetic.run_python(["-c", program], cwd=folder)


def test_set_flagged_beyond_the_limit_is_rejected_with_an_empty_image(copy: Path) -> None:
    apply_again(copy, largest=0.1)
    found = read_status(copy / "new.ms.json")
    assert (found.status, found.reason) == ("rejected", "18.2% flagged, 10% allowed")
    assert (copy / "new.ms" / "rejected.fits").is_file()
    assert (copy / "new.ms" / "REJECTED").read_text().startswith("18.2% flagged")
    assert not (copy / "new.ms" / "table.dat").exists()


def test_table_changed_since_the_choice_is_an_error_and_weights_sum_to_one(copy: Path) -> None:
    """Both in one process: CASA takes seconds to load."""
    apply_again(
        copy,
        before="""
run(apply_calibration.main, reject=apply_calibration.reject)
choice = Path("cal/2025-10-19/calibration.json")
content = json.loads(choice.read_text())
content["figures"]["tables"][0]["digests"]["bcal"] = "another"
choice.write_text(json.dumps(content))
""",
    )
    error = (copy / "error.txt").read_text()
    assert ".bcal: values have changed" in error
    assert "run choose_calibration of the date again" in error
    figures = json.loads((copy / "new.ms.json").read_text())["figures"]
    np.testing.assert_allclose(figures["weight_time"], 0.25)
    assert len(figures["freq_hz"]) == 16


def test_importing_casatasks_leaves_no_file(tmp_path: Path) -> None:
    synthetic.run_python(["-c", "from contimg.casa import casatasks; casatasks()"], cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_casatools_refuses_to_join_python_casacore() -> None:
    from contimg.casa import casatasks

    with pytest.raises(RuntimeError, match="a process of its own"):
        casatasks()
