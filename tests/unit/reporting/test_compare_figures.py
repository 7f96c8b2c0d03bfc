"""Names beside a figure that do not hide one another."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from organscope.reporting.comparison_report import spread_apart


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=20), st.floats(0, 3))
def test_values_are_moved_apart_keep_their_mean_and_stay_where_there_is_room(values, least):
    values = np.sort(np.array(values))
    spread = spread_apart(values, least)
    assert (np.diff(spread) >= least - 1e-6).all()
    assert np.isclose(spread.mean(), values.mean())
    if (np.diff(values) >= least).all():
        assert np.allclose(spread, values)
