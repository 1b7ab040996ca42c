"""The grade of an image by explicit rules: PGMI, perfect, good, moderate or inadequate.

``RULES`` is the one table of limits; ``docs/positioning.md`` shows it. An image gets the worst grade
that one of its broken rules allows, and is perfect where none is broken. A rule whose input is
missing is not judged and changes nothing; an image without a single rule judged has no grade.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mim.positioning.measure import Bools, Floats, Measures
from mim.vocab import SCREENING_VIEWS, VIEW_SLOTS, Criterion, Landmark, Quality, View

GRADES = tuple(Quality)
"""From best to worst, the order of a grade's number."""

HALF = 0.5
"""Probability between a criterion that is false and one that is true; of landmarks, from which one
lies on the image."""

SOURCES = {
    "UK": "UK Mammography Trainers Group, as Radiopaedia gives it in 'PGMI evaluation system'",
    "Spuur 2008": "the muscle ends above the nipple in 75.5 % of acceptable images",
    "Volpara 2018": "Willison, 'Positioning challenge 3', volparahealth.com",
}
"""How the sources of the rules begin, and what they are."""


@dataclass(frozen=True)
class Rule:
    """What one image must fulfil.

    Attributes:
        subject: what is judged: a field of ``Measures``, a ``Criterion`` (its probability), or a
            ``Landmark`` (the probability that it lies on the image).
        views: the projections it is asked of.
        least: smallest value allowed.
        most: largest value allowed.
        worst: the worst grade that an image may still have for breaking it.
        reason: what is said of an image that breaks it.
        source: where rule and limit come from; begins with one of ``SOURCES``.
        own: what in it is a choice of ours, for want of a source; empty: nothing.
    """

    subject: str
    views: tuple[View, ...]
    least: float
    most: float
    worst: Quality
    reason: str
    source: str
    own: str


BOTH, MLO = SCREENING_VIEWS, (View.MLO,)
NO_LIMIT = float("inf")

RULES = (
    Rule(
        *(Landmark.NIPPLE, BOTH, HALF, 1.0, Quality.MODERATE),
        "the nipple is not on the image",
        "UK: nipple in profile",
        "grade",
    ),
    Rule(
        *(Criterion.NIPPLE_IN_PROFILE, BOTH, HALF, 1.0, Quality.GOOD),
        "the nipple is not in profile",
        "UK: nipple in profile",
        "grade",
    ),
    Rule(
        *(Criterion.CUT_OFF, BOTH, 0.0, HALF, Quality.MODERATE),
        "a part of the breast lies outside the image",
        "UK: all breast tissue imaged; good allows a slight loss",
        "grade, since the criterion does not say how much is lost",
    ),
    Rule(
        *(Criterion.BLURRED, BOTH, 0.0, HALF, Quality.INADEQUATE),
        "the breast moved during the exposure",
        "UK: no movement, asked of good images too",
        "grade",
    ),
    Rule(
        *(Criterion.SKIN_FOLD, BOTH, 0.0, HALF, Quality.GOOD),
        "a fold of skin lies over the breast",
        "UK: no skin folds; good allows a minor one",
        "",
    ),
    Rule(
        *(Criterion.SYMMETRIC, BOTH, HALF, 1.0, Quality.GOOD),
        "the images of left and right do not mirror each other",
        "UK: symmetrical images; good allows a minor fault",
        "",
    ),
    Rule(
        *("line_difference_mm", BOTH, -10.0, 10.0, Quality.MODERATE),
        "the posterior nipple lines of CC and MLO differ by more than 10 mm",
        "UK: posterior nipple lines within 1 cm of each other",
        "grade",
    ),
    Rule(
        *(Landmark.PECTORAL_UPPER, MLO, HALF, 1.0, Quality.INADEQUATE),
        "the pectoral muscle is not on the image",
        "UK: pectoral shadow to nipple level",
        "grade",
    ),
    Rule(
        *("line_above_pectoral_end_mm", MLO, -10.0, NO_LIMIT, Quality.MODERATE),
        "the pectoral muscle ends more than 10 mm above the posterior nipple line",
        "Volpara 2018: the muscle reaches down to 1 cm above the line at least",
        "grade",
    ),
    Rule(
        *("pectoral_below_nipple_mm", MLO, 0.0, NO_LIMIT, Quality.GOOD),
        "the pectoral muscle, as measured, ends above the nipple's level",
        "UK: pectoral shadow to nipple level; Spuur 2008",
        "grade, no worse than good because of Spuur's figure",
    ),
    Rule(
        *(Criterion.PECTORAL_TO_NIPPLE, MLO, HALF, 1.0, Quality.GOOD),
        "the pectoral muscle, as judged, does not reach the nipple's level",
        "UK: pectoral shadow to nipple level; Spuur 2008",
        "grade, no worse than good because of Spuur's figure",
    ),
    Rule(
        *("pectoral_angle_degrees", MLO, 10.0, NO_LIMIT, Quality.GOOD),
        "the pectoral muscle is narrow, less than 10 degrees from the chest wall",
        "UK: full width of the pectoral muscle",
        "limit and grade",
    ),
    Rule(
        *(Criterion.INFRAMAMMARY_FOLD, MLO, HALF, 1.0, Quality.GOOD),
        "the fold below the breast is not shown",
        "UK: inframammary fold well shown",
        "grade",
    ),
)


def lies_on_image(visible: Floats) -> Bools:
    """Of probabilities that landmarks lie on their images, which count as on it; NaN, unknown, does."""
    on_image: Bools = ~(visible < HALF)
    return on_image


ASKED = np.array([[view in rule.views for rule in RULES] for _, view in VIEW_SLOTS])
"""``[view, rule]``, whether a rule is asked of the images in a slot."""

_WORST = np.array([GRADES.index(rule.worst) for rule in RULES], dtype=np.int8)


class Grades(NamedTuple):
    """What the rules say of exams' images."""

    grade: npt.NDArray[np.int8]
    """``[..., view]``, place in ``GRADES``; -1: no rule could be judged."""
    broken: Bools
    """``[..., view, rule]``"""
    judged: Bools
    """``[..., view, rule]``; False also for rules that are not asked of the view."""


def grade(measures: Measures, visible: Floats, criteria: Floats) -> Grades:
    """Grade exams.

    Args:
        measures: of the same exams.
        visible: ``[..., view, landmark]``, probability that it lies on the image, or 1 and 0; NaN
            unknown.
        criteria: ``[..., view, criterion]``, probability, or 1 and 0; NaN unknown.
    """
    values = measures._asdict()
    values |= {name: visible[..., place] for place, name in enumerate(Landmark)}
    values |= {name: criteria[..., place] for place, name in enumerate(Criterion)}
    found = np.stack([values[rule.subject] for rule in RULES], axis=-1)
    judged = ASKED & ~np.isnan(found)
    least, most = (np.array([getattr(rule, end) for rule in RULES]) for end in ("least", "most"))
    broken = judged & ((found < least) | (found > most))
    worst = np.where(broken, _WORST, 0).max(axis=-1)
    return Grades(np.where(judged.any(axis=-1), worst, -1).astype(np.int8), broken, judged)
