"""What a comparison hands back, and which figures it is about."""

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from organscope.evaluate.compare.models import Model

Task = Literal["segmentation", "classification"]

#: Scores that are better the smaller they are.
SMALLER_IS_BETTER = frozenset({"missed_rate", "false_rate", "adapted_rand_error", "nll", "ece", "brier"})


@dataclass(frozen=True)
class Measures:
    """The figures of a task.

    Attributes:
        main: By which models are ranked and pictures and organs are set against each other.
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


MEASURES: dict[Task, Measures] = {
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
        pictures: See `picture_table`, the largest disagreement first.
        notes: Sentences that belong beside the figures.
    """

    task: Task
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
