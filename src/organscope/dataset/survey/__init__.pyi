from .facts import Facts
from .survey import Survey, survey_index, survey_sample

__all__ = [
    "Facts",
    "Survey",
    "survey_index",
    "survey_sample",
]
