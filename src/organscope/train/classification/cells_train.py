"""Where a training on single cells differs from one on pictures: its data, its measures, its card."""

import numpy as np

from organscope.bundle import Bundle
from organscope.decide import Policy
from organscope.decide.pooling import Pooling
from organscope.train.classification.bundling import BundleWriter, Measured
from organscope.train.classification.cells_bundling import measure_on_cells
from organscope.train.classification.cells_data import (
    CellCrops,
    draw_probability,
    read_cells,
    spread_over_organs,
)
from organscope.train.classification.config import ClassificationConfig
from organscope.train.classification.fit import TrainingData
from organscope.train.run import Report, RunDirectory
from organscope.train.split import TrainingSplit

N_REFERENCES = 500
"""Cells whose embeddings tell what is known: every cell that is ever asked about is compared with all of them."""


def cell_training_data(
    config: ClassificationConfig, split: TrainingSplit, organs: list[str], report: Report
) -> TrainingData:
    """All cells of the training pictures, and a fixed sample of those of the validation pictures.

    Raises:
        InputError: A picture or its labels cannot be read, or do not fit.
        DatasetError: There is no cell to train or to validate on.
    """
    training = read_cells(split.training, config, config.fit.cache_mb)
    validation = read_cells(split.validation, config, np.inf)
    organ_of = {
        part: np.array([organs.index(s.organ) for s in getattr(split, part)]) for part in ("training", "validation")
    }
    training_organs = organ_of["training"][training.picture]
    validation_organs = organ_of["validation"][validation.picture]
    kept = spread_over_organs(validation_organs, config.cells.validation, config.data.seed)
    report(f"{len(training)} cells train, {len(kept)} of {len(validation)} tell when to stop")
    if training.pictures.n_cached < len(split.training):
        report(f"{training.pictures.n_cached} training pictures fit into fit.cache_mb; the others are read each time")
    return TrainingData(
        training=training,
        training_organs=training_organs,
        probability=draw_probability(training.picture, split.draw_probability, config.cells.picture_balance),
        validation=validation.chosen(kept),
        validation_organs=validation_organs[kept],
    )


def reference_cells(data: TrainingData, seed: int) -> CellCrops:
    """Training cells of all organs whose embeddings tell what is known."""
    return data.training.chosen(spread_over_organs(data.training_organs, N_REFERENCES, seed))


def measure_draft(writer: BundleWriter, split: TrainingSplit, run: RunDirectory) -> Measured:
    """Write a bundle without limits and find them on the validation pictures."""
    n_neighbours = min(Policy().n_neighbours, len(writer.reference))
    draft: Bundle = writer.write(run.state / "draft", Measured(Policy(n_neighbours=n_neighbours), pooling=Pooling()))
    return measure_on_cells(draft, split.validation)


def cell_facts(config: ClassificationConfig, data: TrainingData, split: TrainingSplit) -> list[str]:
    """Sentences for the card: what the network sees, and which cells it learnt from."""
    looks = (
        f" Cells below {config.cells.second_look:g} are seen from all eight sides." if config.cells.second_look else ""
    )
    return [
        f"It sees the square of {config.field.field_px} px around the centroid of a cell, resized to "
        f"{config.field.input_px} px and mirrored at the edge of the image; the cells of an image are pooled into one "
        f"answer.{looks}",
        f"{len(data.training)} labelled cells of {len(split.training)} pictures trained it; the cells of "
        f"{len(split.validation)} pictures (the inner validation) chose epoch, temperature, novelty limit and "
        f"pooling, so figures on these are optimistic; {len(split.test)} pictures were only scored.",
    ]
