"""What is asked of each view: of a landmark or a criterion that is not, nothing is known or said."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mim.positioning.measure import IS_MLO, Bools, Floats
from mim.positioning.rules import RULES
from mim.vocab import BREASTS, SCREENING_VIEWS, VIEW_SLOTS, Criterion, Landmark

LANDMARKS_ASKED = IS_MLO[:, None] | np.array([name is Landmark.NIPPLE for name in Landmark])
"""``[view, landmark]``; the ends of the pectoral line are asked of MLO only."""

_VIEWS = {
    name: [view for r in RULES if r.subject == name for view in r.views] for name in Criterion
}

CRITERIA_ASKED = np.array([[view in _VIEWS[name] for name in Criterion] for _, view in VIEW_SLOTS])
"""``[view, criterion]``, as the rules ask."""

_SYMMETRIC = np.array([name is Criterion.SYMMETRIC for name in Criterion])


def criteria_asked(present: Bools) -> Bools:
    """``[..., view]``, whether a view is there, to ``[..., view, criterion]``.

    ``symmetric`` is asked where the same view of the other breast is there as well.
    """
    other = present.reshape(*present.shape[:-1], len(BREASTS), len(SCREENING_VIEWS))
    pair = present & other[..., ::-1, :].reshape(present.shape)
    asked: Bools = np.where(_SYMMETRIC, pair[..., None], present[..., None]) & CRITERIA_ASKED
    return asked


def only_asked(
    points: NDArray[Any], visible: NDArray[Any], criteria: NDArray[Any], present: Bools
) -> tuple[Floats, Floats, Floats]:
    """What a model says of an exam's views, NaN where it is not asked.

    Args:
        points: ``[..., view, landmark, 2]``.
        visible: ``[..., view, landmark]``.
        criteria: ``[..., view, criterion]``.
        present: ``[..., view]``, whether the view is there.
    """
    asked = present[..., None] & LANDMARKS_ASKED
    return (
        np.where(asked[..., None], points, np.nan),
        np.where(asked, visible, np.nan),
        np.where(criteria_asked(present), criteria, np.nan),
    )
