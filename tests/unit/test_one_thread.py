"""Scripts whose processes are the parallel part run one BLAS thread each, whatever is asked for."""

import os
import subprocess
import sys

import pytest

from contimg.checkout import CHECKOUT

SCRIPTS = [
    "calibrate_ese_validation",
    "calibrate_false_alarms",
    "compare_ese_scores",
    "find_ese_candidates",
    "inject_ese_events",
    "search_ese",
    "simulate_ese_nulls",
]
COUNT = """
import os
import {script}
import numpy as np
np.ones((600, 600)) @ np.ones((600, 600))
print(len(os.listdir("/proc/self/task")))
"""


def threads(script: str, asked: int) -> int:
    variables = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(asked))
    done = subprocess.run(
        [sys.executable, "-c", COUNT.format(script=script)],
        env={**os.environ, **variables, "PYTHONPATH": str(CHECKOUT / "scripts")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stdout)


@pytest.mark.parametrize("script", SCRIPTS)
def test_snakemakes_number_of_threads_does_not_reach_them(script):
    """It sets OPENBLAS_NUM_THREADS, which goes before OMP_NUM_THREADS."""
    assert threads(script, asked=2) == threads(script, asked=1)
