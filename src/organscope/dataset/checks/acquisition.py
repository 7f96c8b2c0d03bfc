"""How images were taken: mixed types and pixel sizes, also where these alone tell the organ."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from organscope.dataset.checks.finding import Finding, Severity
from organscope.dataset.survey import Survey
from organscope.dataset.survey.pixels import PixelFacts
from organscope.ops.pixel_size import pixel_size_text

#: Share of the way from guessing the largest organ (0) to always right (1) from which a finding is made.
MIN_SKILL = 0.25


def mixed_types(survey: Survey) -> Iterator[Finding]:
    """Several pixel types or numbers of channels in one set."""
    kinds = Counter(f"{pixels.n_channels} x {pixels.dtype}" for _, pixels in survey.pixels())
    if len(kinds) > 1:
        message = f"Expected one pixel type, found {_counts(kinds)}."
        remedy = "Find out why; images of several microscopes are better imported as several sets."
        yield Finding(Severity.WARNING, "mixed-types", "", "", message, remedy)


def mixed_pixel_sizes(survey: Survey) -> Iterator[Finding]:
    """Pixel sizes that differ, or are known for some images only."""
    sizes = Counter(_pixel_size(pixels) for _, pixels in survey.pixels())
    if len(sizes) > 1:
        message = f"Expected one pixel size, found {_counts(sizes)}: cells of one size have different sizes in pixels."
        remedy = "Give the pixel size when importing (--um-per-px), or import the magnifications as several sets."
        yield Finding(Severity.WARNING, "mixed-pixel-sizes", "", "", message, remedy)


def unknown_pixel_size(survey: Survey) -> Iterator[Finding]:
    """No image says how large a pixel is."""
    sizes = [pixels.um_per_px for _, pixels in survey.pixels()]
    if sizes and not any(sizes):
        message = "The files do not say how large a pixel is; sizes of cells are in pixels only."
        remedy = "Where it is known, give it when importing: --um-per-px."
        yield Finding(Severity.NOTE, "unknown-pixel-size", "", "", message, remedy)


def acquisition_tells_organ(survey: Survey) -> Iterator[Finding]:
    """Picture size, pixel type, channels or pixel size that differ by organ, so that they alone name it."""
    names: tuple[tuple[str, Callable[[PixelFacts], str]], ...] = (
        ("picture size", lambda pixels: f"{pixels.height_px} x {pixels.width_px} px"),
        ("pixel type", lambda pixels: f"{pixels.n_channels} x {pixels.dtype}"),
        ("pixel size", _pixel_size),
    )
    known = [(sample.organ, pixels) for sample, pixels in survey.pixels() if sample.organ]
    for name, read in names:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for organ, pixels in known:
            counts[read(pixels)][organ] += 1
        # A value that one image alone has names its organ without meaning anything.
        repeated = {value: organs for value, organs in counts.items() if organs.total() > 1}
        skill, accuracy, chance = _skill(repeated)
        if skill >= MIN_SKILL:
            message = (
                f"The {name} alone names the organ of {accuracy:.0%} of the images (the most frequent organ: "
                f"{chance:.0%}): the organs were taken in different ways, and a network can learn that instead."
            )
            remedy = "Export all organs in one way, or score on images of each organ taken in the other way."
            yield Finding(Severity.WARNING, "acquisition-tells-organ", "", "", message, remedy)


def _skill(counts: dict[str, Counter[str]]) -> tuple[float, float, float]:
    """Skill of naming the most frequent organ of each value, its accuracy, and that of the most frequent of all."""
    total = sum(organs.total() for organs in counts.values())
    if not total:
        return 0.0, 0.0, 0.0
    right = sum(max(organs.values()) for organs in counts.values()) / total
    chance = max(sum(counts.values(), Counter()).values()) / total
    return (right - chance) / (1 - chance) if chance < 1 else 0.0, right, chance


def _pixel_size(pixels: PixelFacts) -> str:
    return "unknown" if pixels.um_per_px is None else pixel_size_text(pixels.um_per_px)


def _counts(kinds: Counter[str]) -> str:
    most = ", ".join(f"{kind} ({n} images)" for kind, n in kinds.most_common(4))
    return most if len(kinds) <= 4 else f"{most} and {len(kinds) - 4} more"
