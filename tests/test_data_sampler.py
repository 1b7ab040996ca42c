"""Every exam is shown over all ranks, and no batch goes without a case."""

from itertools import chain

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mim.data.sampler import CaseSampler, EveryExam, Ranks

CASES = st.lists(st.booleans(), min_size=1, max_size=60)
WORLDS = st.integers(1, 5)


def of_all_ranks(is_case, size, least, world, epoch=0, seed=3):
    """Batches of each rank."""
    found = []
    for rank in range(world):
        sampler = CaseSampler(np.array(is_case), size, least, seed, Ranks(rank, world))
        sampler.set_epoch(epoch)
        found.append(list(sampler))
        assert len(found[-1]) == len(sampler) == sampler.batches(world)
    return found


@settings(max_examples=60)
@given(CASES, st.integers(2, 9), st.integers(0, 4), st.integers(0, 3), WORLDS)
def test_an_epoch_shows_every_exam_in_batches_with_cases(is_case, size, least, epoch, world):
    ranks = of_all_ranks(is_case, size, least, world, epoch)
    of_ranks = [sum(is_case[draw.exam] for draw in chain(*rank)) for rank in ranks]
    assert max(of_ranks) - min(of_ranks) <= 1, "no rank has more cases than another"
    batches = list(chain(*ranks))
    sizes = [len(batch) for batch in batches]
    assert 1 <= min(sizes) <= max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1
    shown = [draw.exam for batch in batches for draw in batch]
    assert set(shown) == set(range(len(is_case)))
    others = [exam for exam in shown if not is_case[exam]]
    if len(is_case) >= len(batches):
        assert len(others) == len(set(others)), "only cases come again"
    weights = [
        sum(d.weight for b in batches for d in b if is_case[d.exam] == kind)
        for kind in (True, False)
    ]
    assert np.allclose(weights, [sum(is_case), len(is_case) - sum(is_case)])
    cases = [sum(is_case[draw.exam] for draw in batch) for batch in batches]
    if any(is_case):
        assert min(cases) >= min(least, size - 1)
        assert max(cases) - min(cases) <= 1


@settings(max_examples=30)
@given(st.integers(1, 60), st.integers(1, 9), WORLDS)
def test_without_cases_and_with_batches_of_one(exams, size, world):
    batches = list(chain(*of_all_ranks([False] * exams, size, 1, world)))
    assert {draw.exam for batch in batches for draw in batch} == set(range(exams))
    assert all(batches), "no rank is ever left without an exam"


@settings(max_examples=30)
@given(CASES, st.integers(0, 5), WORLDS)
def test_seed_and_epoch_decide_alone(is_case, epoch, world):
    def drawn(seed: int, epoch: int) -> list:
        return of_all_ranks(is_case, 4, 1, world, epoch, seed)

    assert drawn(1, epoch) == drawn(1, epoch)
    assert drawn(1, epoch) != drawn(1, epoch + 1)
    assert drawn(1, epoch) != drawn(2, epoch)


def test_rare_cases_come_again_and_spread():
    is_case = [exam < 2 for exam in range(152)]
    for world in (1, 2, 4):
        for batches in of_all_ranks(is_case, 8, 1, world):
            assert all(sum(is_case[d.exam] for d in batch) == 1 for batch in batches)


def test_ranks_share_the_exams_of_one_rank_alone():
    """Where batches come out even, two ranks see no exam twice but for cases."""
    is_case = [exam % 20 == 0 for exam in range(160)]
    first, second = of_all_ranks(is_case, 8, 1, 2)
    seen = [{draw.exam for batch in rank for draw in batch} for rank in (first, second)]
    assert len(first) == len(second) == 11
    assert {exam for exam in seen[0] & seen[1] if not is_case[exam]} == set()
    seeds = [draw.seed for batch in first + second for draw in batch]
    assert len(set(seeds)) == len(seeds)


@settings(max_examples=60)
@given(st.integers(0, 40), st.integers(1, 9), WORLDS)
def test_scoring_sees_each_exam_in_batches_of_one_number(exams, size, world):
    samplers = [EveryExam(exams, size, Ranks(rank, world)) for rank in range(world)]
    batches = [list(sampler) for sampler in samplers]
    assert {len(rank) for rank in batches} == {len(samplers[0])}
    seen = [draw.exam for rank in batches for batch in rank for draw in batch]
    assert set(seen) == set(range(exams))
    assert all(batch for rank in batches for batch in rank), "no rank has nothing to do"
    if world == 1:
        assert seen == list(range(exams)), "in order, once"


