"""Several models on the same pictures: scores, paired tests, cost, and where they differ."""

from organscope.evaluate.compare.comparison import Comparison, Measures
from organscope.evaluate.compare.disagreement import Seen, seen_pictures
from organscope.evaluate.compare.models import Model, find_models
from organscope.evaluate.compare.run import compare_models
from organscope.evaluate.compare.write import write_comparison

__all__ = [
    "Comparison",
    "Measures",
    "Model",
    "Seen",
    "compare_models",
    "find_models",
    "seen_pictures",
    "write_comparison",
]
