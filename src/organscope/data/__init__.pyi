from .download import Fetched, fetch_set
from .export import ExportReport, export_labels
from .importing import ImportReport, import_folder
from .index import Index, Problem, Sample, read_index, write_index
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
