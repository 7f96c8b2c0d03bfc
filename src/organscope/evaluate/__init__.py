"""A bundle on a part of an index: scores with intervals, through the use side."""

from organscope.evaluate.baseline import colour_forest_baseline
from organscope.evaluate.evaluation import Evaluation, manifest_scores
from organscope.evaluate.run import evaluate_bundle, evaluate_out_of_fold
from organscope.evaluate.write import scores_document, write_evaluation

__all__ = [
    "Evaluation",
    "colour_forest_baseline",
    "evaluate_bundle",
    "evaluate_out_of_fold",
    "manifest_scores",
    "scores_document",
    "write_evaluation",
]
