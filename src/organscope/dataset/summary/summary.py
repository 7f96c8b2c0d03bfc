"""All tables of a data set together."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from organscope.dataset.index import Sample
from organscope.dataset.summary.distributions import Measure, choose_measures, count_by_organ, long_table
from organscope.dataset.summary.embedding import Embedding, embed_images
from organscope.dataset.summary.examples import choose_examples
from organscope.dataset.summary.tables import images_table, organs_table
from organscope.dataset.survey import Survey
from organscope.errors import DatasetError


@dataclass(frozen=True)
class Summary:
    """A data set in figures.

    Attributes:
        images: One row an image, `tables.images_table`.
        organs: One row an organ, `tables.organs_table`.
        measures: Properties of cells that were counted, the area first.
        counts: Name of the measure -> organ -> cells in each bin; organs without cells are left out.
        embedding: The map, None where there are too few images.
        examples: Images for a montage.
    """

    images: pd.DataFrame
    organs: pd.DataFrame
    measures: tuple[Measure, ...]
    counts: dict[str, dict[str, np.ndarray]]
    embedding: Embedding | None
    examples: list[Sample]

    @property
    def n_images(self) -> int:
        """Images that could be read."""
        return len(self.images)

    @property
    def n_cells(self) -> int:
        """Cells of all label images that could be read."""
        return int(self.organs["n_cells"].sum())

    @property
    def n_organs(self) -> int:
        """Organs with at least one image; images of unknown organ count as one."""
        return len(self.organs)

    def distributions(self) -> pd.DataFrame:
        """All counts as one long table."""
        return long_table(self.counts, self.measures)


def summarise(survey: Survey, *, umap: bool = True) -> Summary:
    """Make the tables of a data set.

    Args:
        survey: What was found in its files.
        umap: Also make the UMAP map where umap-learn is installed.

    Raises:
        DatasetError: No image can be read.
    """
    images = images_table(survey)
    if images.empty:
        first = next(facts.image_error for _, facts in survey)
        raise DatasetError(f"No image of {survey.index.folder} can be read. The first reason: {first}")
    measures = choose_measures(survey)
    counts = {measure.name: count_by_organ(survey, measure) for measure in measures}
    return Summary(
        images=images,
        organs=organs_table(images, measures, counts),
        measures=measures,
        counts=counts,
        embedding=embed_images(survey, images, umap=umap),
        examples=choose_examples(survey),
    )
