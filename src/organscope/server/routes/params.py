"""The prices that a person asks about, as every route takes them."""

from typing import Annotated

from fastapi import Depends, Query

from organscope.server.review import Constraints


def _question_of(
    positive: Annotated[str, Query(max_length=120, description="Organ that must not be missed.")] = "",
    miss_cost: Annotated[
        float,
        Query(gt=0, le=1e6, allow_inf_nan=False, description="How many times worse a miss is than a false alarm."),
    ] = 1.0,
    min_recall: Annotated[float | None, Query(gt=0, lt=1, description="Recall to promise for it.")] = None,
) -> Constraints:
    """The question in the query of a request."""
    return Constraints(positive or None, miss_cost, min_recall)


Asked = Annotated[Constraints, Depends(_question_of)]
