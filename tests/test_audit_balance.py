"""Balance of cancers and shortcuts: counted again in plain Python, and planted."""

from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_cohort import MAKERS, MadeCohort, Row, audited, exam_row, image_rows, made_cohort

from mim.audit.balance import all_shares, asked_shares, balance_findings
from mim.audit.chances import wilson
from mim.audit.shortcuts import THINGS, fitted, shortcuts, things
from mim.audit.tables import read_cohort
from mim.cohort.settings import SplitSettings
from mim.schemas.cohort import EXAMS
from mim.vocab import Split

LABELS = (True, False, None)


def labelled(left: bool | None, right: bool | None) -> Row:
    words = {True: "screen-detected cancer", False: "negative", None: "unknown"}
    return {
        "left_cancer": left,
        "right_cancer": right,
        "left_outcome": words[left],
        "right_outcome": words[right],
    }


exams = st.lists(
    st.builds(
        lambda split, maker, site, left, right, woman: {
            "split": split, "maker": maker, "site": site, "woman": woman, **labelled(left, right)
        },
        st.sampled_from([str(split) for split in Split]),
        st.sampled_from(MAKERS),
        st.sampled_from(["North", "South", None]),
        st.sampled_from(LABELS),
        st.sampled_from(LABELS),
        st.sampled_from(["w1", "w2", "w3"]),
    ),
    max_size=40,
)  # fmt: skip


@settings(max_examples=40)
@given(exams)
def test_shares_are_those_counted_in_plain_python(rows: list[Row]) -> None:
    made = [exam_row(str(n), "", None) | row for n, row in enumerate(rows)]
    frame = pl.DataFrame(pl.from_arrow(EXAMS.from_rows(made)))
    frame = frame.with_columns(cancer=pl.col("left_cancer") | pl.col("right_cancer"))
    for name, table in all_shares(frame).items():
        by = name.split(" and ")
        counted: dict[tuple[object, ...], Counter[str]] = {}
        for row in made:
            if row["split"] == "unused":
                continue
            group = counted.setdefault(tuple(row[column] for column in by), Counter())
            sides = (row["left_cancer"], row["right_cancer"])
            group["exams"] += 1
            group["known"] += True in sides or sides == (False, False)
            group["cancers"] += True in sides
            group["breasts_known"] += sum(side is not None for side in sides)
            group["breasts_cancers"] += sum(side is True for side in sides)
        assert {tuple(row[c] for c in by) for row in table.to_dicts()} == set(counted)
        for row in table.to_dicts():
            group = counted[tuple(row[column] for column in by)]
            assert {key: row[key] for key in group} == dict(group)
            if row["known"]:
                assert (row["low"], row["high"]) == wilson(row["cancers"], row["known"])


def programme(women: int, seed: int = 0, share: float = 0.1, **settings: object) -> MadeCohort:
    """One exam a woman; cancers, makers and sites drawn apart from each other."""
    made = MadeCohort()
    made.settings["splits"] |= settings
    draw = np.random.default_rng(seed)
    places = draw.random(women)
    for number in range(women):
        split = (
            "test" if places[number] < 0.25 else "validation" if places[number] < 0.4 else "train"
        )
        row = exam_row(
            f"e{number}",
            f"w{number}",
            date(2015, 1, 1) + timedelta(days=int(draw.integers(1400))),
            split=split,
            maker=MAKERS[draw.integers(3)],
            site=("North", "South")[draw.integers(2)],
            age_years=int(draw.integers(50, 70)),
            **labelled(bool(draw.random() < share), False),
        )
        made.exams.append(row)
        made.images += image_rows(row)
    return made


def checks(made: MadeCohort, folder: Path) -> dict[str, list[str]]:
    """Sentences of an audit's findings by check."""
    found: dict[str, list[str]] = {}
    for row in audited(made, folder)[1]:
        found.setdefault(row["check"], []).append(row["sentence"])
    return found


@pytest.mark.parametrize("column", ["maker", "site"])
@pytest.mark.parametrize("cancer", [True, False])
def test_a_group_with_only_cancers_or_none_is_a_problem(
    column: str, cancer: bool, tmp_path: Path
) -> None:
    made = programme(600)
    for row in made.exams[:100]:
        row |= {column: "fuji", **labelled(cancer, False)}
    found = checks(made, tmp_path)
    [sentence] = found[f"{column} with only cancers or none"]
    assert f"{100 if cancer else 0} of 100 exams" in sentence
    assert f"{column}'s share of cancers differs" not in found
    assert ("shortcut" in found) == cancer


def test_two_women_of_a_maker_without_cancer_are_chance(tmp_path: Path) -> None:
    made = programme(600)
    for row in made.exams[:2]:
        row |= {"maker": "fuji", **labelled(False, False)}
    assert checks(made, tmp_path) == {}


