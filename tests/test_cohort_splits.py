"""Splits: shares, stability, what is held out, the evenest salt, refusals."""

from collections import Counter
from datetime import date, timedelta
from hashlib import blake2b
from itertools import product
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mim.cohort.settings import SplitSettings
from mim.cohort.splits import Division, check_shares, divide_exams, unevenness
from mim.errors import InputError
from mim.vocab import Outcome, Split

WOMEN = [f"woman {n}" for n in range(20_000)]
DAY = date(2015, 1, 1)

SCHEMA = pl.Schema(
    {
        **dict.fromkeys(("exam", "woman"), pl.String),
        "exam_date": pl.Date,
        **dict.fromkeys(("maker", "site", "given_split"), pl.String),
        **dict.fromkeys(("makers", "sites"), pl.List(pl.String)),
        **dict.fromkeys(("left_outcome", "right_outcome"), pl.String),
    }
)


def exam(woman: str, nth: int = 0, **more: Any) -> dict[str, Any]:
    usual = {
        "exam": f"{woman}/{nth}",
        "woman": woman,
        "exam_date": DAY,
        "maker": "siemens",
        "site": "north",
        "given_split": None,
        "left_outcome": "negative",
        "right_outcome": "negative",
    }
    usual |= more
    return {"makers": [usual["maker"]], "sites": [usual["site"]]} | usual


def table(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA)


def divide(rows: list[dict[str, Any]], **asked: Any) -> Division:
    return divide_exams(table(rows), SplitSettings(**asked))


def splits_of(women: list[str], **asked: Any) -> list[str]:
    return divide([exam(woman) for woman in women], **asked).exams["split"].to_list()


def by_exam(division: Division) -> dict[str, tuple[str, int | None, bool]]:
    return {name: (split, fold, out) for name, split, fold, out in division.exams.rows()}


@pytest.mark.parametrize("salt", [0, 1, 2, 2**32 - 1])
def test_shares_are_met(salt: int) -> None:
    counts = Counter(splits_of(WOMEN, validation=0.15, test=0.25, salt=salt))
    # Five standard deviations of a binomial share of 20,000.
    assert counts["test"] / len(WOMEN) == pytest.approx(0.25, abs=0.016)
    assert counts["validation"] / len(WOMEN) == pytest.approx(0.15, abs=0.013)


@pytest.mark.parametrize("salt", [0, 3])
def test_folds_are_equal_and_validation_is_spread_over_the_rest(salt: int) -> None:
    tested = []
    for fold in (1, 5):
        division = divide(
            [exam(woman) for woman in WOMEN], validation=0.2, folds=5, fold=fold, salt=salt
        ).exams
        tested.append(set(division.filter(split="test")["exam"]))
        assert set(division.filter(fold=fold)["exam"]) == tested[-1]
        cells = division.group_by("fold", "split").len().rows()
        counts = {(number, split): count for number, split, count in cells}
        for number in range(1, 6):
            assert sum(counts.get((number, split), 0) for split in Split) == pytest.approx(
                4000, abs=5 * (20_000 * 0.2 * 0.8) ** 0.5
            )
            if number != fold:
                # A fifth of all women validate, so a quarter of those who are not tested.
                assert counts[number, "validation"] == pytest.approx(1000, abs=5 * 750**0.5)
    assert not tested[0] & tested[1]


def test_another_salt_is_another_division() -> None:
    """Test women of one salt are test women of the next no oftener than others."""
    divisions = [splits_of(WOMEN, salt=salt) for salt in (0, 1, 2, 100)]
    for one, other in product(divisions, divisions):
        both = sum(a == b == "test" for a, b in zip(one, other, strict=True)) / len(WOMEN)
        assert both == pytest.approx(0.25 if one is other else 0.0625, abs=0.016)


LETTERS = {"train": "-", "validation": "v", "test": "T"}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "-TT--------T-TT----Tv-T-"),
        ({"salt": 1}, "--T--T--T---v----T-v----"),
        ({"salt": 2**32 - 1}, "Tv-vT-T-TTTvT-TTv--Tv---"),
        ({"folds": 4, "fold": 2, "validation": 0.3}, "--vT-vv-v-TvTv-v-TTvTvv-"),
    ],
)
def test_splits_are_those_of_earlier_versions(asked: dict[str, Any], expected: str) -> None:
    """A change of a hash would mix test women into training; so it must be seen.

    The letters are of a program in plain Python, with whole numbers of any size.
    """
    assert "".join(LETTERS[split] for split in splits_of(WOMEN[:24], **asked)) == expected


