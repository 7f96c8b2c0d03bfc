"""A data set as one page with figures, and as tables."""

from organscope.report.dataset.summarise import SummaryReport, summarise_index

__all__ = ["SummaryReport", "summarise_index"]
