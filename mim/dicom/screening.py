"""The one image of each view that stands for an exam, by one rule for training and hospital."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from mim.vocab import VIEW_SLOTS, Kind, Laterality, Presentation, Reason, View, ViewModifier

Row = Mapping[str, Any]
Slot = tuple[Laterality, View]

STAND_INS = frozenset((Reason.PARTIAL_VIEW, Reason.SYNTHETIC_2D, Reason.FOR_PROCESSING))
"""Reasons that an image may have and yet stand in; by ``mim.dicom.reasons`` it then has no other."""

KINDS: dict[object, int] = {Kind.FFDM: 3, Kind.SYNTHETIC_2D: 2, Kind.FILM: 1}
PRESENTATIONS: dict[object, int] = {
    Presentation.FOR_PRESENTATION: 1,
    Presentation.FOR_PROCESSING: -1,
}


def _whole(row: Row) -> bool:
    return ViewModifier.PARTIAL_VIEW not in (row["view_modifiers"] or ())


def _implant_displaced(row: Row) -> bool:
    return ViewModifier.IMPLANT_DISPLACED in (row["view_modifiers"] or ())


PREFERENCE: tuple[tuple[Callable[[Row], Any], str], ...] = (
    (lambda row: row["reason"] is None, "can be used as it is"),
    (lambda row: -row.get("days_after", 0), "is of an earlier study of the same exam"),
    (_whole, "shows the whole breast"),
    (lambda row: KINDS.get(row.get("kind"), 0), "is of a kind that comes first"),
    (lambda row: PRESENTATIONS.get(row.get("presentation"), 0), "is processed for reading"),
    (_implant_displaced, "has the implant displaced"),
    (lambda row: row["acquired"] or "", "was acquired later"),
    (
        lambda row: row["sop_uid"] or "",
        "was acquired at the same time and has the higher SOP Instance UID",
    ),
    (lambda row: row["path"], "differs in nothing but its path, which sorts higher"),
)
"""What decides between two images of one view, first things first, and what is said of the chosen."""


def choose_screening_images(
    rows: Sequence[Row], accept: Collection[Reason] = ()
) -> tuple[dict[Slot, Row], list[tuple[Row, Reason, str]]]:
    """One image for each of the views of ``VIEW_SLOTS`` that the exam has, and the rest with reasons.

    ``rows`` are rows of the index (``mim.schemas.images``) of one exam; those of a study that
    repeats it say by how many days in ``days_after``. Of several images of one view
    the one that comes first by ``PREFERENCE`` is chosen. An image with the implant displaced shows
    more of the breast; a repeat is made because the first was not good enough. SOP Instance UID and
    path decide last, so that the order of the rows never matters. Images without a time of
    acquisition count as the earliest.

    Rows that the index left out come back with their own reason, but those left out for nothing that
    is not in ``accept`` (some of ``STAND_INS``) are candidates too, for views that have no other.
    """
    assert STAND_INS.issuperset(accept), f"only {sorted(STAND_INS)} can be accepted"
    left_out: list[tuple[Row, Reason, str]] = []
    of_slot: dict[Slot, list[Row]] = {slot: [] for slot in VIEW_SLOTS}
    for row in rows:
        slot = (Laterality(row["laterality"]), View(row["view"]))
        if row["reason"] is not None and not _may_stand_in(row, accept):
            left_out.append((row, Reason(row["reason"]), row["detail"] or ""))
        elif slot not in of_slot:
            left_out.append((row, Reason.NOT_SCREENING_VIEW, f"view {slot[1]}, side {slot[0]}"))
        else:
            of_slot[slot].append(row)
    chosen: dict[Slot, Row] = {}
    for slot, candidates in of_slot.items():
        if not candidates:
            continue
        chosen[slot], *others = sorted(candidates, key=_rank, reverse=True)
        left_out += [(row, Reason.REPEATED_VIEW, _why(chosen[slot], row)) for row in others]
    return chosen, left_out


def _may_stand_in(row: Row, accept: Collection[Reason]) -> bool:
    """Whether all that speaks against the image is in ``accept``; the row's reason is the first."""
    against = {
        Reason.PARTIAL_VIEW: not _whole(row),
        Reason.SYNTHETIC_2D: row.get("kind") == Kind.SYNTHETIC_2D,
        Reason.FOR_PROCESSING: row.get("presentation") == Presentation.FOR_PROCESSING,
        Reason(row["reason"]): True,
    }
    return all(reason in accept for reason, holds in against.items() if holds)


def _rank(row: Row) -> tuple[Any, ...]:
    return tuple(of(row) for of, _ in PREFERENCE)


def _why(chosen: Row, row: Row) -> str:
    words = next(words for of, words in PREFERENCE if of(chosen) != of(row))
    return f"another image of the view {words}"
