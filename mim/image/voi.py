"""The VOI LUT module: what a file says about which values to show; DICOM PS3.3 C.11.2.

A word of the file that cannot be right is not followed: it becomes a fault, and the next is tried.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mim.dicom.elements import code, items, number, quiet, texts

Values = NDArray[np.float64]
Curve = Callable[[Values], Values]

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
"""VOI LUT Function (0028,1056); a missing one is LINEAR."""

NARROWEST = 1e-6
"""No width is smaller; LINEAR has at least 1, PS3.3 C.11.2.1.2."""


class FaultError(Exception):
    """Why a look-up table or a window cannot be used, in a few words."""


class Rule(NamedTuple):
    """One way to show values: its name, and grey levels 0 (black) to 1 of modality values.

    ``fault`` says what is not followed; where nothing is left to follow there is no ``curve``.
    """

    name: str
    curve: Curve | None
    fault: str = ""


class LookupTable(NamedTuple):
    """A look-up table: the first value mapped, the entries, and how many bits they have."""

    first: int
    entries: Values
    bits: int

    def look_up(self, values: Values) -> Values:
        """Entries at ``values``; those beyond either end take the entry there."""
        return np.interp(values, self.first + np.arange(len(self.entries)), self.entries)


def voi_rules(dataset: Dataset) -> Iterator[Rule]:
    """What the file offers, the preferred first: the first VOI LUT, then its windows in order."""
    if items(dataset, "VOILUTSequence"):
        try:
            yield Rule("VOI LUT", _voi_lut(dataset))
        except FaultError as error:
            yield Rule("VOI LUT", None, str(error))
    given = code(dataset, "VOILUTFunction") or "LINEAR"
    function, fault = (given, "") if given in FUNCTIONS else ("LINEAR", "unknown function")
    windows = zip(_numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth"), strict=False)
    for center, width in windows:
        name = f"window {function}"
        if not (np.isfinite(center) and np.isfinite(width)):
            yield Rule(name, None, "no numbers")
        elif width < (1.0 if function == "LINEAR" else NARROWEST):
            yield Rule(name, None, f"width {width:g}")
        else:
            yield Rule(name, _window(center, width, function), fault)


def lookup_table(dataset: Dataset, keyword: str) -> LookupTable:
    """Table in the first item of a sequence: LUT Descriptor (0028,3002) and LUT Data (0028,3006),
    PS3.3 C.11.1.1.1.

    Raises:
        FaultError: descriptor or data are missing, disagree, or have more bits than they say.
    """
    try:
        with quiet():
            item = dataset[keyword][0]
            count, first, bits = (int(value) for value in item.LUTDescriptor)
            count = count or 1 << 16
            width = 1 if bits <= 8 and len(item.LUTData) < 2 * count else 2
            data = _entries(item.LUTData, dataset, width)
    except Exception:  # damage makes pydicom raise whatever the bytes provoke
        raise FaultError("cannot be read") from None
    if not 8 <= bits <= 16:
        raise FaultError(f"{bits} bits")
    if len(data) < count:
        raise FaultError(f"{len(data)} of {count} entries")
    if number(dataset, "PixelRepresentation") == 1 and first >= 1 << 15:
        first -= 1 << 16
    entries = data[:count]
    if not entries.min() >= 0 or entries.max() >= 1 << bits:
        raise FaultError(f"entries beyond {bits} bits")
    return LookupTable(first, entries, bits)


def _entries(data: object, dataset: Dataset, width: int) -> Values:
    if isinstance(data, bytes):
        order = "<" if dataset.original_encoding[1] is not False else ">"
        data = np.frombuffer(data[: len(data) // width * width], np.dtype(f"{order}u{width}"))
    return np.atleast_1d(np.asarray(data, np.float64))


def _voi_lut(dataset: Dataset) -> Curve:
    """First item of VOI LUT Sequence (0028,3010); PS3.3 C.11.2.1.1."""
    table = lookup_table(dataset, "VOILUTSequence")
    highest = float((1 << table.bits) - 1)
    # A table that never gets half bright was described with more bits than it has.
    if table.entries.max() < highest / 2:
        raise FaultError(f"entries far below {table.bits} bits")
    return lambda values: table.look_up(values) / highest


def _window(center: float, width: float, function: str) -> Curve:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    if function == "SIGMOID":
        return lambda values: (
            1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / width, -700.0, 700.0)))
        )
    if function == "LINEAR_EXACT":
        return lambda values: np.clip((values - center) / width + 0.5, 0.0, 1.0)
    if width == 1:
        return lambda values: (values > center - 0.5).astype(np.float64)
    return lambda values: np.clip((values - (center - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)


def _numbers(dataset: Dataset, keyword: str) -> list[float]:
    """All values of an element; what is no number is NaN."""
    found = []
    for value in texts(dataset, keyword):
        try:
            found.append(float(value))
        except ValueError:
            found.append(np.nan)
    return found
