from .baseline import colour_forest_baseline
from .evaluation import Evaluation, manifest_scores
from .run import evaluate_bundle, evaluate_out_of_fold
from .write import scores_document, write_evaluation

__all__ = [
    "Evaluation",
    "colour_forest_baseline",
    "evaluate_bundle",
    "evaluate_out_of_fold",
    "manifest_scores",
    "scores_document",
    "write_evaluation",
]
