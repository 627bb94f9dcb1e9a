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


def test_a_set_of_other_antennas_is_refused(solved: SimpleNamespace, tmp_path: Path) -> None:
    other = tmp_path / "other.ms"
    synthetic_ms.write(other, synthetic_ms.Observation(n_antennas=11))
    with pytest.raises(ValueError, match="11 expected"):
        require_same_antennas(solved.bcal, other)
    with casatables.table(f"{other}::ANTENNA", readonly=False, ack=False) as antenna:
        antenna.putcell("NAME", 4, "DSA-099")
    with pytest.raises(ValueError, match=r"row 4: 'DSA-005', 'DSA-099' expected"):
        require_same_antennas(solved.bcal, other)


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
    "--drift", "{{enabled: false, min_change_jy: 0.0, min_response: 0.02}}",
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
