"""Data sets: any lab's images and annotations in, one index out."""

from organscope.dataset.exporting import ExportReport, export_labels
from organscope.dataset.fetching import Fetched, fetch_set
from organscope.dataset.importing import ImportReport, import_folder
from organscope.dataset.index import Index, Sample, read_index, write_index
from organscope.dataset.problems import Problem
from organscope.dataset.splits import split_index

__all__ = [
    "ExportReport",
    "Fetched",
    "ImportReport",
    "Index",
    "Problem",
    "Sample",
    "export_labels",
    "fetch_set",
    "import_folder",
    "read_index",
    "split_index",
    "write_index",
]
