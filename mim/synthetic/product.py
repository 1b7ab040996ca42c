"""A made-up product that scores exams from 1 to 10, as commercial ones do.

Of the exams without cancer each score has a tenth. Score 10 holds 86.8 % of the screen-detected and
44.9 % of the interval cancers, as was found of a product in BreastScreen Norway (Larsen 2022, doi
10.1148/radiol.212381). It knows the truth and sees no image.
"""

from hashlib import blake2b
from statistics import NormalDist

from mim.synthetic.women import Exam, Woman

PRODUCT = "made-up product"
"""Its name in the registry's table of scores."""

NORMAL = NormalDist()
HIGHEST = 10
CUT = NORMAL.inv_cdf(1 - 1 / HIGHEST)
"""Suspicion from which an exam scores 10; without cancer it is normal, 0 on average."""

SCREEN_DETECTED = CUT + NORMAL.inv_cdf(0.868)
INTERVAL = CUT + NORMAL.inv_cdf(0.449)
"""Mean suspicion of the exam that found the cancer, and of the last one before it."""


def product_score(seed: int, woman: Woman, exam: Exam) -> int:
    """Score of an exam, 1 to 10; exams before the cancer's own score as those without one."""
    # By a hash and not by a stream of the woman's, so that all else stays as it is.
    drawn = blake2b(f"product {seed} {exam.exam_id}".encode(), digest_size=6).digest()
    suspicion = NORMAL.inv_cdf((int.from_bytes(drawn, "big") + 0.5) / 2**48)
    cancer = woman.cancer
    if cancer is not None and cancer.found_by == exam.round:
        suspicion += SCREEN_DETECTED if cancer.screen_detected else INTERVAL
    return min(HIGHEST, 1 + int(HIGHEST * NORMAL.cdf(suspicion)))