def test_many_exams_of_one_woman_are_one_chance(tmp_path: Path) -> None:
    made = programme(600)
    for row in made.exams[:5]:
        row |= {"woman": "w0", "split": "train", "exam_date": made.exams[0]["exam_date"]}
        row |= {"maker": "fuji", **labelled(True, False)}
    assert "maker with only cancers or none" not in checks(made, tmp_path)


def test_a_maker_with_three_times_the_share_is_a_warning(tmp_path: Path) -> None:
    made = programme(3000)
    assert checks(made, tmp_path / "even") == {}
    for row in made.exams[:400]:
        row |= {"maker": "fuji", **labelled(row["exam"].endswith(("0", "1", "2")), False)}
    found = checks(made, tmp_path / "uneven")
    assert "120 of 400 exams by fuji" in found["maker's share of cancers differs"][0]


@pytest.mark.parametrize(("cancers", "found"), [(800, []), (1000, ["200000", "100000"])])
def test_a_difference_beyond_chance_but_of_no_account_is_no_finding(
    cancers: int, found: list[str], tmp_path: Path
) -> None:
    """0.6 % of 200,000 exams by one maker, 0.8 % or 1 % of 100,000 by another; p is below 1e-9."""
    cohort = read_cohort(made_cohort().write(tmp_path))
    known, women = [200_000, 100_000], [100_000, 50_000]
    makers = pl.DataFrame({"maker": ["ge", "fuji"], "known": known, "women": women})
    makers = makers.with_columns(cancers=pl.Series([1200, cancers]))
    findings = balance_findings(cohort, all_shares(cohort.exams) | {"maker": makers})
    assert [str(finding.count) for finding in findings] == found


def test_a_split_with_too_many_women_of_a_kind_is_a_warning(tmp_path: Path) -> None:
    made = programme(800)
    for row in made.exams:
        if row["left_cancer"] and row["maker"] == "ge":
            row["split"] = "train"
    found = checks(made, tmp_path)
    [sentence] = found["split not as asked for"]
    assert "train has 24 of 24 women" in sentence
    made.settings["splits"]["held_out_maker"] = "ge"
    assert "split not as asked for" not in checks(made, tmp_path / "held out")


def test_asked_shares_are_those_of_the_settings() -> None:
    def asked(**values: object) -> dict[str, float]:
        return asked_shares(vars(SplitSettings(**values)))

    assert asked(test=0.3, validation=0.2) == pytest.approx(
        {"train": 0.5, "validation": 0.2, "test": 0.3}
    )
    assert asked(folds=5, fold=2)["test"] == pytest.approx(0.2)
    assert asked(from_registry=True) == asked(held_out_from="2020-01-01") == {}


def test_a_shortcut_is_worth_what_scikit_learn_says(tmp_path: Path) -> None:
    from sklearn.metrics import roc_auc_score

    made = programme(500, seed=3)
    for row in made.exams:
        if row["left_cancer"]:
            row["site"] = "South"
            row["machine"] = "new"
    made.images = [row for row in made.images if row["image"] != "e1-L-CC"]
    cohort = read_cohort(made.write(tmp_path))
    rows = things(cohort)
    train, test = rows.filter(split="train"), rows.filter(split="test")
    worths = {worth.name: worth for worth in shortcuts(cohort)}
    for column, name in THINGS.items():
        shares = {}
        for group, cancers, n in (
            train.group_by(column).agg(pl.col("cancer").sum(), pl.len()).iter_rows()
        ):
            shares[group] = (cancers + 1) / (n + train.height / train["cancer"].sum())
        scores = [shares.get(group, train["cancer"].mean()) for group in test[column]]
        assert fitted(column, train, test).to_list() == pytest.approx(scores)
        assert worths[name].auc == pytest.approx(roc_auc_score(test["cancer"], scores))
    assert worths["site"].low > 0.6


def test_age_is_shown_and_no_finding(tmp_path: Path) -> None:
    made = programme(800, seed=2)
    for row in made.exams:
        row["age_years"] = 69 if row["left_cancer"] else 50
    assert checks(made, tmp_path) == {}
    age = shortcuts(read_cohort(tmp_path / "cohort"))[-1]
    assert (age.auc, age.high) == (1, 1)


def test_shortcuts_are_not_measured_where_a_split_has_no_cancer(tmp_path: Path) -> None:
    made = programme(60, share=0)
    worth = shortcuts(read_cohort(made.write(tmp_path)))[0]
    assert (worth.auc, worth.low) == (None, None)
    assert worth.reason == "training exams need some with cancer and some without"
