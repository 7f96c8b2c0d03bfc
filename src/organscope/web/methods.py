"""What a paper or a report has to say about how results were made, as sentences."""

from collections.abc import Sequence
from typing import Any

from organscope import __version__
from organscope.ops.pixel_size import pixel_size_text
from organscope.web.verdicts import Question

LICENCE = "Research use, not a medical device."


def methods_text(
    images: Sequence[dict[str, Any]],
    n_cells: tuple[int, int],
    question: Question,
    promised: Sequence[str],
    coverage: float | None,
) -> list[str]:
    """Paragraphs: software and models, cells, organs and abstention, prices and promise, corrections.

    Args:
        images: Rows of the database with their summaries.
        n_cells: Cells that are there with the corrections of experts, and cells that the analysis found.
        question: The prices that the verdicts were given at.
        promised: What is promised for the positive organ.
        coverage: Of the prediction sets; None where there are none.
    """
    finished = [row for row in images if row["summary"]]
    bundles = sorted({f"{b['name']} {b['version']}" for row in finished for b in row["summary"]["bundles"]})
    left, n_found = n_cells
    corrected = "" if left == n_found else f" Corrections by experts left {left:,}."
    paragraphs = [
        f"{_counted(len(finished))} analysed with organscope {__version__} and the models {', '.join(bundles)}. "
        f"{_pixel_sizes(finished)}",
        "Cells were segmented by a convolutional network in overlapping tiles, such that the result does not depend on "
        f"the tiling; {n_found:,} cells were found.{corrected} Shape and intensity of each were measured at full "
        "resolution; a cell that touches the edge of the image is marked as such.",
        "The organ was named by a convolutional network from fields that cover the image; its probabilities were "
        "calibrated by temperature scaling on held-out pictures (Guo et al., ICML 2017). The answer is withheld where "
        "the picture is unlike the training pictures (deep nearest neighbours; Sun et al., ICML 2022), or where no "
        "organ is probable enough.",
    ]
    if coverage is not None:
        paragraphs.append(
            f"Organs that cannot be ruled out are those of a split conformal prediction set with a coverage of "
            f"{coverage:.0%} (Sadinle et al., J. Am. Stat. Assoc. 2019), stated only for pictures near the training "
            "pictures."
        )
    if question.positive:
        paragraphs.append(
            f"Answers are those of least expected cost (Elkan, IJCAI 2001), where missing {question.positive} costs "
            f"{question.miss_cost:g} times as much as any other mistake. {' '.join(promised)}".strip()
        )
    paragraphs.append("Corrections by experts, where there are any, are named as such and applied to cells and organs.")
    paragraphs.append(LICENCE)
    return paragraphs


def _counted(n_images: int) -> str:
    return "1 image was" if n_images == 1 else f"{n_images:,} images were"


def _pixel_sizes(rows: Sequence[dict[str, Any]]) -> str:
    sizes = sorted({row["summary"]["um_per_px"] for row in rows if row["summary"]["um_per_px"]})
    unknown = sum(row["summary"]["um_per_px"] is None for row in rows)
    parts = [f"The pixel size was {', '.join(pixel_size_text(size, 'µm') for size in sizes)}."] if sizes else []
    of_some = f" of {unknown} of the images" if sizes else ""
    parts += [f"The pixel size{of_some} is unknown; measures are then in pixels."] if unknown else []
    return " ".join(parts)
