from .config import read_space
from .space import Space

__all__ = ["Space", "read_space"]
