"""What is in a data set, as tables: made from a survey, drawn by `report.dataset`."""

from organscope.dataset.summary.summary import Summary, summarise

__all__ = ["Summary", "summarise"]
