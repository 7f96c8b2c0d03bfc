import numpy as np
import pytest

from organscope.decision import QualityLimits, fit_quality, quality_issue
from organscope.decision.ood import BLANK, STRANGE, UNKNOWN_SCALE, LookFault, ReferenceDistribution, look_excess
from organscope.errors import ShapeError, ValueRangeError

LIMITS = QualityLimits(
    min_contrast=10.0,
    training=ReferenceDistribution(centre=(0.0, 0.0), whitening=((1.0, 0.0), (0.0, 1.0))),
    max_surprise=9.0,
    faults=(
        LookFault(
            words="blurred",
            cloud=ReferenceDistribution(centre=(-3.0, 0.0), whitening=((1.0, 0.0), (0.0, 1.0))),
            limit=0.0,
        ),
    ),
)


def _fault(*looks, contrast=100.0):
    return quality_issue(np.full(len(looks), contrast), np.array(looks, float), LIMITS)


def test_reasons_by_hand():
    assert _fault((0.0, 1.0)) == ""
    # Nearer to the blurred images from -1.5 on; further than 3 from the training images is strange.
    assert _fault((-1.4, 0.0)) == ""
    assert _fault((-1.6, 0.0)) == "blurred"
    assert _fault((-4.0, 0.0)) == "blurred"
    assert _fault((0.0, 3.1)) == STRANGE
    # Too far from the blurred images to be one of them.
    assert _fault((-6.1, 0.0)) == STRANGE
    assert _fault((0.0, 0.0), contrast=9.9) == BLANK


def _with_scale_fault():
    smaller = LookFault(words="magnification about half", cloud=LIMITS.faults[0].cloud, limit=0.0)
    return LIMITS.model_copy(update={"faults": (smaller,)})


def test_magnification_is_no_reason_to_name():
    looks = np.array([[-1.6, 0.0]])
    assert quality_issue(np.array([100.0]), looks, _with_scale_fault()) == UNKNOWN_SCALE


def test_at_a_known_scale_no_image_is_refused_for_its_magnification():
    known = _with_scale_fault().at_known_scale()
    assert quality_issue(np.array([100.0]), np.array([[-1.6, 0.0]]), known) == ""
    assert quality_issue(np.array([100.0]), np.array([[-4.0, 0.0]]), known) == STRANGE
    assert LIMITS.at_known_scale() == LIMITS


def test_excess_by_hand():
    np.testing.assert_allclose(look_excess(np.array([[-1.0, 2.0]]), LIMITS), [[5 - 9, 5 - 8]])


def test_fields_without_tissue_and_single_odd_fields_do_not_count():
    looks = np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 9.0], [-9.0, 0.0]])
    assert quality_issue(np.array([50.0, 50.0, 50.0, 1.0]), looks, LIMITS) == ""
    assert quality_issue(np.full(4, 1.0), looks, LIMITS) == BLANK


def test_without_limits_nothing_is_judged():
    assert quality_issue(np.zeros(0), np.zeros((0, 2)), None) == ""
    with pytest.raises(ShapeError, match="looks of 2 numbers"):
        quality_issue(np.zeros(0), np.zeros((0, 2)), LIMITS)


def _drawn(rng, n=300):
    known, soft = rng.normal(size=(n, 4)) * [1, 2, 3, 4] + 5, rng.normal(size=(n, 4)) + np.array([-20, 0, 0, 0])
    return np.full(n, 80.0), known, known + 0.1 * rng.normal(size=(n, 4)), {"blurred": soft}


def test_fitted_limits_keep_what_they_must(rng):
    contrasts, looks, tolerated, spoilt = _drawn(rng)
    limits = fit_quality(contrasts, looks, tolerated, spoilt, in_domain_pass=0.98)
    both = np.concatenate([looks, tolerated])
    passed = (look_excess(both, limits) <= 0).all(axis=1).mean()
    assert 0.98 <= passed <= 0.99
    assert (look_excess(spoilt["blurred"], limits)[:, 1] > 0).all()
    assert limits.min_contrast == 40.0
    assert QualityLimits.model_validate_json(limits.model_dump_json()) == limits
    again = fit_quality(contrasts, looks[::-1], tolerated[::-1], spoilt, in_domain_pass=0.98)
    assert again.max_surprise == pytest.approx(limits.max_surprise)


def test_units_do_not_matter(rng):
    contrasts, looks, tolerated, spoilt = _drawn(rng)
    scaled = fit_quality(contrasts, looks * 100, tolerated * 100, {w: s * 100 for w, s in spoilt.items()})
    plain = fit_quality(contrasts, looks, tolerated, spoilt)
    asked = rng.normal(size=(50, 4)) * 6
    np.testing.assert_allclose(look_excess(asked * 100, scaled), look_excess(asked, plain), rtol=1e-3, atol=1e-3)


def test_too_few_images_fit_nothing(rng):
    contrasts, looks, tolerated, spoilt = _drawn(rng, 59)
    assert fit_quality(contrasts, looks, tolerated, spoilt) is None
    with pytest.raises(ValueRangeError):
        fit_quality(contrasts, looks, tolerated, spoilt, in_domain_pass=98.0)
    with pytest.raises(ShapeError):
        fit_quality(contrasts[1:], looks, tolerated, spoilt)
