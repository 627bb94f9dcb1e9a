"""Which tables serve a group, and how weights are shared out after averaging."""

import numpy as np
import pytest

from contimg.apply import nearest_tables, spread_over, strip_of
from contimg.status import Rejected

TABLES = [
    {"group": "early", "mid_mjd": 60000.2, "bcal": "e.bcal", "gcal": "e.gcal", "kcal": None},
    {"group": "late", "mid_mjd": 60000.8, "bcal": "l.bcal", "gcal": "l.gcal", "kcal": "l.kcal"},
]


@pytest.mark.parametrize(
    ("mid_mjd", "group"), [(60000.3, "early"), (60000.7, "late"), (60030.0, "late")]
)
def test_group_takes_the_tables_nearest_in_time(mid_mjd: float, group: str) -> None:
    assert nearest_tables(TABLES, mid_mjd)["group"] == group


def test_of_two_equally_near_the_earlier_serves() -> None:
    twice = [{"mid_mjd": 2.0}, {"mid_mjd": 1.0}]
    assert nearest_tables(twice, 1.5) == {"mid_mjd": 1.0}


def test_weights_of_averaged_integrations_go_back_to_their_integrations() -> None:
    second = 1 / 86400
    integration = 60000 + second * np.arange(5) * 10
    averaged = 60000 + second * np.array([5.0, 25.0, 40.0])
    weight = np.array([0.4, 0.4, 0.2])
    found = spread_over(integration, averaged, weight, 20.1)
    np.testing.assert_allclose(found, 0.2)
    missing = spread_over(np.append(integration, 60001.0), averaged, weight, 20.1)
    assert missing[-1] == 0.0
    assert missing.sum() == pytest.approx(1.0)


def test_a_group_gets_what_was_chosen_for_its_declination_or_the_reason() -> None:
    here = {"declination_deg": 46.81, "groups": ["a"], "source": "own", "reason": ""}
    moved = {"declination_deg": 48.3, "groups": [], "source": "", "reason": "nothing passed"}
    choice = {"strips": [here, moved]}
    assert strip_of(choice, 46.8104) == here
    with pytest.raises(
        Rejected, match=r"no calibration for declination 48\.300 deg: nothing passed"
    ):
        strip_of(choice, 48.3)
    with pytest.raises(Rejected, match="nothing for declination 47"):
        strip_of(choice, 47.0)
    tracking = {"declination_deg": None, "groups": ["a"], "source": "own", "reason": ""}
    assert strip_of({"strips": [tracking]}, None) == tracking
    unserved = {**tracking, "groups": [], "reason": "nothing passed"}
    with pytest.raises(Rejected, match="no calibration for a telescope that tracks: nothing pas"):
        strip_of({"strips": [unserved]}, None)
