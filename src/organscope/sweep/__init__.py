"""Many short trainings that search for good settings: a space as data, Optuna, and one subprocess a trial."""

from organscope.sweep.reading import read_space
from organscope.sweep.space import Space

__all__ = ["Space", "read_space"]
