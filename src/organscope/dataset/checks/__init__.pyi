from .finding import Finding, Severity
from .registry import CHECKS, find_problems
from .run import CheckReport, check_index

__all__ = [
    "CHECKS",
    "CheckReport",
    "Finding",
    "Severity",
    "check_index",
    "find_problems",
]
