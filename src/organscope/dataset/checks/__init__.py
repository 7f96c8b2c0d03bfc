"""Checks of a data set: each a function from a survey to findings, listed in `CHECKS`."""

from organscope.dataset.checks.finding import Finding, Severity
from organscope.dataset.checks.registry import CHECKS, find_problems
from organscope.dataset.checks.run import CheckReport, check_index

__all__ = ["CHECKS", "CheckReport", "Finding", "Severity", "check_index", "find_problems"]
