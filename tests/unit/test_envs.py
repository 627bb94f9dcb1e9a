"""The conda environments name one version of each package: the lock's."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LOCK = dict(
    re.findall(r"^(\S+)==(\S+)", (ROOT / "envs" / "requirements.txt").read_text(), re.MULTILINE)
)
FILES = sorted((ROOT / "envs").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_pip_part_repeats_the_lock(file: Path) -> None:
    parts = yaml.safe_load(file.read_text())["dependencies"]
    pins = dict(pin.split("==") for pin in next(p["pip"] for p in parts if isinstance(p, dict)))
    assert pins
    assert pins == {name: LOCK.get(name) for name in pins}, "run tools/repeat_lock"


def test_every_script_runs_in_an_environment_and_every_environment_is_used() -> None:
    named = set()
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for rule in re.split(r"^ *rule ", path.read_text(), flags=re.MULTILINE)[1:]:
            found = re.findall(r'"\.\./envs/(\w+\.yaml)"', rule)
            assert len(found) == ("script:" in rule), f"{path.name}: {rule.splitlines()[0]}"
            named.update(found)
    assert named == {file.name for file in FILES}
