"""Change a batch of training fields, each field differently, in tensor operations over the whole batch.

Every random number comes from one generator on the CPU, so a seed gives the same batch on any device.
"""

import math

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor
from torch.nn import functional

from organscope.training.classification.config import AugmentationConfig

#: Optical density of haematoxylin, eosin and DAB in red, green and blue (Ruifrok & Johnston 2001).
_STAINS = torch.tensor([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
#: Red, green, blue -> luma and the two color differences of the NTSC system, in which hue is an angle.
_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
#: How far black and white of a field that loses its color may lie from those of its image, as a share of the range.
_GRAY_SHIFT = 0.1
#: A crop is a multiple of this, the usual stride of a backbone.
_CROP_STEP_PX = 32


def crop_side(config: AugmentationConfig, input_px: int) -> int:
    """Side of the training crops in pixels of the network's input."""
    steps = round(config.crop * input_px / _CROP_STEP_PX)
    return min(input_px, max(_CROP_STEP_PX, steps * _CROP_STEP_PX))


def augment(
    fields: UInt8[Tensor, "n 3 y x"],
    gray_range: Float[Tensor, "n 2"],
    config: AugmentationConfig,
    generator: Generator,
) -> Float[Tensor, "n 3 crop crop"]:
    """Crop, turn, magnify and recolor fields.

    Args:
        fields: Square fields at the network's scale.
        gray_range: Black and white of a gray copy of the image of each, of 255.
        config: Strengths.
        generator: On the CPU.

    Returns:
        Intensities in [0, 1], not yet standardized.
    """
    crops = change_geometry(fields.float() / 255.0, config, generator).clamp(0.0, 1.0)
    return change_color(crops, gray_range / 255.0, config, generator)


def change_geometry(
    fields: Float[Tensor, "n 3 y x"], config: AugmentationConfig, generator: Generator
) -> Float[Tensor, "n 3 crop crop"]:
    """Take one random crop of each field: mirrored, turned and magnified in a single bicubic sampling."""
    n, field_px = len(fields), fields.shape[-1]
    side = crop_side(config, field_px)
    angle = torch.deg2rad(_uniform(n, config.rotation_deg, generator))
    mirror = torch.ones(n)
    if config.flip:
        angle = angle + math.pi / 2 * torch.randint(0, 4, (n,), generator=generator)
        mirror = 1.0 - 2.0 * torch.randint(0, 2, (n,), generator=generator)
    magnification = torch.exp(_uniform(n, math.log1p(config.scale), generator))
    extent = side / field_px / magnification
    cosine, sine = angle.cos() * extent, angle.sin() * extent
    # The center may move as far as the turned crop stays inside the field; where it cannot, the field is mirrored.
    slack = (1.0 - cosine.abs() - sine.abs()).clamp(min=0.0)
    x, y = (_uniform(n, config.shift, generator) * slack for _ in range(2))
    rows = [torch.stack([cosine * mirror, -sine, x], dim=1), torch.stack([sine * mirror, cosine, y], dim=1)]
    grid = functional.affine_grid(torch.stack(rows, dim=1).to(fields.device), [n, 3, side, side], align_corners=False)
    return functional.grid_sample(fields, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


def change_color(
    fields: Float[Tensor, "n 3 y x"],
    gray_range: Float[Tensor, "n 2"],
    config: AugmentationConfig,
    generator: Generator,
) -> Float[Tensor, "n 3 y x"]:
    """Vary stain, hue, saturation, brightness and contrast; take the color of some; add noise."""
    n = len(fields)
    if config.stain > 0:
        fields = _vary_stain(fields, config.stain, generator)
    if config.hue_deg > 0 or config.saturation > 0:
        fields = _vary_hue(fields, config.hue_deg, config.saturation, generator)
    contrast = _each(1.0 + _uniform(n, config.contrast, generator), fields)
    brightness = _each(_uniform(n, config.brightness, generator), fields)
    mean = fields.mean(dim=(1, 2, 3), keepdim=True)
    fields = (fields - mean) * contrast + mean + brightness
    if config.gray > 0:
        fields = _take_color(fields, gray_range, config.gray, generator)
    if config.noise > 0:
        strength = _each(config.noise * torch.rand(n, generator=generator), fields)
        fields = fields + strength * torch.randn(fields.shape, generator=generator).to(fields.device)
    return fields.clamp(0.0, 1.0)


def mix_pairs(
    fields: Float[Tensor, "n 3 y x"],
    targets: Float[Tensor, "n organ"],
    config: AugmentationConfig,
    generator: Generator,
) -> tuple[Float[Tensor, "n 3 y x"], Float[Tensor, "n organ"]]:
    """Blend pairs of fields (mixup, Zhang et al. 2018) or paste a part of one into the other (CutMix, Yun et al. 2019).

    Only the share `config.mix` of the batches is mixed; the targets are mixed as the pixels are.
    """
    if torch.rand((), generator=generator) >= config.mix:
        return fields, targets
    partner = torch.randperm(len(fields), generator=generator).to(fields.device)
    if torch.rand((), generator=generator) < config.cutmix:
        mask = _pasted_part(fields.shape[-2], fields.shape[-1], generator).to(fields.device)
        fields = torch.where(mask, fields[partner], fields)
        share = 1.0 - mask.float().mean()
    else:
        share = _beta(config.mixup_alpha, generator)
        fields = share * fields + (1.0 - share) * fields[partner]
    return fields, share * targets + (1.0 - share) * targets[partner]


def _vary_stain(fields: Tensor, strength: float, generator: Generator) -> Tensor:
    """Scale and shift the amount of each stain (Tellez et al. 2019, section 3.2)."""
    n = len(fields)
    stains = _STAINS / _STAINS.norm(dim=1, keepdim=True)
    factor = 1.0 + _uniform((n, 3), strength, generator)
    shift = _uniform((n, 3), strength, generator)
    # Density -> stains -> scaled stains -> density is one matrix a field.
    matrix = (stains.inverse() * factor[:, None, :]) @ stains
    offset = (shift[:, None, :] @ stains).transpose(1, 2)[..., None].to(fields.device)
    density = -torch.log(fields.clamp(min=1.0 / 255.0))
    density = torch.einsum("ncyx,ncd->ndyx", density, matrix.to(fields.device)) + offset
    return torch.exp(-density)


def _vary_hue(fields: Tensor, hue_deg: float, saturation: float, generator: Generator) -> Tensor:
    """Turn and scale the color differences, leaving the luma."""
    n = len(fields)
    angle = torch.deg2rad(_uniform(n, hue_deg, generator))
    factor = 1.0 + _uniform(n, saturation, generator)
    turn = torch.zeros(n, 3, 3)
    turn[:, 0, 0] = 1.0
    turn[:, 1, 1] = turn[:, 2, 2] = factor * angle.cos()
    turn[:, 1, 2] = -factor * angle.sin()
    turn[:, 2, 1] = factor * angle.sin()
    matrix = (_YIQ.inverse() @ turn @ _YIQ).to(fields.device)
    return torch.einsum("ndc,ncyx->ndyx", matrix, fields)


def _take_color(fields: Tensor, gray_range: Tensor, share: float, generator: Generator) -> Tensor:
    """Make a share of the fields gray, about as a gray copy of their image is stretched.

    So a field stays darker or lighter than others of its image, which a range of its own would hide.
    """
    n = len(fields)
    chosen = _each(torch.rand(n, generator=generator) < share, fields)
    width = (gray_range[:, 1] - gray_range[:, 0]).clamp(min=1.0 / 255.0)
    black, white = (gray_range[:, end] + width * _uniform(n, _GRAY_SHIFT, generator) for end in (0, 1))
    gray = (fields.mean(dim=1, keepdim=True) - _each(black, fields)) / _each(white - black, fields)
    return torch.where(chosen, gray.expand_as(fields), fields)


def _pasted_part(height: int, width: int, generator: Generator) -> Tensor:
    """A random rectangle whose area is uniform in [0, 1] before it is cut at the edges."""
    side = math.sqrt(float(torch.rand((), generator=generator)))
    center = torch.rand(2, generator=generator)
    y = torch.arange(height)[:, None] + 0.5
    x = torch.arange(width)[None, :] + 0.5
    rows = (y - height * center[0]).abs() < height * side / 2
    columns = (x - width * center[1]).abs() < width * side / 2
    return rows & columns


def _beta(alpha: float, generator: Generator) -> float:
    """One number from Beta(alpha, alpha), which torch cannot draw from a generator of its own: Jöhnk's method."""
    while True:
        u, v = (float(value) ** (1.0 / alpha) for value in torch.rand(2, generator=generator).double())
        if 0.0 < u + v <= 1.0:
            return u / (u + v)


def _uniform(shape: int | tuple[int, ...], largest: float, generator: Generator) -> Tensor:
    return (2.0 * torch.rand(shape, generator=generator) - 1.0) * largest


def _each(values: Tensor, fields: Tensor) -> Tensor:
    """One value a field, shaped to be combined with the fields."""
    return values.view(-1, 1, 1, 1).to(fields.device)
