"""What a comparison hands back, and which figures it is about.

From what a person names to models that can be compared.

Which differences between models are real: paired tests on the same images, corrected for their number.

Where models differ: organ by organ.

The images on which models disagree most.
"""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Int32, Int64, Num

from organscope.data.index import Index
from organscope.errors import UsageError
from organscope.evaluation.metrics.classification import confusion_matrix, per_class_scores
from organscope.evaluation.metrics.segmentation import defined_mean
from organscope.evaluation.statistics import (
    SEED,
    PairedDifference,
    choose_unit,
    holm,
    mcnemar,
    paired_difference,
    paired_mean_difference,
)
from organscope.inference import segment_image
from organscope.models import Bundle, load_bundle
from organscope.models.manifest import MANIFEST_NAME

_BUNDLE_FOLDER = "bundle"
_METRICS_FILE = "metrics.jsonl"
_CONFIG_FILE = "config.json"


@dataclass(frozen=True)
class Model:
    """One of the models of a comparison.

    Attributes:
        name: Unlike those of the others.
        bundle: Ready to run.
        run: Folder of the training that it is from; None where only a bundle was named.
    """

    name: str
    bundle: Bundle
    run: Path | None = None

    def epochs(self) -> pd.DataFrame:
        """One row an epoch, as the training wrote them; empty without a run folder."""
        path = None if self.run is None else self.run / _METRICS_FILE
        if path is None or not path.is_file():
            return pd.DataFrame()
        return pd.DataFrame([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])


def find_models(names: Sequence[str], *, threads: int | None = None) -> list[Model]:
    """Load the models.

    Args:
        names: Run directories, folders of run directories (each that holds a bundle takes part), bundles by path, or
            names of bundles inside the package.
        threads: Of each network.

    Raises:
        UsageError: A training has no bundle yet, there are fewer than two models, or they are for different things.
        InputError: A bundle cannot be read.
    """
    sources = [source for name in names for source in _sources(name)]
    models: list[Model] = []
    for source, run in sources:
        bundle = load_bundle(source, threads=threads)
        label = _unused(run.resolve().name if run else bundle.manifest.name, {model.name for model in models})
        models.append(Model(label, bundle, run))
    if len(models) < 2:
        raise UsageError(f"Expected at least two models to compare, found {len(models)}. Name another run or bundle.")
    _require_one_kind(models)
    return models


def _sources(name: str) -> list[tuple[str | Path, Path | None]]:
    """What to load, and the run folder it is from."""
    folder = Path(name)
    if (folder / _BUNDLE_FOLDER / MANIFEST_NAME).is_file():
        return [(folder / _BUNDLE_FOLDER, folder)]
    if not folder.is_dir() or (folder / MANIFEST_NAME).is_file():
        return [(name, None)]
    inside = sorted(path.parents[1] for path in folder.glob(f"*/{_BUNDLE_FOLDER}/{MANIFEST_NAME}"))
    if inside:
        return [(run / _BUNDLE_FOLDER, run) for run in inside]
    if (folder / _CONFIG_FILE).is_file():
        raise UsageError(
            f"Expected a finished training in {folder}, found no {_BUNDLE_FOLDER}/. Let it end, or leave it out."
        )
    raise UsageError(f"Expected a run directory or a bundle, found neither in {folder}. Check the path.")


def _unused(name: str, taken: set[str]) -> str:
    names = (name if number == 1 else f"{name} ({number})" for number in range(1, len(taken) + 2))
    return next(candidate for candidate in names if candidate not in taken)


def _require_one_kind(models: Sequence[Model]) -> None:
    tasks = {model.name: model.bundle.manifest.spec.task for model in models}
    if len(set(tasks.values())) > 1:
        listed = ", ".join(f"{name} ({task})" for name, task in tasks.items())
        raise UsageError(f"Expected models for one task, found {listed}. Compare each task by itself.")
    for model in models:
        spec = model.bundle.manifest.spec
        if spec.task == "cell kinds" or (spec.task == "classification" and spec.subject == "cell"):
            raise UsageError(
                f"Expected models that answer for whole images, found {model.name}, which answers for single cells. "
                "Its scores: organscope bundle show."
            )


