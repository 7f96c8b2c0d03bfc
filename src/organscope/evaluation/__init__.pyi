from .baselines import color_forest_baseline
from .evaluate import evaluate_bundle, evaluate_out_of_fold
from .results import Evaluation, manifest_scores, scores_document, write_evaluation

__all__ = [
    "Evaluation",
    "color_forest_baseline",
    "evaluate_bundle",
    "evaluate_out_of_fold",
    "manifest_scores",
    "scores_document",
    "write_evaluation",
]
