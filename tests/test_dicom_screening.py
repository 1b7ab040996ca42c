"""The choice among several images of one view."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mim.dicom.screening import choose_screening_images
from mim.vocab import SCREENING_VIEWS, VIEW_SLOTS, Laterality, Reason, View

LCC = (Laterality.LEFT, View.CC)


def image(path: str, **columns: Any) -> dict[str, Any]:
    plain = {
        "path": path,
        "reason": None,
        "detail": None,
        "laterality": "L",
        "view": "CC",
        "view_modifiers": [],
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
    (image("b"), image("a"), "higher"),
    (image("a", acquired="20200101130000"), image("b", view_modifiers=None), "later"),
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
