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
from functools import lru_cache

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from mim.dicom.parse import Header, clean
from mim.vocab import DAYS_PER_YEAR

Elements = Header | Dataset
"""A data set or a sequence item: of our own parser, or of pydicom."""

DATE = re.compile(r"([0-9]{4})\.?([0-9]{2})\.?([0-9]{2})")
LONGEST_DATE = len("2015.09.29")
MOMENT = re.compile(r"[0-9]{12}(?:[0-9]{2})?")
AGE = re.compile(r"([0-9]{1,5})([YMWD])")
PER_YEAR = {"Y": 1.0, "M": 12.0, "W": DAYS_PER_YEAR / 7, "D": DAYS_PER_YEAR}


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom from warning of values: the warnings quote them, and they may be a woman's.

    It warns twice, and whoever has set up logging would find the second warning in a file.
    """
    logs = config.logger.disabled
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        config.logger.disabled = True
        try:
            yield
        finally:
            config.logger.disabled = logs


@quiet()
def _value(dataset: Dataset, keyword: str) -> object:
    try:
        value: object = dataset.get(keyword)
    except Exception:
        # pydicom converts a value when it is first read, and raises whatever the damage provokes.
        return None
    return value


def texts(dataset: Elements, keyword: str) -> Items[str]:
    """The element's values as text, without padding; empty ones are left out."""
    if isinstance(dataset, Header):
        found = dataset.texts(keyword)
        if found is not None:
            return found
        dataset = dataset.dataset
    value = _value(dataset, keyword)
    if value is None or isinstance(value, Sequence | bytes | Dataset):
        return []
    several = value if isinstance(value, MultiValue | list | tuple) else [value]
    return [text for text in (clean(str(one)) for one in several) if text]


def text(dataset: Elements, keyword: str) -> str | None:
    """The element's first value as text; None where it is missing, empty or broken."""
    found = texts(dataset, keyword)
    return found[0] if found else None


def codes(dataset: Elements, keyword: str) -> list[str]:
    """Values of a code string (CS) in the standard's upper case with single spaces."""
    return [_as_code(value) for value in texts(dataset, keyword)]


def _as_code(value: str) -> str:
    return " ".join(value.upper().split())


def code(dataset: Elements, keyword: str) -> str | None:
    """First value of a code string (CS), as in ``codes``."""
    found = texts(dataset, keyword)
    return _as_code(found[0]) if found else None


def numbers(dataset: Elements, keyword: str) -> list[float]:
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


def number(dataset: Elements, keyword: str) -> float | None:
    """The element's first value; None where it is missing or not a finite number."""
    found = numbers(dataset, keyword)
    return found[0] if found else None


def count(dataset: Elements, keyword: str) -> int | None:
    """The element's first value where it is a whole number from 1 to 2^31 - 1."""
    found = texts(dataset, keyword)
    if len(found) == 1 and len(found[0]) < 10 and found[0].isdecimal():
        return int(found[0]) or None
    value = number(dataset, keyword)
    if value is None or value != int(value) or not 0 < value < 2**31:
        return None
    return int(value)


def items(dataset: Elements, keyword: str) -> Items[Elements]:
    """Items of a sequence; none where it is missing or is no sequence."""
    if isinstance(dataset, Header):
        found = dataset.items(keyword)
        if found is not None:
            return found
        dataset = dataset.dataset
    value = _value(dataset, keyword)
    return list(value) if isinstance(value, Sequence) else []


def day(dataset: Elements, keyword: str) -> date | None:
    """A date (DA), also in the old form 2015.09.29; None where no such day exists."""
    written = text(dataset, keyword)
    return _as_day(written) if written and len(written) <= LONGEST_DATE else None


@lru_cache(maxsize=4096)
def _as_day(text: str) -> date | None:
    written = DATE.fullmatch(text)
    if written is None:
        return None
    try:
        return date(*map(int, written.groups()))
    except ValueError:
        return None


def _moment(day_and_time: str) -> str | None:
    """YYYYMMDDHHMMSS of a date and time; seconds may lack, and a fraction is cut off."""
    written = MOMENT.match(day_and_time)
    if written is None:
        return None
    digits = written[0].ljust(14, "0")
    try:
        datetime.fromisoformat(f"{digits[:8]}T{digits[8:]}")
    except ValueError:
        return None
    return digits


def moment(dataset: Elements, prefix: str) -> str | None:
    """YYYYMMDDHHMMSS from ``<prefix>Date`` and ``<prefix>Time``, else ``<prefix>DateTime``.

    None unless both the day and the time of day are there and exist.
    """
    written_day = text(dataset, f"{prefix}Date") or ""
    if day(dataset, f"{prefix}Date"):
        written_time = (text(dataset, f"{prefix}Time") or "").replace(":", "")
        if found := _moment(written_day.replace(".", "") + written_time):
            return found
    return _moment(text(dataset, f"{prefix}DateTime") or "")


def whole_years(dataset: Elements, keyword: str) -> int | None:
    """An age (AS: 052Y, 624M, 2704W, 18980D) in whole years; None outside 1 to 120."""
    written = AGE.fullmatch(code(dataset, keyword) or "")
    if written is None:
        return None
    years = int(int(written[1]) / PER_YEAR[written[2]])
    return years if 1 <= years <= 120 else None
