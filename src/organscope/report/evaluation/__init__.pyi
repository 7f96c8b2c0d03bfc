from .page import PAGE_NAME, write_evaluation_page

__all__ = [
    "PAGE_NAME",
    "write_evaluation_page",
]
