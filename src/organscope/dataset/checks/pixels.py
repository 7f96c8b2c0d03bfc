"""Images whose pixels hold nothing, or no numbers."""

from collections.abc import Iterator

from organscope.dataset.checks.finding import Finding, Severity
from organscope.dataset.survey import Survey

#: A smaller image holds no whole cell at any usual magnification.
SMALLEST_SIDE_PX = 16


def not_finite(survey: Survey) -> Iterator[Finding]:
    """Images with not-a-number or infinite values."""
    for sample, pixels in survey.pixels():
        if pixels.n_nan or pixels.n_inf:
            message = f"Expected finite values, found {pixels.n_nan} not-a-number and {pixels.n_inf} infinite ones."
            remedy = "Export the image again without them; as it is, they are read as black."
            yield Finding(Severity.WARNING, "not-finite", sample.id, str(sample.image_path), message, remedy)


def constant_images(survey: Survey) -> Iterator[Finding]:
    """Images in which all pixels have one value, such as black ones."""
    for sample, pixels in survey.pixels():
        if pixels.is_constant and pixels.height_px * pixels.width_px > 1:
            what = "no finite value at all" if pixels.low is None else f"{pixels.low:g} in every pixel"
            message = f"Expected a picture, found {what}."
            remedy = "Export the image again, or remove it and import the folder again."
            yield Finding(Severity.ERROR, "constant-image", sample.id, str(sample.image_path), message, remedy)


def tiny_images(survey: Survey) -> Iterator[Finding]:
    """Images too small to show a cell; one pixel is an error."""
    for sample, pixels in survey.pixels():
        shortest = min(pixels.height_px, pixels.width_px)
        if shortest < SMALLEST_SIDE_PX:
            severity = Severity.ERROR if shortest <= 1 else Severity.WARNING
            message = (
                f"Expected at least {SMALLEST_SIDE_PX} px on each side, "
                f"found {pixels.height_px} x {pixels.width_px} px."
            )
            remedy = "Look whether this is a thumbnail or a failed export; remove it and import the folder again."
            yield Finding(severity, "tiny-image", sample.id, str(sample.image_path), message, remedy)
