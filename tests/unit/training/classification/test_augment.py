"""What augmentation may and may not do to a batch of fields."""

import numpy as np
import pytest
import torch

from organscope.ops.intensity import gray_range
from organscope.training.classification.augment import augment, change_color, crop_side, mix_pairs
from organscope.training.classification.config import AugmentationConfig

NOTHING = {
    **dict.fromkeys(("rotation_deg", "scale", "stain", "brightness", "contrast"), 0.0),
    **dict.fromkeys(("saturation", "hue_deg", "gray", "noise", "mix"), 0.0),
    "crop": 1.0,
    "flip": False,
}


#: Black and white of gray copies, of 255: those of the whole range.
RANGE = torch.tensor([0.0, 255.0])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def fields(colon) -> torch.Tensor:
    """Four fields of a real image, uint8 4 x 3 x 128 x 128."""
    cut = [colon[y : y + 128, x : x + 128] for y in (0, 300) for x in (50, 350)]
    return torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2)


def test_crops_have_the_asked_size_and_range(fields):
    strong = AugmentationConfig(crop=0.75, rotation_deg=180, scale=1, stain=0.5, contrast=1, noise=0.5)
    crops = augment(fields, RANGE.expand(4, 2), strong, seeded())
    assert crops.shape == (4, 3, 96, 96)
    assert crops.dtype == torch.float32
    assert crops.min() >= 0
    assert crops.max() <= 1


def test_no_strength_leaves_the_fields_as_they_are(fields):
    same = augment(fields, RANGE.expand(4, 2), AugmentationConfig(**NOTHING), seeded())
    # Sampling at the pixels' own places, in float32 coordinates.
    torch.testing.assert_close(same, fields / 255.0, atol=1e-4, rtol=0)


def test_a_seed_decides_everything(fields):
    config = AugmentationConfig()
    first, again = (augment(fields, RANGE.expand(4, 2), config, seeded(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, augment(fields, RANGE.expand(4, 2), config, seeded(4)))


def test_each_field_is_changed_differently(fields):
    equal = fields[:1].repeat(4, 1, 1, 1)
    crops = augment(equal, RANGE.expand(4, 2), AugmentationConfig(), seeded())
    assert all(not torch.equal(crops[0], crop) for crop in crops[1:])


def test_flips_and_quarter_turns_keep_every_pixel(fields):
    turned = augment(fields, RANGE.expand(4, 2), AugmentationConfig(**NOTHING | {"flip": True}), seeded())
    for before, after in zip(fields / 255.0, turned, strict=True):
        mirrored = (before, before.flip(2))
        candidates = [torch.rot90(image, k, (1, 2)) for image in mirrored for k in range(4)]
        nearest = min((after - candidate).abs().max().item() for candidate in candidates)
        assert nearest < 1e-3  # float32 coordinates of the sampling


def test_magnification_and_turns_never_leave_a_black_border():
    white = torch.full((16, 3, 64, 64), 255, dtype=torch.uint8)
    config = AugmentationConfig(**NOTHING | {"rotation_deg": 180.0, "scale": 1.0})
    assert augment(white, RANGE.expand(16, 2), config, seeded()).min() > 0.99


def test_gray_is_stretched_about_as_a_gray_copy_of_the_image(fields, colon):
    low, high = gray_range(colon)
    ranges = torch.tensor([[low, high]]).expand(4, 2) / 255.0
    gray = change_color(fields / 255.0, ranges, AugmentationConfig(**NOTHING | {"gray": 1.0}), seeded())
    torch.testing.assert_close(gray[:, 0], gray[:, 1])
    torch.testing.assert_close(gray[:, 0], gray[:, 2])
    copy = ((fields.float().mean(dim=1) - low) / (high - low)).clamp(0.0, 1.0)
    # Black and white lie up to a tenth of the range elsewhere, so an intensity moves by .1 / .9 at most, and by chance.
    shift = (gray[:, 0] - copy).abs()
    assert shift.max() < 0.12
    assert shift.mean() > 0.005
    order = gray[:, 0].mean(dim=(1, 2)).argsort()
    assert order.tolist() == copy.mean(dim=(1, 2)).argsort().tolist()


def test_hue_keeps_the_luma():
    flat = torch.tensor([0.55, 0.45, 0.5]).view(1, 3, 1, 1).expand(8, 3, 4, 4)
    strong = AugmentationConfig(**NOTHING | {"hue_deg": 90.0, "saturation": 0.5})
    turned = change_color(flat, RANGE.expand(8, 2), strong, seeded())
    luma = torch.tensor([0.299, 0.587, 0.114])
    expected = torch.einsum("c,ncyx->nyx", luma, flat)
    # The coefficients of the color system are rounded to four digits.
    torch.testing.assert_close(torch.einsum("c,ncyx->nyx", luma, turned), expected, atol=1e-3, rtol=0)
    assert (turned - flat).abs().max() > 0.01


def test_stain_variation_is_the_same_for_every_pixel_of_a_color(fields):
    flat = torch.tensor([0.8, 0.4, 0.6]).view(1, 3, 1, 1).expand(5, 3, 4, 4)
    varied = change_color(flat, RANGE.expand(5, 2), AugmentationConfig(**NOTHING | {"stain": 0.2}), seeded())
    assert varied.flatten(2).std(dim=2).max() < 1e-6  # one color in, one color out, up to rounding
    assert varied[:, :, 0, 0].std(dim=0).min() > 0.01


def test_mixed_targets_stay_distributions_and_follow_the_pixels():
    fields = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 32, 32)
    for cutmix in (0.0, 1.0):
        config = AugmentationConfig(**NOTHING | {"mix": 1.0, "cutmix": cutmix})
        mixed, targets = mix_pairs(fields, torch.eye(4), config, seeded(1))
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(4))
        # The mean of an image of constant k is k: pixels and targets must be mixed by one share.
        torch.testing.assert_close(mixed.mean(dim=(1, 2, 3)), targets @ torch.arange(4.0))


def test_without_mixing_the_batch_is_untouched():
    fields, targets = torch.rand(4, 3, 8, 8), torch.eye(4)
    same, same_targets = mix_pairs(fields, targets, AugmentationConfig(mix=0.0), seeded())
    assert same is fields
    assert same_targets is targets


@pytest.mark.parametrize(("crop", "side"), [(1.0, 256), (0.75, 192), (0.7, 192), (0.01, 32)])
def test_crop_sides_are_multiples_of_the_stride(crop, side):
    assert crop_side(AugmentationConfig(crop=crop), 256) == side
