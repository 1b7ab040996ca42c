"""Every exam is shown, and no batch goes without a case."""

from hypothesis import given
from hypothesis import strategies as st

from mim.data.sampler import CaseSampler, EveryExam

CASES = st.lists(st.booleans(), min_size=1, max_size=60)


@given(CASES, st.integers(2, 9), st.integers(0, 4), st.integers(0, 3))
def test_an_epoch_shows_every_exam_in_batches_with_cases(is_case, size, least, epoch):
    sampler = CaseSampler(is_case, size, least, seed=3)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    assert all(1 <= len(batch) <= size for batch in batches)
    shown = [draw.exam for batch in batches for draw in batch]
    assert set(shown) == set(range(len(is_case)))
    others = [exam for exam in shown if not is_case[exam]]
    assert len(others) == len(set(others)), "only cases come again"
    if any(is_case):
        wanted = min(least, size - 1)
        assert all(sum(is_case[d.exam] for d in batch) >= wanted for batch in batches)


@given(CASES, st.integers(0, 5))
def test_seed_and_epoch_decide_alone(is_case, epoch):
    def drawn(seed: int, epoch: int) -> list:
        sampler = CaseSampler(is_case, 4, 1, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert drawn(1, epoch) == drawn(1, epoch)
    assert drawn(1, epoch) != drawn(1, epoch + 1)
    assert drawn(1, epoch) != drawn(2, epoch)


def test_rare_cases_come_again_and_spread():
    is_case = [exam < 2 for exam in range(152)]
    batches = list(CaseSampler(is_case, 8, 1, seed=1))
    assert all(sum(is_case[d.exam] for d in batch) == 1 for batch in batches)


@given(st.integers(0, 40), st.integers(1, 9))
def test_scoring_sees_each_exam_once_in_order(exams, size):
    sampler = EveryExam(exams, size)
    assert [d.exam for batch in sampler for d in batch] == list(range(exams))
    assert len(list(sampler)) == len(sampler)
