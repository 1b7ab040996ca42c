"""Dates and times of DICOM that move by whole days and keep the time of day.

Retain Longitudinal Temporal Information with Modified Dates Option, DICOM PS3.15 E.3.6: gaps between
exams and the order of images within one stay as they were. A value that is no date is dropped,
because text may hide in it.
"""

import re
from datetime import date, timedelta

DATE = re.compile(r"(\d{4})(\.?)(\d{2})\2(\d{2})")
DATE_TIME = re.compile(r"(\d{8})((?:\d{2}){0,3}(?:\.\d{1,6})?(?:[+-]\d{4})?)")
TIME = re.compile(r"\d{2}(?::?\d{2}){0,2}(?:\.\d{1,6})?")


def earlier(value: str, vr: str, days: int) -> str:
    """One value of VR DA, DT or TM, ``days`` earlier; a time of day stays.

    Empty where the value is not what its VR says, or less exact than a day.
    """
    move = {"DA": _date, "DT": _date_time, "TM": _time}[vr]
    return move(value, days)


def _date(value: str, days: int) -> str:
    found = DATE.fullmatch(value)
    if found is None:
        return ""
    year, _, month, day = found.groups()
    try:
        moved = date(int(year), int(month), int(day)) - timedelta(days)
    except (ValueError, OverflowError):
        return ""
    return f"{moved.year:04d}{moved.month:02d}{moved.day:02d}"


def _date_time(value: str, days: int) -> str:
    found = DATE_TIME.fullmatch(value)
    moved = _date(found[1], days) if found else ""
    return moved + found[2] if found and moved else ""


def _time(value: str, days: int) -> str:
    return value if TIME.fullmatch(value) else ""