def test_folds_are_those_of_earlier_versions() -> None:
    division = divide([exam(woman) for woman in WOMEN[:24]], folds=4)
    assert "".join(map(str, division.exams["fold"])) == "411243434421211432212413"


def test_without_a_salt_the_hash_itself_is_the_place() -> None:
    for woman, split in zip(WOMEN[:500], splits_of(WOMEN[:500]), strict=True):
        place = int.from_bytes(blake2b(woman.encode(), digest_size=8).digest()) / 2**64
        assert split == ("test" if place < 0.25 else "validation" if place < 0.4 else "train")


NAMES = st.sampled_from([f"w{n}" for n in range(12)])
ROWS = st.lists(
    st.builds(
        exam,
        NAMES,
        nth=st.integers(0, 10**9),
        exam_date=st.one_of(st.none(), st.integers(-400, 400).map(lambda n: DAY + timedelta(n))),
        maker=st.sampled_from(["siemens", "ge"]),
        site=st.sampled_from([None, "north", "south"]),
        left_outcome=st.sampled_from([outcome.value for outcome in Outcome]),
    ),
    min_size=1,
    max_size=20,
    unique_by=lambda row: row["exam"],
)
OPTIONS = st.sampled_from(
    [
        {},
        {"salt": 9},
        {"folds": 3, "fold": 2},
        {"held_out_maker": "ge"},
        {"held_out_site": "south"},
        {"held_out_from": "2015-02-01"},
    ]
)


def divide_or_none(rows: list[dict[str, Any]], asked: dict[str, Any]) -> Division | None:
    """None where the few made-up women leave a split empty."""
    try:
        return divide(rows, **asked)
    except InputError:
        return None


@settings(max_examples=50)
@given(ROWS, OPTIONS, st.randoms(use_true_random=False))
def test_every_woman_is_in_one_split_in_any_order(
    rows: list[dict[str, Any]], asked: dict[str, Any], random: Any
) -> None:
    division = divide_or_none(rows, asked)
    if division is None:
        return
    assert division.exams["exam"].to_list() == [row["exam"] for row in rows]
    found = by_exam(division)
    of_woman: dict[str, set[str]] = {}
    for row in rows:
        split, fold, out = found[row["exam"]]
        assert (fold is not None) == ("folds" in asked)
        assert not out or split == "unused"
        of_woman.setdefault(row["woman"], set()).add(split)
    assert all(len(splits - {"unused"}) <= 1 for splits in of_woman.values())
    random.shuffle(rows)
    again = divide(rows, **asked)
    assert by_exam(again) == found


@settings(max_examples=50)
@given(ROWS, ROWS, OPTIONS)
def test_adding_women_moves_nobody(
    rows: list[dict[str, Any]], more: list[dict[str, Any]], asked: dict[str, Any]
) -> None:
    added = [row | {"woman": f"new {row['woman']}", "exam": f"new {row['exam']}"} for row in more]
    before, after = divide_or_none(rows, asked), divide_or_none([*added, *rows], asked)
    if before is not None and after is not None:
        assert by_exam(before).items() <= by_exam(after).items()


@settings(max_examples=40)
@given(st.text(), st.floats(0, 0.5), st.floats(0, 0.25), st.floats(0, 0.25))
def test_a_larger_share_takes_no_woman_out(
    woman: str, test: float, validation: float, more: float
) -> None:
    """Enlarging validation leaves every test and validation woman where she is."""
    [was] = splits_of([woman], validation=validation, test=test)
    [now] = splits_of([woman], validation=min(validation + more, 0.49), test=test)
    assert now == was or (was, now) == ("train", "validation")


def test_a_held_out_maker_or_site_takes_its_women_to_test() -> None:
    rows = [exam(woman) for woman in WOMEN[:200]]
    moved = [exam(WOMEN[n], 1, maker="ge", site="south") for n in range(0, 200, 9)]
    usual = dict(zip(WOMEN, splits_of(WOMEN[:200]), strict=False))
    for key, value in (("maker", "ge"), ("site", "south")):
        found = divide([*rows, *moved], **{f"held_out_{key}": value}).exams
        for row, split in zip([*rows, *moved], found["split"], strict=True):
            hers = WOMEN.index(row["woman"]) % 9 == 0
            assert split == ("test" if hers else usual[row["woman"]])


