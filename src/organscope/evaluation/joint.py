"""Joint calibration of the image-level and the cell-level classifier, evaluated."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

from organscope.decision import JointCalibration, decide_all, fit_joint_calibration
from organscope.decision.fitting import by_image
from organscope.errors import DatasetError, UsageError
from organscope.evaluation.classification import organ_labels, probabilities, summarize
from organscope.evaluation.evaluate import labeled
from organscope.evaluation.results import OUT_OF_FOLD, scores_of
from organscope.models import Bundle, Score, load_bundle, write_bundle
from organscope.models.describe import score_table

_MODEL = "together"
HEADING = "## Together with images"


@dataclass(frozen=True)
class _BothAnswers:
    """What images and their cells say of the same images, each by networks that never saw the image.

    Attributes:
        organs: Names of the classes.
        images: One row an image: `id`, `dataset`, `organ` (true), `group`, `fold`.
        image: Calibrated probability of each organ; so for `cells`.
        labels: The true organ.
    """

    organs: list[str]
    pictures: pd.DataFrame
    image: Float64[np.ndarray, "n c"]
    cells: Float64[np.ndarray, "n c"]
    labels: Int64[np.ndarray, " n"]

    def fitted(self, chosen: Int64[np.ndarray, " m"], images: Bundle) -> JointCalibration:
        """The decision of both, fitted on these images."""
        return fit_joint_calibration(
            self.image[chosen],
            self.cells[chosen],
            self.labels[chosen],
            self.organs,
            image_bundle=images.manifest.title,
            image_policy=images.policy,
        )


def calibrate_together(
    images: Bundle, cells: Bundle, scores: Path, folder: Path, *, version: str | None = None
) -> Bundle:
    """Write a bundle for cells again, with how its cells and an image decide together.

    Args:
        images: Bundle for images whose calibration table is out of fold, an ensemble.
        cells: Bundle for cells of the same organs.
        scores: Folder of its evaluation out of fold, of all networks of a cross-validation.
        folder: Of the new bundle.
        version: Of the new bundle; that of the old one where None.

    Raises:
        UsageError: The bundles name other organs, or the first is not calibrated out of fold.
        DatasetError: The scores are missing or of other images.
        OutputError: The folder cannot be written.
    """
    both = read_both(images, scores)
    if set(cells.manifest.classes) != set(both.organs):
        raise UsageError(
            f"Expected {cells.manifest.title} to name the organs of {images.manifest.title}, found others. Train both "
            "on the same data."
        )
    measured = _scores(both, images)
    old = cells.manifest
    spec = old.spec.model_copy(update={"together": both.fitted(np.arange(len(both.labels)), images)})
    kept = [score for score in old.scores if not score.metric.startswith(f"{_MODEL}_")]
    changes = {"version": version or old.version, "created": datetime.now(UTC).replace(microsecond=0)}
    manifest = old.model_copy(update={**changes, "spec": spec, "scores": [*kept, *measured]})
    files = {name: cells.read(name) for name in old.files}
    files[old.card] = _card(files[old.card].decode(), old.version, manifest.version, images, measured).encode()
    return load_bundle(write_bundle(folder, manifest, files))


def read_both(images: Bundle, scores: Path) -> _BothAnswers:
    """Join the calibration table of a bundle for images with the evaluation of bundles for cells.

    Raises:
        UsageError: The table is not out of fold.
        DatasetError: The scores are missing, of other organs or of other images.
    """
    table, organs = images.calibration(), images.manifest.classes
    if "part" not in table or set(table["part"]) != {OUT_OF_FOLD}:
        raise UsageError(
            f"Expected {images.manifest.title} to be calibrated out of fold, found another calibration. Make it with "
            "`organscope bundle ensemble`."
        )
    columns = [f"p_{organ}" for organ in organs]
    whole = by_image(table, columns)
    of_cells = _read_scores(scores, columns)
    shared = of_cells["id"].isin(whole.index)
    pictures = of_cells[shared].reset_index(drop=True)
    labels = organ_labels(pictures, organs)
    own = whole.loc[pictures["id"]]
    if len(pictures) == 0 or not np.array_equal(own["label"].to_numpy(int), labels):
        raise DatasetError(
            f"Expected the images of {images.manifest.title} in {scores}, found others. Evaluate the bundles for "
            "cells on the index that it was trained on."
        )
    kept = ["id", "dataset", "organ", "group", "fold"]
    cells = probabilities(pictures, organs).astype(np.float64)
    return _BothAnswers(organs, pictures[kept], own[columns].to_numpy(np.float64), cells, labels)


def _read_scores(scores: Path, columns: list[str]) -> pd.DataFrame:
    path = scores / "per_image.parquet"
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"Expected the scores of single images in {path}, found: {error}. Make them with `organscope evaluate "
            "CELL_BUNDLES INDEX --out-of-fold -o FOLDER`."
        ) from None
    if missing := {"id", "organ", "group", "fold", *columns} - set(table.columns):
        raise DatasetError(
            f"Expected the answer of the cells of each image in {path}, found no {sorted(missing)[0]}. Evaluate "
            "bundles for cells that name the same organs."
        )
    return table[table[columns].notna().all(axis=1)]


def _scores(both: _BothAnswers, images: Bundle) -> list[Score]:
    """Each fold decided on by what the others have fitted; distance and look of the images are left aside."""
    pictures = both.pictures.copy()
    columns = [f"p_{organ}" for organ in both.organs]
    pictures[columns] = 0.0
    for fold in sorted(set(pictures["fold"])):
        held = (pictures["fold"] == fold).to_numpy()
        together = both.fitted(np.flatnonzero(~held), images)
        found = together.probabilities(both.image[held], both.cells[held])
        answers = decide_all(found, np.zeros(len(found)), together.policy)
        assert answers.in_set is not None
        pictures.loc[held, columns] = found
        pictures.loc[held, "correct"] = found.argmax(axis=1) == both.labels[held]
        pictures.loc[held, "decision"] = np.where(answers.accepted, "accept", "abstain")
        pictures.loc[held, "set_size"] = answers.in_set.sum(axis=1)
        pictures.loc[held, "in_set"] = answers.in_set[np.arange(len(found)), both.labels[held]]
    pictures = pictures.astype({"correct": bool, "set_size": int, "in_set": bool})
    table, _ = summarize(pictures, both.organs)
    folds = ", ".join(str(fold) for fold in sorted(set(pictures["fold"])))
    dataset, subset = pictures["dataset"].iloc[0], f"{OUT_OF_FOLD} {folds}"
    return scores_of(labeled(table, _MODEL, dataset, subset, len(pictures)))


def _card(card: str, old: str, version: str, images: Bundle, scores: list[Score]) -> str:
    """The card with its version and a last section of what both decide together, in place of an earlier one."""
    lines = [
        HEADING,
        "",
        f"With {images.manifest.title} an image and its cells answer together, both counting alike. Temperature, "
        "limit, contract and prediction sets of this answer come from images that the networks never saw: of the "
        "single networks of a cross-validation, with nuclei drawn by hand. Each fold below is decided on by the fit "
        "of the others; distance and look of the images are left aside.",
        "",
        score_table([score.model_copy(update={"metric": score.metric.removeprefix(f"{_MODEL}_")}) for score in scores]),
    ]
    before = card.split(HEADING)[0].rstrip().replace(old, version, 1)
    return "\n".join([before, "", *lines, ""])
