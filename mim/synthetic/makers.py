"""What differs between makers: detector, grey levels, and habits of writing headers.

Detector pitch and matrix follow the makers' data sheets; the grey levels imitate the character of
each maker's processing and are made up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from math import log

import numpy as np
from numpy.typing import NDArray

from mim.vocab import Maker

Field = NDArray[np.float32]

EXPLICIT = "1.2.840.10008.1.2.1"
RUN_LENGTH = "1.2.840.10008.1.2.5"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
JPEG_2000 = "1.2.840.10008.1.2.4.90"


class Voi(StrEnum):
    """How a maker says which values to show; VOI LUT module, PS3.3 C.11.2."""

    WINDOW = "one linear window"
    WINDOWS = "several linear windows"
    SIGMOID = "one sigmoid window"
    TABLES = "VOI LUT Sequence, and sigmoid windows beside it"


@dataclass(frozen=True)
class Greys:
    """From tissue contrast, about 0 (fat) to 1 (gland), to stored values.

    ``equalisation`` is the share of the thickness's own attenuation that is taken away,
    ``sharpening`` the gain of an unsharp mask of ``sharpening_mm``, ``dark`` and ``bright`` the
    stored values at the ends of ``curve``, ``background`` the value outside the breast.
    """

    curve: Callable[[Field], Field]
    equalisation: float
    sharpening: float
    sharpening_mm: float
    dark: int
    bright: int
    background: int


@dataclass(frozen=True)
class Device:
    """One model of mammograph. ``view_scheme`` names the code of ViewCodeSequence, if written."""

    maker: Maker
    manufacturer: str
    model: str
    software: str
    rows: int
    columns: int
    pitch_mm: float
    bits_stored: int
    photometric: str
    transfer_syntax: str
    voi: Voi
    greys: Greys
    view_position: bool
    view_scheme: str | None
    laterality_keyword: str | None
    spacing_keywords: tuple[str, ...]
    padding: bool = False
    mirrors_right: bool = False
    burns_letters: bool = False


def _power(contrast: Field) -> Field:
    grey: Field = contrast**0.75
    return grey


def _logistic(contrast: Field) -> Field:
    grey: Field = 1.0 / (1.0 + np.exp(-4.0 * (contrast - 0.55)))
    return grey


def _logarithm(contrast: Field) -> Field:
    grey: Field = np.log1p(3.0 * contrast) / log(4.0)
    return grey


def _line(contrast: Field) -> Field:
    return contrast


_SIEMENS = Greys(_power, 0.80, 0.5, 1.2, 250, 3700, 30)
_HOLOGIC = Greys(_line, 0.70, 0.9, 0.8, 1100, 3100, 0)
_GE = Greys(_logarithm, 0.88, 0.6, 2.0, 2700, 4095, 0)
_PHILIPS = Greys(_logistic, 0.75, 0.25, 1.0, 14500, 1200, 16383)

INSPIRATION = Device(
    Maker.SIEMENS, "SIEMENS", "Mammomat Inspiration", "VB30E", 3518, 2800, 0.085, 12,
    "MONOCHROME2", JPEG_LOSSLESS, Voi.WINDOWS, _SIEMENS,
    view_position=True, view_scheme=None,
    laterality_keyword="ImageLaterality", spacing_keywords=("ImagerPixelSpacing",),
    mirrors_right=True,
)  # fmt: skip
REVELATION = Device(
    Maker.SIEMENS, "Siemens Healthineers", "MAMMOMAT Revelation", "VC20A", 3518, 2800, 0.085, 12,
    "MONOCHROME2", JPEG_LOSSLESS, Voi.WINDOWS, _SIEMENS,
    view_position=True, view_scheme="SCT",
    laterality_keyword="ImageLaterality", spacing_keywords=("ImagerPixelSpacing",),
)  # fmt: skip
LORAD = Device(
    Maker.HOLOGIC, "LORAD", "Lorad Selenia", "AWS:MAMMODROC_3_4_1_8_PXCM:1.4.0.7_ARR:1.7.3.10",
    4096, 3328, 0.070, 12, "MONOCHROME2", EXPLICIT, Voi.SIGMOID, _HOLOGIC,
    view_position=True, view_scheme="SRT",
    laterality_keyword="ImageLaterality", spacing_keywords=("ImagerPixelSpacing",),
)  # fmt: skip
DIMENSIONS = Device(
    Maker.HOLOGIC, "HOLOGIC, Inc.", "Selenia Dimensions", "AWS:1.8.3.63\\PXCM:1.8.3.63\\ARR:1.8.3.63",
    4096, 3328, 0.070, 12, "MONOCHROME2", EXPLICIT, Voi.SIGMOID, _HOLOGIC,
    view_position=True, view_scheme="SCT",
    laterality_keyword="ImageLaterality", spacing_keywords=("ImagerPixelSpacing", "PixelSpacing"),
)  # fmt: skip
ESSENTIAL = Device(
    Maker.GE, "GE MEDICAL SYSTEMS", "Senographe Essential VERSION ADS_54.10",
    "Ads Application Package VERSION ADS_54.10", 3062, 2394, 0.100, 12, "MONOCHROME2", JPEG_2000, Voi.TABLES, _GE,
    view_position=False, view_scheme="SRT",
    laterality_keyword="ImageLaterality", spacing_keywords=("ImagerPixelSpacing",),
    burns_letters=True,
)  # fmt: skip
PRISTINA = Device(
    Maker.GE, "GE HEALTHCARE", "Senographe Pristina", "1.22.0", 2850, 2394, 0.100, 12,
    "MONOCHROME2", JPEG_2000, Voi.TABLES, _GE,
    view_position=False, view_scheme="SCT",
    laterality_keyword="Laterality", spacing_keywords=("ImagerPixelSpacing",),
    burns_letters=True,
)  # fmt: skip
MICRODOSE_L30 = Device(
    Maker.PHILIPS, "Philips Digital Mammography Sweden AB", "L30", "8.3.0", 5200, 4800, 0.050, 14,
    "MONOCHROME1", RUN_LENGTH, Voi.WINDOW, _PHILIPS,
    view_position=True, view_scheme=None,
    laterality_keyword=None, spacing_keywords=("PixelSpacing",),
    padding=True,
)  # fmt: skip
MICRODOSE_SI = Device(
    Maker.PHILIPS, "Philips Medical Systems", "MammoDiagnost MicroDose SI", "9.0.2", 5200, 4800,
    0.050, 14, "MONOCHROME1", RUN_LENGTH, Voi.WINDOW, _PHILIPS,
    view_position=True, view_scheme="SCT",
    laterality_keyword="Laterality", spacing_keywords=("ImagerPixelSpacing", "PixelSpacing"),
    padding=True,
)  # fmt: skip

DEVICES = (
    INSPIRATION, REVELATION, LORAD, DIMENSIONS, ESSENTIAL, PRISTINA, MICRODOSE_L30, MICRODOSE_SI,
)  # fmt: skip


@dataclass(frozen=True)
class Site:
    """A screening unit and the mammographs it had: (first day, device), oldest first."""

    name: str
    devices: tuple[tuple[date, Device], ...]

    def device_on(self, day: date) -> Device:
        """The device in use; the first one serves the time before it too."""
        return [d for start, d in self.devices if start <= day or d is self.devices[0][1]][-1]


_OPENING = date(2010, 1, 1)
_RENEWAL = date(2014, 7, 1)
SITES = (
    Site("Skerry", ((_OPENING, INSPIRATION),)),
    Site("Moor", ((_OPENING, INSPIRATION), (_RENEWAL, REVELATION))),
    Site("Harbour", ((_OPENING, LORAD), (_RENEWAL, DIMENSIONS))),
    Site("Glacier", ((_OPENING, ESSENTIAL), (_RENEWAL, DIMENSIONS))),
    Site("Orchard", ((_OPENING, ESSENTIAL),)),
    Site("Lighthouse", ((_OPENING, INSPIRATION), (_RENEWAL, PRISTINA))),
    Site("Valley", ((_OPENING, MICRODOSE_L30),)),
    Site("Mill", ((_OPENING, MICRODOSE_L30), (_RENEWAL, MICRODOSE_SI))),
)
