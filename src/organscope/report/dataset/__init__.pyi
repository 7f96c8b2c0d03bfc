from .summarise import SummaryReport, summarise_index

__all__ = [
    "SummaryReport",
    "summarise_index",
]
