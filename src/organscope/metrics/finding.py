"""Which cells are found at all, however well they are outlined: what counts where no cell may be missed.

A match at IoU .5 asks for an outline, and two people who outline faint nuclei often disagree by more. Here a true cell
is found where at least half of its pixels lie in predicted cells, or at least half of a predicted cell lies in it; and
a predicted cell is false where less than half of its pixels lie in true cells.
"""

import numpy as np
from jaxtyping import Bool

from organscope.metrics.matching import CellPairs


def found_cells(pairs: CellPairs) -> Bool[np.ndarray, " n_truth"]:
    """Which true cells are found."""
    covered = np.bincount(pairs.truth, weights=pairs.intersection_px, minlength=pairs.truth_ids.size)
    found = 2 * covered >= pairs.truth_area_px
    marks = 2 * pairs.intersection_px >= pairs.predicted_area_px[pairs.predicted]
    found[pairs.truth[marks]] = True
    return found


def false_cells(pairs: CellPairs) -> Bool[np.ndarray, " n_predicted"]:
    """Which predicted cells are false."""
    covered = np.bincount(pairs.predicted, weights=pairs.intersection_px, minlength=pairs.predicted_ids.size)
    return 2 * covered < pairs.predicted_area_px
