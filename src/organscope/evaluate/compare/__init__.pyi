from .comparison import Comparison, Measures
from .disagreement import Seen, seen_pictures
from .models import Model, find_models
from .run import compare_models
from .write import write_comparison

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
