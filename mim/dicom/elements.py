"""Values of single elements, read so that a broken one is a missing one.

Files in the wild hold 'NaN' where a number belongs, two values where the standard allows one, text
where a sequence should be, dates that do not exist. None of it may stop an index.
"""

import math
import re
import warnings
from collections.abc import Iterator
from collections.abc import Sequence as Items
from contextlib import contextmanager
from datetime import date, datetime

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom from warning of values: the warnings quote them, and they may be a woman's."""
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def _value(dataset: Dataset, keyword: str) -> object:
    try:
        value: object = dataset.get(keyword)
    except Exception:
        # pydicom converts a value when it is first read, and raises whatever the damage provokes.
        return None
    return value


def _clean(value: object) -> str:
    text = str(value).strip(" \0\t\r\n")
    return text.encode("utf-8", "replace").decode("utf-8")


def texts(dataset: Dataset, keyword: str) -> list[str]:
    """The element's values as text, without padding; empty ones are left out."""
    value = _value(dataset, keyword)
    if value is None or isinstance(value, Sequence | bytes | Dataset):
        return []
    several = value if isinstance(value, MultiValue | list | tuple) else [value]
    return [text for text in map(_clean, several) if text]


def text(dataset: Dataset, keyword: str) -> str | None:
    """The element's first value as text; None where it is missing, empty or broken."""
    return next(iter(texts(dataset, keyword)), None)


def codes(dataset: Dataset, keyword: str) -> list[str]:
    """Values of a code string (CS) in the standard's upper case with single spaces."""
    return [" ".join(value.upper().split()) for value in texts(dataset, keyword)]


def code(dataset: Dataset, keyword: str) -> str | None:
    """First value of a code string (CS), as in ``codes``."""
    return next(iter(codes(dataset, keyword)), None)


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """The element's values; empty if any of them is not a finite number."""
    found = []
    for value in texts(dataset, keyword):
        try:
            number = float(value)
        except ValueError:
            return []
        if not math.isfinite(number):
            return []
        found.append(number)
    return found


def number(dataset: Dataset, keyword: str) -> float | None:
    """The element's first value; None where it is missing or not a finite number."""
    return next(iter(numbers(dataset, keyword)), None)


def count(dataset: Dataset, keyword: str) -> int | None:
    """The element's first value where it is a whole number from 1 to 2^31 - 1."""
    value = number(dataset, keyword)
    if value is None or value != int(value) or not 0 < value < 2**31:
        return None
    return int(value)


def items(dataset: Dataset, keyword: str) -> Items[Dataset]:
    """Items of a sequence; none where it is missing or is no sequence."""
    value = _value(dataset, keyword)
    return list(value) if isinstance(value, Sequence) else []


def day(dataset: Dataset, keyword: str) -> date | None:
    """A date (DA), also in the old form 2015.09.29; None where no such day exists."""
    written = re.fullmatch(r"(\d{4})\.?(\d{2})\.?(\d{2})", text(dataset, keyword) or "")
    if written is None:
        return None
    try:
        return date(*map(int, written.groups()))
    except ValueError:
        return None


def _moment(day_and_time: str) -> str | None:
    """YYYYMMDDHHMMSS of a date and time; seconds may lack, and a fraction is cut off."""
    written = re.match(r"(\d{8})(\d{4})(\d{2})?", day_and_time)
    if written is None:
        return None
    digits = written[1] + written[2] + (written[3] or "00")
    try:
        datetime.strptime(digits, "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return digits


def moment(dataset: Dataset, prefix: str) -> str | None:
    """YYYYMMDDHHMMSS from ``<prefix>Date`` and ``<prefix>Time``, else ``<prefix>DateTime``.

    None unless both the day and the time of day are there and exist.
    """
    found_day = day(dataset, f"{prefix}Date")
    found_time = (text(dataset, f"{prefix}Time") or "").replace(":", "")
    if found_day and (found := _moment(f"{found_day:%Y%m%d}{found_time}")):
        return found
    return _moment(text(dataset, f"{prefix}DateTime") or "")


def whole_years(dataset: Dataset, keyword: str) -> int | None:
    """An age (AS: 052Y, 624M, 2704W, 18980D) in whole years; None outside 1 to 120."""
    written = re.fullmatch(r"(\d{1,5})([YMWD])", code(dataset, keyword) or "")
    if written is None:
        return None
    per_year = {"Y": 1.0, "M": 12.0, "W": 365.25 / 7, "D": 365.25}[written[2]]
    years = int(int(written[1]) / per_year)
    return years if 1 <= years <= 120 else None
