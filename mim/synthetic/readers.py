"""Two readers per exam, consensus and recall.

Rates follow BreastScreen Norway: each reader takes 5 to 6 % of the exams for positive, 8.8 % go to
consensus, 3.2 % are recalled (Larsen 2022, doi 10.1007/s00330-022-08909-x), about 87 % of the
screen-detected cancers are seen by a given reader, and a fifth of the interval cancers was seen by
one of the two.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mim.synthetic.lesions import CANCER_KINDS, LesionKind
from mim.synthetic.women import Exam, Stream, Woman, lesions_on
from mim.vocab import BREASTS, Laterality

READERS = 12
"""Readers of the programme."""
AGREEMENT = 0.75
"""Correlation of two readers' impressions of a breast."""
CUTS = (2.06, 2.65, 3.25, 3.9)
"""An impression above each of these earns a score of 2, 3, 4, 5."""
DISMISSED = 0.72
"""Share of the positive exams without cancer that one reader took for positive and consensus drops."""


@dataclass(frozen=True)
class Reading:
    """What two readers said and what was decided; scores 1 to 5 by (reader, breast).

    ``first``: who of the two read first.
    """

    scores: dict[tuple[str, Laterality], int]
    first: str
    consensus: bool
    recalled: bool


def read_exam(seed: int, woman: Woman, exam: Exam) -> Reading:
    """Independent scores of two readers, consensus where one is 2 or more, and recall by it.

    A screen-detected cancer has been scored 2 or more by one reader at least, and recalled. An
    exam before an interval cancer was not recalled, nor one in which a later cancer was missed.
    """
    rng = np.random.default_rng([seed, woman.number, Stream.READERS, exam.round])
    pair = sorted(int(n) for n in rng.choice(READERS, 2, replace=False))
    names = [f"R{number + 1:02d}" for number in pair]
    cancer = woman.cancer
    impressions = {side: _impressions(rng, woman, exam, side) for side in BREASTS}
    found = cancer is not None and cancer.screen_detected and cancer.found_by == exam.round
    if cancer is not None and found:
        seen = impressions[cancer.side]
        seen[int(np.argmax(seen))] = max(float(seen.max()), CUTS[0] + 0.1)
    scores = {
        (name, side): 1 + int(np.searchsorted(CUTS, impressions[side][i]))
        for side in BREASTS
        for i, name in enumerate(names)
    }
    highest = max(scores.values())
    consensus = highest >= 2
    both = all(max(scores[name, side] for side in BREASTS) >= 2 for name in names)
    dismissed = rng.random() < DISMISSED - 0.12 * (highest - 2) + (0.05 if not both else -0.10)
    missed = cancer is not None and not found
    recalled = found or (consensus and not missed and not dismissed)
    return Reading(scores, names[int(rng.integers(2))], consensus, recalled)


def _impressions(
    rng: np.random.Generator, woman: Woman, exam: Exam, side: Laterality
) -> NDArray[np.float64]:
    """What the two readers make of a breast, [2]: 0 on average, 1 the standard deviation."""
    common, own = rng.normal(), rng.normal(size=2)
    impressions = np.sqrt(AGREEMENT) * common + np.sqrt(1 - AGREEMENT) * own
    return np.asarray(impressions + _suspicion(woman, exam, side))


def _suspicion(woman: Woman, exam: Exam, side: Laterality) -> float:
    """How much lesions raise an impression; dense tissue hides them."""
    masked = 2.5 * (exam.breasts[side].glandular - 0.15)
    suspicion = 0.0
    for lesion, size_mm in lesions_on(woman, side, exam.day):
        if lesion.malignant:
            visible = 3.1 + 2.6 * np.log(size_mm / 14) + 1.2 * (lesion.contrast - 2.15) - masked
        elif lesion.kind in CANCER_KINDS:
            visible = 0.8
        elif lesion.kind is LesionKind.SMOOTH_MASS:
            visible = 0.5 * lesion.contrast
        else:
            visible = 0.1
        suspicion = max(suspicion, float(visible))
    return suspicion