@pytest.mark.parametrize(
    ("what", "value", "other"), [("maker", "ge", "siemens"), ("site", "south", "north")]
)
def test_an_exam_done_again_elsewhere_is_held_out_too(what: str, value: str, other: str) -> None:
    of_both = [exam(woman, **{f"{what}s": [value, other]}) for woman in WOMEN[:50]]
    others = [exam(woman) for woman in WOMEN[50:100]]
    found = divide([*of_both, *others], **{f"held_out_{what}": value}).exams["split"]
    assert set(found[:50]) == {"test"}
    assert "train" in set(found[50:])


def test_a_held_out_period() -> None:
    women = WOMEN[:60]
    days = (None, DAY - timedelta(1), DAY, DAY + timedelta(700))
    rows = [exam(woman, n, exam_date=day) for woman in women for n, day in enumerate(days)]
    found = by_exam(divide(rows, held_out_from=DAY.isoformat()))
    for woman, split in zip(women, splits_of(women), strict=True):
        undated, early, *late = (found[f"{woman}/{n}"] for n in range(4))
        assert undated == ("unused", None, True)
        if split == "test":
            assert early == ("unused", None, False)
            assert late == [("test", None, False)] * 2
        else:
            assert early == (split, None, False)
            assert late == [("unused", None, True)] * 2


def test_the_registrys_own_division() -> None:
    rows = [
        exam("a", 0, given_split="test"),
        exam("a", 1),
        exam("b", given_split="train"),
        exam("c", given_split="validation"),
    ]
    division = divide(rows, from_registry=True)
    assert division.exams["split"].to_list() == ["test", "test", "train", "validation"]
    with pytest.raises(InputError, match=r"splits.from_registry: 1 women have exams in several"):
        divide([*rows, exam("a", 2, given_split="train")], from_registry=True)
    with pytest.raises(InputError, match=r"splits.from_registry: 2 women have no exam with"):
        divide([*rows, exam("d"), exam("e")], from_registry=True)


def test_a_division_without_validation_gets_it_from_the_training_women() -> None:
    women = [f"w{n}" for n in range(2000)]
    rows = [exam(w, given_split="test" if n < 500 else "train") for n, w in enumerate(women)]
    division = divide(rows, from_registry=True, validation=0.2)
    split = dict(zip(women, division.exams["split"], strict=True))
    assert {split[w] for w in women[:500]} == {"test"}
    validation = sum(split[w] == "validation" for w in women[500:])
    assert abs(validation - 300) < 5 * (1500 * 0.2 * 0.8) ** 0.5
    assert "20% of those for training" in division.notices[0]
    assert "validation" not in set(divide(rows, from_registry=True, validation=0.0).exams["split"])


def made_up(women: int, seed: int) -> list[dict[str, Any]]:
    random = np.random.default_rng(seed)
    outcomes = random.choice(["negative", "interval cancer"], women, p=[0.9, 0.1])
    makers = random.choice(["ge", "siemens", "hologic"], women, p=[0.1, 0.6, 0.3])
    return [
        exam(f"{seed} {n}", left_outcome=str(outcomes[n]), maker=str(makers[n]))
        for n in range(women)
    ]


def chi_squared(rows: list[dict[str, Any]], parts: list[Any], shares: dict[Any, float]) -> float:
    """Pearson's sum over strata of more women than the smallest part needs to get one."""
    strata: dict[tuple[str, str], Counter[Any]] = {}
    for row, part in zip(rows, parts, strict=True):
        strata.setdefault((row["left_outcome"], row["maker"]), Counter())[part] += 1
    assert all(counts.total() * min(shares.values()) >= 1 for counts in strata.values())
    return sum(
        (counts[part] - counts.total() * share) ** 2 / (counts.total() * share)
        for counts in strata.values()
        for part, share in shares.items()
    )


