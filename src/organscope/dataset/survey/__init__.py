"""What one pass over every image and label image of an index finds; checks and summary start from it."""

from organscope.dataset.survey.facts import Facts
from organscope.dataset.survey.survey import Survey, survey_index, survey_sample

__all__ = ["Facts", "Survey", "survey_index", "survey_sample"]
