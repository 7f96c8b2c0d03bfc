"""The page of an evaluation: scores, figures and tables."""

from organscope.report.evaluation.page import PAGE_NAME, write_evaluation_page

__all__ = ["PAGE_NAME", "write_evaluation_page"]
