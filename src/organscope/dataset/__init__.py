"""Data sets: any lab's images and annotations in, one index out."""

from organscope.dataset.index import Index, Sample, read_index, write_index

__all__ = ["Index", "Sample", "read_index", "write_index"]
