from .page import PAGE_NAME, write_comparison_page

__all__ = [
    "PAGE_NAME",
    "write_comparison_page",
]
