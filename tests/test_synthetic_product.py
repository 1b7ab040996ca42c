"""The made-up product finds what a real one was published to find, and knows nothing else."""

import numpy as np

from mim.synthetic.product import product_score
from mim.synthetic.women import draw_woman

SEED = 8


def scores() -> dict[str, list[int]]:
    """Scores of many exams, by what became of them."""
    found: dict[str, list[int]] = {"screening": [], "interval": [], "none": []}
    for number in range(1, 5001):
        woman = draw_woman(SEED, number, 2, 0.5)
        for exam in woman.exams:
            hers = woman.cancer if woman.cancer and woman.cancer.found_by == exam.round else None
            kind = "none" if not hers else "screening" if hers.screen_detected else "interval"
            found[kind].append(product_score(SEED, woman, exam))
    return found


def test_scores_are_tenths_of_the_healthy_and_ten_holds_the_published_shares() -> None:
    found = scores()
    tenths = np.bincount(found["none"], minlength=11)[1:] / len(found["none"])
    assert len(tenths) == 10
    assert np.abs(tenths - 0.1).max() < 0.015
    for kind, share in (("screening", 0.868), ("interval", 0.449)):
        error = np.sqrt(share * (1 - share) / len(found[kind]))
        assert abs(np.mean(np.array(found[kind]) == 10) - share) < 3 * error


def test_another_seed_gives_other_scores() -> None:
    woman = draw_woman(SEED, 1, 3, 0.0)
    given = [[product_score(seed, woman, exam) for exam in woman.exams] for seed in range(20)]
    assert len(set(map(tuple, given))) > 10
