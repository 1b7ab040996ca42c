"""What is asked of each view."""

import numpy as np

from mim.positioning.asked import criteria_asked, only_asked
from mim.vocab import VIEW_SLOTS, Criterion, Landmark

SLOTS = [(str(side), str(view)) for side, view in VIEW_SLOTS]


def said(present: list[bool]) -> tuple[np.ndarray, ...]:
    known = (np.ones((4, len(Landmark), 2)), np.ones((4, len(Landmark))))
    return only_asked(*known, np.ones((4, len(Criterion))), np.array(present))


def test_an_image_without_a_partner_is_not_asked_whether_the_pair_is_symmetric():
    present = np.array([slot != ("R", "CC") for slot in SLOTS])
    asked = criteria_asked(present)[:, list(Criterion).index(Criterion.SYMMETRIC)]
    assert [slot for slot, yes in zip(SLOTS, asked, strict=True) if yes] == [
        ("L", "MLO"),
        ("R", "MLO"),
    ]
    many = criteria_asked(np.stack([present, ~present]))
    assert np.array_equal(many[0], criteria_asked(present))
    assert np.array_equal(many[1], criteria_asked(~present))


def test_the_muscle_and_the_fold_below_the_breast_are_asked_of_mlo():
    points, visible, criteria = said([True] * 4)
    for slot, (_, view) in enumerate(SLOTS):
        muscle = [name is not Landmark.NIPPLE and view == "CC" for name in Landmark]
        assert np.isnan(visible[slot]).tolist() == muscle
        assert np.isnan(points[slot]).all(-1).tolist() == muscle
        below = {Criterion.PECTORAL_TO_NIPPLE, Criterion.INFRAMAMMARY_FOLD}
        assert np.isnan(criteria[slot]).tolist() == [
            name in below and view == "CC" for name in Criterion
        ]


def test_of_an_absent_view_nothing_is_said():
    for part in said([True, True, False, True]):
        assert np.isnan(part[2]).all()
        assert not np.isnan(part[3]).all()
