"""The page of a comparison: tables, figures and the pictures on which models disagree."""

from organscope.report.compare.page import PAGE_NAME, write_comparison_page

__all__ = ["PAGE_NAME", "write_comparison_page"]
