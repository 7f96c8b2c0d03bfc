"""The scale that follows from what is known, and from what is seen."""

import numpy as np
import pytest
from scipy import ndimage

from organscope.errors import UsageError
from organscope.inference import Scale, Sizing, choose_scale, segment_image
from organscope.inference.scale import known_scale
from organscope.inference.segment import decoder_at, estimate_scale, look_of


def test_a_given_diameter_goes_before_pixel_sizes(colon, sized_bundle, opened):
    image = opened(colon, um_per_px=0.1)
    scale = known_scale(image, sized_bundle, Sizing(diameter_px=44))
    assert (scale.factor, scale.source) == (0.5, "cell diameter")
    assert "cells of 44 px, 22 px in training" in scale.note
    # The bundle was trained at 0.5 um a pixel.
    assert known_scale(image, sized_bundle, Sizing()).factor == pytest.approx(0.2)


def test_sizes_that_nearly_agree_leave_the_image_alone(colon, sized_bundle, opened):
    assert known_scale(opened(colon, um_per_px=0.47), sized_bundle, Sizing()) == Scale()
    assert known_scale(opened(colon), sized_bundle, Sizing(diameter_px=21)) == Scale()


def test_what_nobody_knows_is_estimated_only_where_it_is_wanted_and_possible(colon, cells_bundle, sized_bundle, opened):
    image = opened(colon)
    assert known_scale(image, sized_bundle, Sizing()) is None
    assert known_scale(image, sized_bundle, Sizing(automatic=False)) == Scale()
    assert known_scale(image, cells_bundle, Sizing()) == Scale()


def test_impossible_sizes_are_refused(colon, cells_bundle, sized_bundle, opened):
    image = opened(colon)
    with pytest.raises(UsageError, match="Check --diameter-px"):
        known_scale(image, sized_bundle, Sizing(diameter_px=1))
    with pytest.raises(UsageError, match="that says how large its cells were"):
        known_scale(image, cells_bundle, Sizing(diameter_px=20))


def discs(radius: int, n: int = 4) -> np.ndarray:
    """n x n soft dark discs on white, uint8 gray."""
    period = 3 * radius
    y, x = np.mgrid[: n * period, : n * period]
    depth = np.clip(radius - np.hypot(y % period - period // 2, x % period - period // 2), 0, 4) / 4
    return (255 * (1 - depth)).astype(np.uint8)


class Sure:
    """A bundle whose network is surer the closer the cells are to the size of its training, as trained ones are."""

    def __init__(self, bundle):
        self.manifest = bundle.manifest
        self._run = bundle.run

    def run(self, batch):
        found = self._run(batch)
        dark = batch[0].mean(axis=2) < 0.5
        diameter_px = max(1.0, 2 * ndimage.distance_transform_edt(dark).max())
        miss = abs(np.log2(diameter_px / self.manifest.spec.typical_diameter_px))
        return {"maps": found["maps"] * np.float32([max(0.55, 1 - 0.1 * miss), 1])}


@pytest.mark.parametrize(("radius", "factor"), [(11, 1.0), (44, 0.25), (22, 0.5)])
def test_the_scale_is_estimated_from_the_cells(sized_bundle, opened, radius, factor):
    scale = estimate_scale(opened(discs(radius)), Sure(sized_bundle))
    assert scale.factor == pytest.approx(factor, rel=0.35)
    assert scale.source == ("as trained" if factor == 1.0 else "estimated")


def test_a_network_that_is_no_surer_elsewhere_is_not_moved(sized_bundle, opened):
    assert estimate_scale(opened(discs(44)), sized_bundle) == Scale()


class Blind(Sure):
    """A bundle whose network does not see cells that are far smaller than those of its training."""

    def run(self, batch):
        found = super().run(batch)
        dark = batch[0].mean(axis=2) < 0.5
        seen = ndimage.distance_transform_edt(dark).max() >= 7
        return {"maps": found["maps"] * np.float32(seen)}


def test_where_nothing_is_found_the_scale_that_shows_cells_is_taken(sized_bundle, opened):
    scale = estimate_scale(opened(discs(6, n=8)), Blind(sized_bundle))
    assert scale.source == "estimated"
    # What is dark of each disc is about 8 px wide.
    assert scale.factor == pytest.approx(22 / 8, rel=0.1)


def test_an_image_without_cells_is_left_alone(sized_bundle, opened):
    white = np.full((200, 300), 255, np.uint8)
    assert segment_image(opened(white), sized_bundle).scale == Scale()


def test_a_large_image_is_judged_by_fields_with_contrast(sized_bundle, opened):
    pixels = np.full((1600, 1500), 250, np.uint8)
    tissue = discs(44)
    pixels[600 : 600 + len(tissue), 700 : 700 + len(tissue)] = tissue
    scale = choose_scale(opened(pixels), Sure(sized_bundle))
    assert scale.source == "estimated"
    assert scale.factor < 0.6


def test_half_of_the_area_lies_in_smaller_cells():
    labels = np.zeros((20, 20), np.int32)
    labels[:2, :2], labels[5:15, 5:15], labels[17:19, :2] = 1, 2, 3
    look = look_of(labels, np.float32([0.2, 0.9, 0.4]))
    assert look.n_cells == 3
    assert look.diameter_px == pytest.approx(np.sqrt(4 * 100 / np.pi))
    assert look.confidence == pytest.approx(0.5)


def test_areas_of_the_decoder_are_those_of_the_network(sized_bundle):
    decoder = sized_bundle.manifest.spec.decoder.model_copy(update={"min_area_px": 20, "smoothing": 2})
    larger = decoder_at(decoder, (0.5, 0.5))
    assert (larger.min_area_px, larger.smoothing) == (80, 8)
    assert larger.foreground_threshold == decoder.foreground_threshold
    assert decoder_at(decoder, (1.0, 1.0)) == decoder
