"""The one image of each view that stands for an exam, by one rule for training and hospital."""

from collections.abc import Mapping, Sequence
from typing import Any

from mim.vocab import VIEW_SLOTS, Laterality, Reason, View, ViewModifier

Row = Mapping[str, Any]
Slot = tuple[Laterality, View]


def choose_screening_images(
    rows: Sequence[Row],
) -> tuple[dict[Slot, Row], list[tuple[Row, Reason, str]]]:
    """One image for each of the views of ``VIEW_SLOTS`` that the exam has, and the rest with reasons.

    ``rows`` are rows of the index (``mim.schemas.images``) of one exam. Of several images of one view
    the one with the implant displaced wins, since it shows more of the breast; then the one acquired
    last, since a repeat is made because the first was not good enough; then the one with the higher
    SOP Instance UID, then path, so that the order of the rows never matters. Images without a time of
    acquisition count as the earliest. Rows that the index left out come back with their own reason.
    """
    left_out: list[tuple[Row, Reason, str]] = []
    of_slot: dict[Slot, list[Row]] = {slot: [] for slot in VIEW_SLOTS}
    for row in rows:
        slot = (Laterality(row["laterality"]), View(row["view"]))
        if row["reason"] is not None:
            left_out.append((row, Reason(row["reason"]), row["detail"] or ""))
        elif slot not in of_slot:
            left_out.append((row, Reason.NOT_SCREENING_VIEW, f"view {slot[1]}, side {slot[0]}"))
        else:
            of_slot[slot].append(row)
    chosen: dict[Slot, Row] = {}
    for slot, candidates in of_slot.items():
        if not candidates:
            continue
        chosen[slot], *others = sorted(candidates, key=_preference, reverse=True)
        left_out += [(row, Reason.REPEATED_VIEW, _why(chosen[slot], row)) for row in others]
    return chosen, left_out


def _implant_displaced(row: Row) -> bool:
    return ViewModifier.IMPLANT_DISPLACED in (row["view_modifiers"] or ())


def _preference(row: Row) -> tuple[bool, str, str, str]:
    return _implant_displaced(row), row["acquired"] or "", row["sop_uid"] or "", row["path"]


def _why(chosen: Row, row: Row) -> str:
    if _implant_displaced(chosen) and not _implant_displaced(row):
        return "another image of the view has the implant displaced"
    if chosen["acquired"] != row["acquired"]:
        return "another image of the view was acquired later"
    return "another image of the view, acquired at the same time, has the higher SOP Instance UID"