def test_nobody_started_ranks():
    assert Ranks.now() == (0, 1)


MAKERS = st.lists(st.integers(0, 3), min_size=1, max_size=60)


def balanced(is_case, makers, size, least, world=1, epoch=0, seed=3):
    """Batches of each rank, each maker as often as any other."""
    found = []
    for rank in range(world):
        sampler = CaseSampler(
            np.array(is_case), size, least, seed, Ranks(rank, world), np.array(makers)
        )
        sampler.set_epoch(epoch)
        found.append(list(sampler))
    return found


def by_kind(is_case, makers):
    """Exams of each maker among the cases, and among the others."""
    kinds = {}
    for exam, kind in enumerate(zip(is_case, makers, strict=True)):
        kinds.setdefault(kind, set()).add(exam)
    return kinds


@settings(max_examples=60)
@given(st.data(), st.integers(2, 9), st.integers(0, 4), st.integers(0, 3), WORLDS)
def test_makers_come_equally_often_in_batches_as_before(data, size, least, epoch, world):
    is_case = data.draw(CASES)
    makers = data.draw(st.lists(st.integers(0, 3), min_size=len(is_case), max_size=len(is_case)))
    plain = of_all_ranks(is_case, size, least, world, epoch)
    ranks = balanced(is_case, makers, size, least, world, epoch)

    def shape(found):
        return [[[is_case[draw.exam] for draw in batch] for batch in rank] for rank in found]

    assert shape(ranks) == shape(plain), "as many batches, exams and cases, in the same places"
    drawn = [draw for rank in ranks for batch in rank for draw in batch]
    for kind in (True, False):
        own = {maker for maker, case in zip(makers, is_case, strict=True) if case == kind}
        of_kind = [makers[draw.exam] for draw in drawn if is_case[draw.exam] == kind]
        times = [of_kind.count(maker) for maker in own]
        assert not own or max(times) - min(times) <= 1
    assert len({draw.seed for draw in drawn}) == len(drawn)


@settings(max_examples=40)
@given(st.data(), st.integers(2, 9), st.integers(0, 3), WORLDS)
def test_exams_come_in_turns_and_weights_undo_the_balance(data, size, least, world):
    is_case = data.draw(CASES)
    makers = data.draw(st.lists(st.integers(0, 3), min_size=len(is_case), max_size=len(is_case)))
    kinds = by_kind(is_case, makers)
    epochs = 12
    times, weights = dict.fromkeys(range(len(is_case)), 0), dict.fromkeys(kinds, 0.0)
    for epoch in range(epochs):
        for batch in chain(*balanced(is_case, makers, size, least, world, epoch)):
            for draw in batch:
                times[draw.exam] += 1
                weights[is_case[draw.exam], makers[draw.exam]] += draw.weight
    for kind, exams in kinds.items():
        own = [times[exam] for exam in exams]
        assert max(own) - min(own) <= 1, "none comes again before all have come"
        assert min(own) >= 1, "of 4 makers each has a quarter of an epoch"
        # Each epoch has one draw of a kind more or less than its share.
        each = sum(own) / epochs
        assert abs(weights[kind] / epochs / len(exams) - 1) <= 1 / (each * epochs)


@settings(max_examples=30)
@given(MAKERS, st.integers(0, 5), WORLDS)
def test_seed_and_epoch_decide_of_makers_too(makers, epoch, world):
    is_case = [exam % 3 == 0 for exam in range(len(makers))]

    def drawn(seed: int, epoch: int) -> list:
        return balanced(is_case, makers, 4, 1, world, epoch, seed)

    assert drawn(1, epoch) == drawn(1, epoch)
    assert drawn(1, epoch) != drawn(1, epoch + 1)
    assert drawn(1, epoch) != drawn(2, epoch)


def test_rare_makers_come_again_and_frequent_ones_take_turns():
    """Of 300 exams 280 are one maker's; it has half of each epoch, and is through in two."""
    makers, is_case = (
        [int(exam >= 280) for exam in range(300)],
        [exam % 10 == 0 for exam in range(300)],
    )
    seen = [
        [draw.exam for batch in balanced(is_case, makers, 6, 1, epoch=epoch)[0] for draw in batch]
        for epoch in range(2)
    ]
    for exams in seen:
        rare = [exam for exam in exams if makers[exam]]
        assert abs(len(rare) - len(exams) / 2) <= 2
    frequent = [exam for exams in seen for exam in exams if not makers[exam] and not is_case[exam]]
    assert set(frequent) == {exam for exam in range(280) if not is_case[exam]}