def test_the_most_even_of_several_salts_is_taken_and_named() -> None:
    rows = made_up(1500, seed=5)
    division = divide(rows, salt=3, best_of=12)
    shares = {"test": 0.25, "validation": 0.15, "train": 0.6}
    measures = {
        salt: chi_squared(rows, divide(rows, salt=salt).exams["split"].to_list(), shares)
        for salt in range(3, 15)
    }
    assert division.salt == min(measures, key=lambda salt: measures[salt]) != 3
    [notice] = division.notices
    assert f"give splits.salt={division.salt} and no splits.best_of" in notice
    assert division.exams.equals(divide(rows, salt=division.salt).exams)


def test_a_woman_counts_by_her_worst_outcome_and_her_most_frequent_maker() -> None:
    """More exams without a cancer, and one of another maker, leave the choice as it was."""
    rows = made_up(300, seed=7)
    usual = [row | {"exam": f"{row['exam']} again", "left_outcome": "negative"} for row in rows]
    once = [row | {"exam": f"{row['exam']} once", "maker": "fuji"} for row in usual]
    for first in (0, 100, 200):
        asked = {"salt": first, "best_of": 50}
        assert divide([*once, *usual, *rows], **asked).salt == divide(rows, **asked).salt


def test_the_most_even_folds_are_the_same_whichever_is_tested() -> None:
    rows = made_up(600, seed=6)
    divisions = [divide(rows, best_of=8, folds=3, fold=fold) for fold in (1, 2, 3)]
    assert len({division.salt for division in divisions}) == 1
    measures = {
        salt: chi_squared(
            rows,
            divide(rows, salt=salt, folds=3).exams["fold"].to_list(),
            dict.fromkeys((1, 2, 3), 1 / 3),
        )
        for salt in range(8)
    }
    assert divisions[0].salt == min(measures, key=lambda salt: measures[salt])


def test_unevenness_is_that_of_the_table() -> None:
    """Two strata of 100 and 10 women: ((20-25)**2/25 + (80-75)**2/75) + ((5-2.5)**2/2.5 + ...)."""
    strata = np.repeat([0, 1], [100, 10])
    parts = np.repeat([0, 1, 0, 1], [20, 80, 5, 5])
    expected = (25 / 25 + 25 / 75) + (6.25 / 2.5 + 6.25 / 7.5)
    assert unevenness(strata, parts, np.array([0.25, 0.75])) == pytest.approx(expected)
    assert unevenness(strata, parts + 1, np.array([0, 0.25, 0.75])) == pytest.approx(expected)


def test_rare_makers_do_not_drive_everybody_into_training() -> None:
    """Twenty women with cancer, each of a maker of her own, are spread as one stratum."""
    rows = [exam(f"{n}", maker=f"maker {n}", left_outcome="interval cancer") for n in range(20)]
    counts = Counter(divide(rows, best_of=200).exams["split"])
    assert counts == {"train": 12, "test": 5, "validation": 3}


@pytest.mark.parametrize(("validation", "test"), [(-0.1, 0.2), (0.2, -0.1), (0.5, 0.5)])
def test_shares_that_leave_nothing_are_refused(validation: float, test: float) -> None:
    with pytest.raises(InputError, match="sum below 1"):
        check_shares(SplitSettings(validation=validation, test=test))


def test_folds_that_leave_nothing_are_refused() -> None:
    with pytest.raises(InputError, match=r"splits.folds=2: .* below 1"):
        check_shares(SplitSettings(validation=0.5, folds=2))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"held_out_maker": "fuji"}, r"splits.held_out_maker=fuji: no exam of the cohort"),
        ({"held_out_site": "east"}, r"splits.held_out_site=east: no exam of the cohort"),
        ({"held_out_maker": "siemens"}, r"splits.held_out_maker=siemens: leaves no exam in the tr"),
        ({"held_out_from": "2015-01-02"}, r"splits.held_out_from=2015-01-02: leaves .* the test"),
        ({"held_out_from": "2015-01-01"}, r"splits.held_out_from=2015-01-01: leaves .* the train"),
    ],
)
def test_holding_out_nothing_or_everything_is_refused(asked: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        divide([exam(woman) for woman in WOMEN[:50]], **asked)


def test_an_empty_split_is_told() -> None:
    assert splits_of(WOMEN[:1]) == ["train"]
    assert divide([exam(WOMEN[0])]).notices == ["splits: no exam is in the test split"]
    assert divide([exam(WOMEN[0])], test=0).notices == []
