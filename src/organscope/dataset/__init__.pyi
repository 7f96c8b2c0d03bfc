from .exporting import ExportReport, export_labels
from .fetching import Fetched, fetch_set
from .importing import ImportReport, import_folder
from .index import Index, Sample, read_index, write_index
from .problems import Problem
from .splits import split_index

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
