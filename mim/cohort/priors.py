"""Priors: earlier exams of the same woman. Shared by training and deployment; no polars here.

Two exams nearer to each other than the least gap are the same examination (done twice, or sent
as two studies). So nothing within the least gap before the exam is a prior, and of earlier exams
that lie within the least gap of each other only the newest is one, counted from the newest back.
Of several exams on one day there is at most one, even where the least gap is zero.
Where dates are missing, or all equal as in collections that removed them, there are no priors.
"""

from collections.abc import Sequence
from datetime import date

from mim.cohort.settings import PriorSettings

DAYS_PER_MONTH = 30.4375


def find_priors(
    exam_date: date | None,
    others: Sequence[tuple[str, date | None]],
    settings: PriorSettings,
) -> list[tuple[str, float]]:
    """Priors of an exam among the ``others`` of its woman, newest first.

    ``others`` are exams with their days, in any order; the exam itself may be among them. Returns
    at most ``settings.most`` exams, each with its months before the exam. Of
    exams on one day the first by name is taken, so that the order given does not matter.
    """
    if exam_date is None:
        return []
    earlier = sorted(
        ((exam_date - day).days / DAYS_PER_MONTH, exam)
        for exam, day in others
        if day is not None and day < exam_date
    )
    priors: list[tuple[str, float]] = []
    newest = 0.0
    for months, exam in earlier:
        if len(priors) >= settings.most:
            break
        if months > newest and months - newest >= settings.least_gap_months:
            priors.append((exam, months))
            newest = months
    return priors
