"""What a person may choose about the training of an organ classifier.

What a person may choose about a training on single cells.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from organscope.ops.intensity import Preprocessing
from organscope.training.config import BundleSettings, Settings, TrainingSettings


class _CellsConfig(Settings):
    """Which cells are shown, and how many; only for `field.subject = "cell"`.

    Attributes:
        per_epoch: Cells drawn between two validations.
        validation: Most cells of the inner validation images that tell when to stop, spread over the organs.
        picture_balance: 1 draws every image of an organ equally often however many cells it has, 0 every cell.
        room: The square that a training crop is turned, magnified and shifted in, as a multiple of
            `field.field_px`; 1 mirrors what lies outside the crop.
        second_look: In use, cells whose answer is less probable than this before calibration are turned to all four
            sides, which takes three more looks at each of them; 0 for none.
    """

    per_epoch: int = Field(4096, ge=1)
    validation: int = Field(2000, ge=1)
    picture_balance: float = Field(0.5, ge=0, le=1)
    room: float = Field(1.5, ge=1, le=3)
    second_look: float = Field(0.6, ge=0, le=1)


_Share = Annotated[float, Field(ge=0, le=1)]


class NetworkConfig(Settings):
    """The backbone and how it is built.

    Attributes:
        backbone: Name of any timm model.
        pretrained: Start from the weights that timm publishes; needs internet.
        start: Start from the backbone of this bundle (a name or a folder), with a fresh head.
        drop_rate: Dropout before the head.
        drop_path_rate: Stochastic depth.
        arguments: Further arguments of the timm model, for instance `channels = [32, 64, 128, 256]`, which makes
            a ResNet half as wide.
        stages: How many of the last stages the head reads. With more than one it sees texture as early layers
            do, which is learnt from few images.
        texture: The head also reads log energies of the earlier stages and how all that varies over the field.
        limit: How many standard deviations a local value counts at most where `texture` is read.
        sees: `colour` as it is, or `gray`: the mean of red, green and blue, the brightness and contrast of each field
            divided out, for slides of other stains than those of the training.
    """

    backbone: str = "resnet18"
    pretrained: bool = False
    start: str | None = None
    drop_rate: float = Field(0.0, ge=0, lt=1)
    drop_path_rate: float = Field(0.0, ge=0, lt=1)
    arguments: dict[str, Any] = Field(default_factory=dict)
    stages: int = Field(1, ge=1, le=8)
    texture: bool = False
    limit: float = Field(3.0, gt=0)
    sees: Literal["colour", "gray"] = "colour"


class FieldConfig(Settings):
    """What the network sees of an image.

    Attributes:
        subject: What is named: an `image`, from squares anywhere in it, or each labeled `cell`, from the square
            around its centroid.
        field_px: Side of the square that is cut from the image, in pixels of the image.
        input_px: Side that the square is resized to for the network.
    """

    subject: Literal["image", "cell"] = "image"
    field_px: int = Field(512, ge=32)
    input_px: int = Field(256, ge=32)


class AugmentationConfig(Settings):
    """How a training field is changed each time it is shown. A strength of 0 switches a change off.

    Attributes:
        crop: Side of the random crop as a share of the field; rounded to a multiple of 32 px.
        flip: Mirror and turn by multiples of 90 degrees.
        rotation_deg: Largest further turn.
        shift: How far the crop may lie from the middle of the field, as a share of the room it has there.
        scale: Magnification is drawn between 1 / (1 + scale) and 1 + scale.
        stain: Strength in haematoxylin-eosin-DAB space (Tellez et al. 2019).
        brightness: Largest shift, of a range of 1.
        contrast: Contrast is multiplied by 1 - contrast to 1 + contrast.
        saturation: Color is multiplied by 1 - saturation to 1 + saturation.
        hue_deg: Largest turn of the hue.
        gray: Share of the fields that lose their color, stretched about as a gray copy of their image would be.
        noise: Largest standard deviation of pixel noise, of a range of 1.
        mix: Share of the batches in which pairs of fields are mixed.
        cutmix: Share of the mixed batches that paste a rectangle (CutMix); the others are blended (mixup).
        mixup_alpha: Parameter of the Beta distribution that blends.
    """

    crop: float = Field(0.75, gt=0, le=1)
    flip: bool = True
    rotation_deg: float = Field(20.0, ge=0, le=180)
    shift: _Share = 1.0
    scale: float = Field(0.2, ge=0, le=2)
    stain: _Share = 0.1
    brightness: _Share = 0.05
    contrast: _Share = 0.15
    saturation: _Share = 0.2
    hue_deg: float = Field(6.0, ge=0, le=180)
    gray: _Share = 0.15
    noise: _Share = 0.02
    mix: _Share = 0.5
    cutmix: _Share = 0.5
    mixup_alpha: float = Field(0.3, gt=0)


class LossConfig(Settings):
    """What a wrong organ costs while training.

    Attributes:
        kind: `plain` cross-entropy; `class_weighted` by inverse frequency; `focal` (Lin et al. 2017);
            `logit_adjusted` by class frequency (Menon et al. 2021).
        label_smoothing: Share of the target that is spread over all organs.
        focus: Exponent of the focal loss.
        adjustment: Strength of the logit adjustment.
        per_stage: Weight of the mean loss of the stages by themselves, when the head reads several.
        positive_class: Organ whose misses weigh more.
        positive_weight: How much more.
    """

    kind: Literal["plain", "class_weighted", "focal", "logit_adjusted"] = "plain"
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    focus: float = Field(2.0, ge=0)
    adjustment: float = Field(1.0, ge=0)
    per_stage: float = Field(0.0, ge=0)
    positive_class: str | None = None
    positive_weight: float = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _weight_needs_class(self) -> Self:
        if self.positive_weight != 1.0 and self.positive_class is None:
            raise ValueError("positive_weight is set without positive_class: name the organ it belongs to")
        return self


class DiscriminantConfig(Settings):
    """A second head, in closed form, that joins the trained one; only for whole images.

    Attributes:
        share: Of the logits, from 0 (none) to 1 (the trained head no longer counts).
        penalty: Of large weights, see `organscope.training.classification.linear_head.fit_discriminant`.
        gray_weight: How much a gray copy of an image counts beside it.
        turned: How many turned copies of each image there are; each counts like the image.
        turned_gray: How many more of them there are that are gray as well; each counts like a gray copy.
        stain: Copies have their haematoxylin and their eosin stronger and weaker by up to this share.
        stain_weight: How much each of these eight copies counts beside its image.
    """

    share: _Share = 0.0
    penalty: float = Field(1e-6, gt=0)
    gray_weight: _Share = 1.0
    turned: int = Field(0, ge=0, le=50)
    turned_gray: int = Field(0, ge=0, le=50)
    stain: _Share = 0.0
    stain_weight: float = Field(0.25, gt=0, le=1)


class FitConfig(Settings):
    """How long and how fast the network learns.

    Attributes:
        epochs: Most passes over the training images; the learning rate falls to 0 over them.
        max_minutes: Stop after the epoch in which this time is reached, with the learning rate at 0 by then;
            not limited when absent. Only without it does a resumed run equal an uninterrupted one exactly.
        patience: Stop after so many epochs without a better `monitor`.
        monitor: What "better" means on the inner validation images: `nll` or `balanced_accuracy`; with `none`
            nothing is: every epoch is gone through and the last weights are kept, for a split that holds back too
            few images to choose by.
        batch: Images in one step.
        learning_rate: Highest, of AdamW.
        weight_decay: Of AdamW, on weights of two or more dimensions.
        warm_up_epochs: The learning rate rises from 0 over them.
        clip_norm: Longest gradient.
        ema_decay: Of the moving average of the weights, which is what is validated and shipped.
        precision: `bf16` computes the forward pass in bfloat16; the weights stay float32. `auto` does so where the
            computer has instructions for it; without them it takes several times as long as `fp32`.
        cache_mb: Memory for training images that are kept decoded, and as much for validation images; the others
            are read again each time. Of each process, where several train together.
        seed: Of weights, order and augmentation.
    """

    epochs: int = Field(200, ge=1)
    max_minutes: float | None = Field(None, gt=0)
    patience: int = Field(60, ge=1)
    monitor: Literal["nll", "balanced_accuracy", "none"] = "nll"
    batch: int = Field(32, ge=2)
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    warm_up_epochs: int = Field(5, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    ema_decay: float = Field(0.99, ge=0, lt=1)
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    cache_mb: int = Field(1024, ge=0)
    seed: int = 0


class _OrganBundleSettings(BundleSettings):
    """What the bundle is called, and how large it may be.

    Attributes:
        max_mb: Largest size of all files together. More than 25 is for comparing large networks: such a bundle
            does not ship.
    """

    max_mb: float = Field(25, gt=0)


class ClassificationConfig(TrainingSettings):
    """The whole configuration of `organscope train classification`."""

    FREE_ON_RESUME: ClassVar[frozenset[str]] = TrainingSettings.FREE_ON_RESUME | {"discriminant"}

    task: Literal["classification"] = "classification"
    bundle: _OrganBundleSettings
    network: NetworkConfig = NetworkConfig()
    field: FieldConfig = FieldConfig()
    preprocessing: Preprocessing = Preprocessing(intensity="full_range")
    augmentation: AugmentationConfig = AugmentationConfig()
    loss: LossConfig = LossConfig()
    cells: _CellsConfig = _CellsConfig()
    fit: FitConfig = FitConfig()
    discriminant: DiscriminantConfig = DiscriminantConfig()
