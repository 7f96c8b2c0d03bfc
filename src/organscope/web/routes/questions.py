"""The prices that a person asks about, as every route takes them."""

from typing import Annotated

from fastapi import Depends, Query

from organscope.web.verdicts import Question


def question_of(
    positive: Annotated[str, Query(max_length=120, description="Organ that must not be missed.")] = "",
    miss_cost: Annotated[
        float,
        Query(gt=0, le=1e6, allow_inf_nan=False, description="How many times worse a miss is than a false alarm."),
    ] = 1.0,
    min_recall: Annotated[float | None, Query(gt=0, lt=1, description="Recall to promise for it.")] = None,
) -> Question:
    """The question in the query of a request."""
    return Question(positive or None, miss_cost, min_recall)


Asked = Annotated[Question, Depends(question_of)]
