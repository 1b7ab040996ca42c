"""From stored values to what a reader is shown: modality LUT, VOI, MONOCHROME1, in that order.

The order is that of DICOM PS3.4 section N.2. Every step is folded into one table, so that an
image pays for a single look-up however many steps its maker asks for.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

Values = NDArray[np.float64]

FULL_SCALE = 65535


@dataclass(frozen=True)
class GreyScale:
    """How one image's stored values become grey levels.

    ``lowest`` is the smallest value Bits Stored (0028,0101) can hold; ``bits`` how many bits
    that is; ``inverted`` says that larger stored values are shown darker.
    """

    dataset: Dataset
    lowest: int
    bits: int
    inverted: bool

    @property
    def highest(self) -> int:
        """The largest stored value."""
        return self.lowest + (1 << self.bits) - 1

    def shown(self, stored: Values, tissue: tuple[float, float]) -> tuple[Values, str]:
        """Grey levels 0 (black) to 1 (white) of stored values, and the rule that gave them.

        Args:
            stored: stored values, not only whole ones.
            tissue: stored values of background and of the brightest tissue; they are the window
                of a file that has none, since the range of its values says nothing about tissue.
        """
        output = _modality(self.dataset, stored)
        if "VOILUTSequence" in self.dataset:
            grey, rule = _voi_lut(self.dataset, output), "VOI LUT"
        elif windows := _windows(self.dataset):
            function = str(self.dataset.get("VOILUTFunction") or "LINEAR").upper()
            grey, rule = _window(output, *windows[0], function), f"window {function}"
        else:
            low, high = sorted(_modality(self.dataset, np.array(tissue)))
            grey = np.clip((output - low) / max(high - low, 1.0), 0.0, 1.0)
            rule = "breast range"
        # Presentation LUT Shape INVERSE (2050,0020) only repeats what MONOCHROME1 says.
        if self.dataset.get("PhotometricInterpretation") == "MONOCHROME1":
            grey = 1.0 - grey
        return grey, rule


def grey_scale(dataset: Dataset) -> GreyScale:
    """The grey scale of an image, from the elements around its pixels."""
    bits = int(dataset.BitsStored)
    lowest = -(1 << (bits - 1)) if dataset.get("PixelRepresentation") == 1 else 0
    first, last = _modality(dataset, np.array([lowest, lowest + (1 << bits) - 1], np.float64))
    falling = bool(last < first)
    monochrome1 = dataset.get("PhotometricInterpretation") == "MONOCHROME1"
    return GreyScale(dataset, lowest, bits, inverted=falling != monochrome1)


def _modality(dataset: Dataset, stored: Values) -> Values:
    """Modality LUT Sequence (0028,3000), else Rescale Slope and Intercept; PS3.3 C.11.1."""
    if sequence := dataset.get("ModalityLUTSequence"):
        first, table, _ = _lookup_table(sequence[0], dataset)
        return np.interp(stored, first + np.arange(len(table)), table)
    slope = _number(dataset.get("RescaleSlope"), 1.0)
    return stored * (slope or 1.0) + _number(dataset.get("RescaleIntercept"), 0.0)


def _voi_lut(dataset: Dataset, values: Values) -> Values:
    """First item of VOI LUT Sequence (0028,3010); PS3.3 C.11.2.1.1."""
    first, table, bits = _lookup_table(dataset.VOILUTSequence[0], dataset)
    grey = np.interp(values, first + np.arange(len(table)), table) / ((1 << bits) - 1)
    return np.clip(grey, 0.0, 1.0)


def _lookup_table(item: Dataset, dataset: Dataset) -> tuple[int, Values, int]:
    """First value mapped, entries and their bits, from LUT Descriptor (0028,3002) and Data."""
    entries, first, bits = (int(value) for value in item.LUTDescriptor)
    entries = entries or 1 << 16
    if dataset.get("PixelRepresentation") == 1 and first >= 1 << 15:
        first -= 1 << 16
    data = item.LUTData
    if isinstance(data, bytes):
        width = 1 if len(data) < 2 * entries else 2
        order = "<" if dataset.original_encoding[1] is not False else ">"
        data = np.frombuffer(data, np.dtype(f"{order}u{width}"), entries)
    table = np.atleast_1d(np.asarray(data, np.float64))[:entries]
    return first, table, bits


def _windows(dataset: Dataset) -> list[tuple[float, float]]:
    """Usable pairs of Window Center (0028,1050) and Width (0028,1051)."""
    centers, widths = _numbers(dataset.get("WindowCenter")), _numbers(dataset.get("WindowWidth"))
    return [(c, w) for c, w in zip(centers, widths, strict=False) if w > 0 and np.isfinite(c + w)]


def _window(values: Values, center: float, width: float, function: str) -> Values:
    """VOI LUT Function (0028,1056): LINEAR, LINEAR_EXACT or SIGMOID; PS3.3 C.11.2.1.2 and .3."""
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0.0, 1.0)
    if width <= 1:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)


def _numbers(value: object) -> list[float]:
    if value is None or value == "":
        return []
    items = list(value) if isinstance(value, MultiValue | list | tuple) else [value]
    return [_number(item, np.nan) for item in items]


def _number(value: object, otherwise: float) -> float:
    try:
        return float(str(value))
    except ValueError:
        return otherwise
