"""Whether to rely on the cells of an image."""

import numpy as np
import pytest
from pydantic import ValidationError

from organscope.decision.trust import LinearEstimate, TrustRule

_FIGURES = {"mean_probability": 0.8, "size": 0.0}


def _rule(**changes):
    values = {
        "features": ("mean_probability", "size"),
        "center": (0.7, 0.0),
        "spread": (0.1, 1.0),
        "lowest": (0.2, -2.0),
        "highest": (1.0, 2.0),
        "quality": LinearEstimate(weights=(0.1, -0.05), intercept=0.5),
        "missed": LinearEstimate(weights=(-0.1, 0.05), intercept=0.3),
        "false": LinearEstimate(weights=(-0.1, 0.0), intercept=0.2),
        "ok_from": 0.5,
        "check_from": 0.3,
    }
    return TrustRule(**values | changes)


def test_an_image_like_those_it_knows_is_ok():
    trust = _rule().judge(_FIGURES)
    assert (trust.level, trust.reasons, trust.sentence) == ("ok", (), "")
    assert trust.quality == pytest.approx(0.6)
    assert trust.missed == pytest.approx(0.2)
    assert trust.false == pytest.approx(0.1)


def test_the_strongest_reason_is_named_first():
    trust = _rule().judge({"mean_probability": 0.65, "size": 2.0})
    assert trust.level == "check"
    assert [reason.split()[1] for reason in trust.reasons] == ["cells", "network"]
    assert "larger" in trust.reasons[0]
    assert trust.sentence.startswith("Look at the outlines before you rely on these cells: about 45% of the true cells")


def test_values_beyond_those_seen_count_as_the_last_seen():
    rule = _rule()
    assert rule.judge({"mean_probability": -9.0, "size": 0.0}) == rule.judge({"mean_probability": 0.2, "size": 0.0})
    assert rule.judge({"mean_probability": -9.0, "size": 0.0}).level == "do not rely"


def test_an_image_without_cells_is_to_be_checked():
    trust = _rule().judge(None)
    assert (trust.level, trust.quality) == ("check", None)
    assert trust.row()["cells_missed"] is None
    assert "no cell was found" in trust.sentence


def test_estimates_stay_shares():
    steep = LinearEstimate(weights=(9.0, 0.0), intercept=0.5)
    assert steep.apply(np.array([5.0, 0.0])) == 1.0
    assert steep.apply(np.array([-5.0, 0.0])) == 0.0


@pytest.mark.parametrize(
    "changes", [{"center": (0.7,)}, {"spread": (0.1, 0.0)}, {"check_from": 0.9}, {"features": ("size",)}]
)
def test_a_rule_that_does_not_fit_together_is_refused(changes):
    with pytest.raises(ValidationError):
        _rule(**changes)
