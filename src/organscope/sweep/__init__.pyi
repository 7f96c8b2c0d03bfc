from .reading import read_space
from .space import Space

__all__ = [
    "Space",
    "read_space",
]
