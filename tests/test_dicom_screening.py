"""The choice among several images of one view."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mim.dicom.screening import choose_screening_images
from mim.vocab import SCREENING_VIEWS, VIEW_SLOTS, Kind, Laterality, Presentation, Reason, View

LCC = (Laterality.LEFT, View.CC)


def image(path: str, **columns: Any) -> dict[str, Any]:
    plain = {
        "path": path,
        "reason": None,
        "detail": None,
        "laterality": "L",
        "view": "CC",
        "view_modifiers": [],
        "kind": "full-field digital",
        "presentation": "for presentation",
        "acquired": "20200101120000",
        "sop_uid": "1.2.3",
    }
    return plain | columns


DISPLACED = {"view_modifiers": ["implant displaced"]}

CHOICES = [
    # the image chosen, the image left out, words of the reason
    (image("b", acquired="20200101120001"), image("a"), "later"),
    (image("a", **DISPLACED), image("b", acquired="20200101130000"), "implant"),
    (image("a", acquired="20200101130000", **DISPLACED), image("b", **DISPLACED), "later"),
    (image("a"), image("b", acquired=None), "later"),
    (image("a", sop_uid="1.2.4"), image("b"), "higher"),
    (image("a"), image("b", sop_uid=None), "higher"),
    (image("b"), image("a"), "path"),
    (image("a", acquired="20200101130000"), image("b", view_modifiers=None), "later"),
    (image("a"), image("b", kind="digitised film", acquired="20200101130000"), "kind"),
    (image("a", kind="digitised film"), image("b", kind="unknown"), "kind"),
    (image("a"), image("b", presentation="unknown", **DISPLACED), "processed"),
    (image("a", kind="digitised film"), image("b", days_after=3), "earlier study"),
    (image("b", days_after=3), image("a", days_after=4), "earlier study"),
]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("chosen", "other", "words"), CHOICES)
def test_choice(chosen: dict[str, Any], other: dict[str, Any], words: str, turned: bool) -> None:
    rows = [other, chosen] if turned else [chosen, other]
    images, ((left, reason, detail),) = choose_screening_images(rows)
    assert images == {LCC: chosen}
    assert left is other
    assert reason == Reason.REPEATED_VIEW
    assert words in detail


def test_each_view_has_its_own_choice() -> None:
    rows = [image(f"{side}{view}", laterality=side, view=view) for side, view in VIEW_SLOTS]
    images, left_out = choose_screening_images(rows[::-1])
    assert [images[slot]["path"] for slot in VIEW_SLOTS] == ["LCC", "LMLO", "RCC", "RMLO"]
    assert left_out == []


def test_rows_that_are_no_screening_view_come_back_with_a_reason() -> None:
    spot = image("a", reason="spot", detail="view modifier: spot")
    lateral = image("b", view="ML")
    images, left_out = choose_screening_images([spot, lateral])
    assert images == {}
    assert left_out == [
        (spot, Reason.SPOT, "view modifier: spot"),
        (lateral, Reason.NOT_SCREENING_VIEW, "view ML, side L"),
    ]


SYNTHETIC = {"kind": "synthetic 2D", "reason": "synthetic 2D", "detail": "computed"}
RAW = {"presentation": "for processing", "reason": "for processing", "detail": "detector"}
PARTIAL = {"view_modifiers": ["partial view"], "reason": "partial view", "detail": "part"}
LATEST = {"acquired": "20300101120000"}
BOTH = (Reason.SYNTHETIC_2D, Reason.FOR_PROCESSING)
ALL = (*BOTH, Reason.PARTIAL_VIEW)

STAND_INS = [
    # what is accepted, images best first; those behind the dots cannot be used
    ((), [image("a"), ..., image("b", **SYNTHETIC | LATEST), image("c", **RAW | LATEST)]),
    (BOTH, [image("a"), image("c", **RAW | LATEST), image("b", **SYNTHETIC | LATEST)]),
    ((Reason.SYNTHETIC_2D,), [image("b", **SYNTHETIC), ..., image("c", **RAW | LATEST)]),
    ((Reason.FOR_PROCESSING,), [image("c", **RAW), ..., image("b", **SYNTHETIC | LATEST)]),
    ([Reason.FOR_PROCESSING], [image("a", kind="unknown"), image("c", **RAW | LATEST)]),
    (BOTH, [image("b", **SYNTHETIC), ..., image("d", **PARTIAL | LATEST)]),
    (ALL, [image("b", **SYNTHETIC), image("d", **PARTIAL | LATEST)]),
    # Two things against one image.
    ((Reason.SYNTHETIC_2D,), [..., image("e", **RAW | SYNTHETIC)]),
    ((Reason.PARTIAL_VIEW,), [..., image("e", **RAW | PARTIAL)]),
    ((Reason.PARTIAL_VIEW,), [..., image("e", **SYNTHETIC | PARTIAL)]),
    (BOTH, [image("e", **RAW | SYNTHETIC)]),
    (
        ALL,
        [
            image("e", **SYNTHETIC | PARTIAL),
            image("g", kind="digitised film", **PARTIAL | LATEST),
        ],
    ),
    (ALL, [..., image("f", reason="spot", detail="view modifier: spot")]),
]


@pytest.mark.parametrize(("accept", "ranked"), STAND_INS)
def test_what_may_stand_in_does_so_where_nothing_better_is_there(
    accept: Sequence[Reason], ranked: list[Any]
) -> None:
    dots = ranked.index(...) if ... in ranked else len(ranked)
    usable, unusable = ranked[:dots], ranked[dots + 1 :]
    while usable:
        images, left_out = choose_screening_images([*unusable, *usable[::-1]], accept)
        assert images == {LCC: usable[0]}
        reasons = {row["path"]: reason for row, reason, _ in left_out}
        assert reasons == {row["path"]: row["reason"] for row in unusable} | dict.fromkeys(
            [row["path"] for row in usable[1:]], Reason.REPEATED_VIEW
        )
        usable = usable[1:]
    assert choose_screening_images(unusable, accept)[0] == {}


def test_a_stand_in_without_a_view_stands_for_none() -> None:
    lateral = image("a", view="ML", **RAW)
    images, left_out = choose_screening_images([lateral], BOTH)
    assert images == {}
    assert left_out == [(lateral, Reason.NOT_SCREENING_VIEW, "view ML, side L")]


def test_other_reasons_cannot_be_accepted() -> None:
    with pytest.raises(AssertionError, match="only"):
        choose_screening_images([], [Reason.SPOT])


def test_rows_may_lack_what_tells_kinds() -> None:
    row = image("a")
    del row["kind"], row["presentation"]
    assert choose_screening_images([row])[0] == {LCC: row}


def test_no_images_make_no_exam() -> None:
    assert choose_screening_images([]) == ({}, [])


ROWS = st.lists(
    st.builds(
        image,
        st.uuids().map(str),
        laterality=st.sampled_from(["L", "R"]),
        view=st.sampled_from(list(SCREENING_VIEWS)),
        acquired=st.sampled_from([None, "20200101120000", "20200101120001"]),
        sop_uid=st.sampled_from([None, "1.1", "1.2"]),
        view_modifiers=st.sampled_from([None, [], ["implant displaced"]]),
        kind=st.sampled_from(list(Kind)),
        presentation=st.sampled_from(list(Presentation)),
    ),
    max_size=12,
    unique_by=lambda row: row["path"],
)


@given(ROWS, st.randoms())
def test_every_row_is_chosen_or_left_out_whatever_the_order(rows: list[Any], random: Any) -> None:
    images, left_out = choose_screening_images(rows)
    paths = [row["path"] for row in images.values()] + [row["path"] for row, _, _ in left_out]
    assert sorted(paths) == sorted(row["path"] for row in rows)
    assert images.keys() == {(row["laterality"], row["view"]) for row in rows}
    random.shuffle(rows)
    assert choose_screening_images(rows)[0] == images