_Task = Literal["segmentation", "classification"]

#: Scores that are better the smaller they are.
SMALLER_IS_BETTER = frozenset({"missed_rate", "false_rate", "adapted_rand_error", "nll", "ece", "brier"})


@dataclass(frozen=True)
class Measures:
    """The figures of a task.

    Attributes:
        main: By which models are ranked and images and organs are set against each other.
        shown: Scores of the table, in its order.
        tested: Scores whose differences are tested.
        curves: Keys of `metrics.jsonl` that are drawn for models that come with their run folder.
        speed: What the seconds are counted in.
    """

    main: str
    shown: tuple[str, ...]
    tested: tuple[str, ...]
    curves: tuple[str, str]
    speed: Literal["s_per_megapixel", "ms_per_image"]


MEASURES: dict[_Task, Measures] = {
    "segmentation": Measures(
        main="pq",
        shown=("dice", "aji", "pq", "ap_50", "mean_ap", "missed_rate", "false_rate"),
        tested=("dice", "aji", "pq", "ap_50", "mean_ap", "missed_rate", "false_rate"),
        curves=("loss", "pq"),
        speed="s_per_megapixel",
    ),
    "classification": Measures(
        main="accuracy",
        shown=("accuracy", "balanced_accuracy", "macro_f1", "macro_auc", "nll", "ece", "accepted_fraction",
               "accepted_accuracy"),
        tested=("accuracy", "balanced_accuracy", "macro_f1", "nll"),
        curves=("nll", "balanced_accuracy"),
        speed="ms_per_image",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """Models side by side; in every table the best model by the main score comes first.

    Attributes:
        task: Of all models.
        subset: Which part of the index was scored.
        fingerprint: Of the index.
        models: In the order of the tables.
        reference: Name of the model that each other one is tested against.
        scores: `model`, `dataset`, `n_images`, `metric`, `value`, `low`, `high` (95 % interval), `unit` (what was
            drawn for it).
        tests: See `paired_tests`.
        costs: See `cost_table`.
        organs: See `organ_differences`.
        images: See `picture_table`, the largest disagreement first.
        notes: Sentences that belong beside the figures.
    """

    task: _Task
    subset: str
    fingerprint: str
    models: tuple[Model, ...]
    reference: str
    scores: pd.DataFrame
    tests: pd.DataFrame
    costs: pd.DataFrame
    organs: pd.DataFrame
    pictures: pd.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def measures(self) -> Measures:
        return MEASURES[self.task]

    @property
    def names(self) -> list[str]:
        return [model.name for model in self.models]

    @property
    def datasets(self) -> list[str]:
        return sorted(self.scores["dataset"].unique())

    def score(self, model: str, dataset: str, metric: str) -> pd.Series:
        """The row of one score."""
        table = self.scores
        found = table[(table["model"] == model) & (table["dataset"] == dataset) & (table["metric"] == metric)]
        return found.iloc[0]


_N_RESAMPLES_OF_CLASSES = 4000
_MCNEMAR, _BOOTSTRAP = "McNemar", "paired bootstrap"
_SMALLEST_PROBABILITY = 1e-12


def paired_tests(images: Mapping[str, pd.DataFrame], reference: str, measures: Measures) -> pd.DataFrame:
    """Test the reference against each other model, score by score and data set by data set.

    Accuracy is tested by McNemar's exact test, the rest by a paired bootstrap, which draws groups where there are
    enough (see `choose_unit`). p-values are corrected by Holm's method over the models, for each score of a data set.

    Args:
        images: By model: one row an image, the same images in the same order.
        reference: One of the models.
        measures: Of the task.

    Returns:
        `dataset`, `metric`, `model`, `reference`, `difference` (the model minus the reference), `low`, `high` (95 %
        interval), `unit`, `test`, `only_model` and `only_reference` (images that only one has right; McNemar
        only), `p`, `p_holm`.
    """
    others = [name for name in images if name != reference]
    rows = []
    for dataset, part in images[reference].groupby("dataset", sort=True):
        for metric in measures.tested:
            family = [
                {"dataset": dataset, "metric": metric, "model": name, "reference": reference}
                | _test(metric, images[name].loc[part.index], part)
                for name in others
            ]
            adjusted = holm(np.array([row["p"] for row in family], dtype=np.float64))
            rows += [row | {"p_holm": float(p)} for row, p in zip(family, adjusted, strict=True)]
    return pd.DataFrame(rows)


def _test(metric: str, model: pd.DataFrame, reference: pd.DataFrame) -> dict:
    is_organs = "correct" in reference
    unit = choose_unit(reference["group"].to_numpy(), reference["organ"].to_numpy() if is_organs else None)
    row = {"test": _BOOTSTRAP, "only_model": np.nan, "only_reference": np.nan, "unit": unit.name}
    if metric in ("balanced_accuracy", "macro_f1"):
        found = _class_difference(metric, model, reference, unit.groups)
    else:
        first, second = (_values(metric, table) for table in (model, reference))
        found = paired_mean_difference(first, second, unit.groups, seed=SEED)
    row |= {"difference": found.value, "low": found.low, "high": found.high, "p": found.p_value}
    if metric == "accuracy":
        test = mcnemar(model["correct"].to_numpy(bool), reference["correct"].to_numpy(bool))
        row |= {"test": _MCNEMAR, "only_model": test.only_first, "only_reference": test.only_second, "p": test.p_value}
    return row


def _values(metric: str, images: pd.DataFrame) -> np.ndarray:
    """The score of each image whose mean is the score of all."""
    if metric == "accuracy":
        return images["correct"].to_numpy(np.float64)
    if metric == "nll":
        truth = images.columns.get_indexer("p_" + images["organ"])
        probability = images.to_numpy()[np.arange(len(images)), truth].astype(np.float64)
        return -np.log(np.maximum(probability, _SMALLEST_PROBABILITY))
    return images[metric].to_numpy(np.float64)


def _class_difference(
    metric: str, model: pd.DataFrame, reference: pd.DataFrame, groups: Int64[np.ndarray, " n"]
) -> PairedDifference:
    names = pd.Index(sorted({*reference["organ"], *reference["predicted"], *model["predicted"]}))
    truth, first, second = (
        names.get_indexer(column).astype(np.int64)
        for column in (reference["organ"], model["predicted"], reference["predicted"])
    )

    def score(drawn: np.ndarray, predicted: np.ndarray) -> float:
        found = per_class_scores(confusion_matrix(truth[drawn], predicted[drawn], n_classes=len(names)))
        values = found["recall" if metric == "balanced_accuracy" else "f1"]
        return float(values[found["n"] > 0].mean())

    return paired_difference(
        lambda drawn: score(drawn, first) - score(drawn, second),
        groups,
        n_resamples=_N_RESAMPLES_OF_CLASSES,
        seed=SEED,
    )


_FEWEST_IMAGES = 5
"""Drawing from fewer images shows no doubt, though there is most."""


def organ_differences(images: Mapping[str, pd.DataFrame], reference: str, column: str) -> pd.DataFrame:
    """The mean score of each organ by each model, and how far it is from the reference.

    An organ's images often come from one slide, so images are drawn for the intervals, not groups.

    Args:
        images: By model: one row an image, the same images in the same order.
        reference: One of the models.
        column: Score of an image.

    Returns:
        `dataset`, `organ`, `n_images`, `model`, `value`, `difference` (the model minus the reference), `low`, `high`
        (95 % interval of the difference; not-a-number for fewer than 5 images). Empty where no organ is known.
    """
    rows = []
    for (dataset, organ), part in images[reference].groupby(["dataset", "organ"], sort=True):
        if not organ:
            continue
        second = part[column].to_numpy(np.float64)
        for name, table in images.items():
            first = table.loc[part.index, column].to_numpy(np.float64)
            gap = paired_mean_difference(first, second, np.arange(len(part)), n_resamples=2000, seed=SEED)
            row = {
                "dataset": dataset,
                "organ": organ,
                "n_images": len(part),
                "model": name,
                "value": float(defined_mean(first)),
            }
            ends = (gap.low, gap.high) if len(part) >= _FEWEST_IMAGES else (np.nan, np.nan)
            rows.append(row | {"difference": gap.value, "low": ends[0], "high": ends[1]})
    columns = ["dataset", "organ", "n_images", "model", "value", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


_MAX_SHOWN_PX = 16_000_000
"""Larger images are not shown."""

_MOST_OUTLINED = 4
"""Models whose cells are drawn on one image; of more, the best and the worst there."""


@dataclass(frozen=True)
class SampledImages:
    """An image and what models make of it.

    Attributes:
        id: Of the image.
        pixels: y x c, as in the file.
        value_range: What black and white are.
        labels: int32 y x of the cells by name of the model, "truth" first; empty for organs.
    """

    id: str
    pixels: Num[np.ndarray, "y x c"]
    value_range: tuple[float, float]
    labels: dict[str, Int32[np.ndarray, "y x"]]


def image_table(images: Mapping[str, pd.DataFrame], measures: Measures) -> pd.DataFrame:
    """One row an image, the largest disagreement first.

    Returns:
        `id`, `dataset`, `organ`, `disagreement` and for each model its score of the image (segmentation), or its
        answer and probability (`NAME`, `NAME probability`). Disagreement in [0, 1] is the largest difference of two
        models: of their scores; or of their probabilities, half the sum over all organs (total variation).
    """
    first = next(iter(images.values()))
    table = first[["id", "dataset", "organ"]].copy()
    if "predicted" in first:
        table["disagreement"] = _variation(images)
        for name, answers in images.items():
            shown = answers.filter(like="p_").to_numpy().max(axis=1)
            table = table.assign(**{name: answers["predicted"], f"{name} probability": shown})
    else:
        scores = np.stack([answers[measures.main].to_numpy() for answers in images.values()])
        table["disagreement"] = scores.max(axis=0) - scores.min(axis=0)
        table = table.assign(**dict(zip(images, scores, strict=True)))
    return table.sort_values(["disagreement", "id"], ascending=[False, True], ignore_index=True)


def _variation(images: Mapping[str, pd.DataFrame]) -> np.ndarray:
    organs = sorted({column for table in images.values() for column in table if column.startswith("p_")})
    probs = [table.reindex(columns=organs, fill_value=0.0).to_numpy(np.float64) for table in images.values()]
    largest = np.zeros(len(probs[0]))
    for first, second in itertools.combinations(probs, 2):
        largest = np.maximum(largest, np.abs(first - second).sum(axis=1) / 2)
    return largest


def seen_images(comparison: Comparison, index: Index, n_images: int) -> Iterator[SampledImages]:
    """The images of the largest disagreement, segmented once more where outlines are to be drawn.

    Args:
        comparison: Whose images.
        index: That was scored.
        n_images: At most so many; those without disagreement and very large ones are left out.

    Raises:
        ImageReadError: An image cannot be read.
    """
    samples = {sample.id: sample for sample in index.samples()}
    rows = comparison.pictures[comparison.pictures["disagreement"] > 0].head(n_images)
    for row in rows.to_dict("records"):
        sample = samples[row["id"]]
        with sample.open() as image:
            if image.height_px * image.width_px > _MAX_SHOWN_PX:
                continue
            labels = {}
            if comparison.task == "segmentation":
                labels["truth"] = sample.read_labels()
                for model in _outlined(comparison.models, row):
                    labels[model.name] = segment_image(image, model.bundle).labels
            yield SampledImages(sample.id, image.displayed(image.read_whole()), image.value_range, labels)


def _outlined(models: Sequence[Model], row: dict) -> list[Model]:
    if len(models) <= _MOST_OUTLINED:
        return list(models)
    ranked = sorted(models, key=lambda model: -row[model.name])
    return [ranked[0], ranked[-1]]
