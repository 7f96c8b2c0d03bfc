"""Truth mixed with what trained networks say."""

import numpy as np
import pytest
from skimage import data

from organscope.errors import ConfigError
from organscope.models import load_bundle
from organscope.ops.intensity import standardize
from organscope.training.segmentation.config import SegmentationConfig
from organscope.training.segmentation.distillation import Teachers


def _config(**network):
    return SegmentationConfig.model_validate(
        {
            "data": {"sources": [{"index": "none"}]},
            "bundle": {"name": "pupil", "summary": "-", "licence": "-", "data_statement": "-", "limits": "-"},
            "network": {"head": "flow", **network},
            "preprocessing": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]},
            "fit": {"precision": "float32"},
            "distillation": {"teachers": ["nuclei"], "share": 0.25},
        }
    )


def test_truth_moves_towards_the_teachers_and_what_is_unknown_stays():
    config, bundle = _config(), load_bundle("nuclei")
    scaled = data.immunohistochemistry()[:96, :96].astype(np.float32) / 255
    truth = np.zeros((1, 96, 96, 5), np.float32)
    truth[..., 1:] = 0.5
    mixed = Teachers(config).mixed(standardize(scaled, config.preprocessing)[None], truth)
    said = bundle.run(standardize(scaled, bundle.manifest.preprocessing)[None])["maps"]
    # The graph that ships computes in integers.
    assert np.abs(mixed[..., :4] - (0.75 * truth[..., :4] + 0.25 * said)).mean() < 0.02
    assert mixed[..., 0].max() > 0.1
    assert (mixed[..., 4] == 0.5).all()
    assert truth[..., 0].max() == 0


def test_teachers_are_not_heard_where_they_contradict_people():
    config = _config()
    blank = np.full((1, 96, 96, 3), 0.8, np.float32)
    truth = np.zeros((1, 96, 96, 4), np.float32)
    truth[0, 30:60, 30:60] = 1
    mixed = Teachers(config).mixed(standardize(blank[0], config.preprocessing)[None], truth)
    assert np.array_equal(mixed, truth)


def test_a_teacher_of_another_head_is_refused():
    with pytest.raises(ConfigError, match="teachers with the head distance"):
        Teachers(_config(head="distance"))
