"""Lesions: where they lie, how they grow, and how much they attenuate in each view.

A lesion has one place in the breast, so both views show it at the same distance from the nipple.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from math import cos, pi, sin

import cv2
import numpy as np
from numpy.typing import NDArray

from mim.synthetic.anatomy import Breast
from mim.vocab import SCREENING_VIEWS, Laterality, View

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]


class LesionKind(StrEnum):
    """Findings of BI-RADS that are made here; the last two are benign and stay as they are."""

    SPICULATED_MASS = "spiculated mass"
    CALCIFICATIONS = "calcification cluster"
    DISTORTION = "architectural distortion"
    ASYMMETRY = "asymmetry"
    SMOOTH_MASS = "smooth mass"
    COARSE_CALCIFICATION = "coarse calcification"


CANCER_KINDS = {
    LesionKind.SPICULATED_MASS: 0.68,
    LesionKind.CALCIFICATIONS: 0.12,
    LesionKind.DISTORTION: 0.08,
    LesionKind.ASYMMETRY: 0.12,
}
"""Share of each kind among the cancers."""

SMALLEST_MM = 2.5
"""A smaller cancer shows nothing."""


@dataclass(frozen=True)
class Place:
    """A point in the breast: from the nipple towards the chest wall, outwards, upwards (mm)."""

    depth_mm: float
    outward_mm: float
    upward_mm: float

    def seen(self, breast: Breast, view: View) -> tuple[float, float]:
        """Where a view shows it, (u, v) of the breast frame."""
        u = breast.depth_mm - self.depth_mm
        if view is View.CC:
            return u, -self.outward_mm
        return u, -(0.8 * self.upward_mm + 0.45 * self.outward_mm)


@dataclass(frozen=True)
class Lesion:
    """One lesion of one breast for life.

    ``size_mm`` is its largest diameter on ``known_on`` (a cancer's day of diagnosis);
    ``doubling_days`` is the time in which its volume doubles, missing for what stays.
    ``contrast`` is its share of the attenuation that a solid one would add.
    """

    side: Laterality
    kind: LesionKind
    malignant: bool
    place: Place
    size_mm: float
    contrast: float
    seed: tuple[int, ...]
    known_on: date
    doubling_days: float | None = None

    def size_on(self, day: date) -> float:
        """Largest diameter (mm) on a day."""
        if self.doubling_days is None:
            return self.size_mm
        days = (self.known_on - day).days
        return float(self.size_mm * 2.0 ** (-days / (3.0 * self.doubling_days)))

    def visible_on(self, day: date) -> bool:
        return self.doubling_days is None or self.size_on(day) >= SMALLEST_MM


@dataclass(frozen=True)
class Patch:
    """What a lesion adds around its centre, [2 * reach + 1] pixels square.

    ``solid_mm`` is dense tissue and ``calcium_mm`` calcium along the ray (mm); ``mask`` is where
    the lesion is.
    """

    solid_mm: Field
    calcium_mm: Field
    mask: Mask


def place_in(breast: Breast, rng: np.random.Generator) -> Place:
    """A likely place: more often in the upper outer quadrant, in front of the muscle."""
    depth, half = breast.depth_mm, breast.half_width_mm
    for _ in range(200):
        place = Place(
            float(rng.uniform(0.15, 0.72) * depth),
            float(rng.normal(0.12, 0.28) * half),
            float(rng.normal(0.12, 0.25) * half),
        )
        u, cc = place.seen(breast, View.CC)
        _, mlo = place.seen(breast, View.MLO)
        edge = half * np.sqrt(1 - (u / depth) ** 2) - 14.0
        muscle = -breast.pectoral_mm / 100.0 * mlo + 14.0
        if abs(cc) < edge and -1.2 * edge < mlo < 0.75 * edge and u > muscle:
            return place
    return Place(0.4 * depth, 0.0, 0.0)


def draw(lesion: Lesion, view: View, size_mm: float, pitch_mm: float) -> Patch:
    """The lesion at a size and pixel pitch; its shape differs between views and grows in scale."""
    rng = np.random.default_rng([*lesion.seed, SCREENING_VIEWS.index(view)])
    radius = size_mm / 2
    reach_mm = max(3.2 * radius, 6.0) if _is_wide(lesion.kind) else 1.5 * radius + 3.0
    reach = int(np.ceil(reach_mm / pitch_mm))
    axis = np.arange(-reach, reach + 1, dtype=np.float32) * np.float32(pitch_mm)
    x, y = np.meshgrid(axis, axis)
    calcium = np.zeros_like(x)
    solid = np.zeros_like(x)
    match lesion.kind:
        case LesionKind.SPICULATED_MASS:
            solid = _spiculated(x, y, radius, rng)
        case LesionKind.DISTORTION:
            solid = _distortion(x, y, radius, rng)
        case LesionKind.ASYMMETRY:
            solid = _asymmetry(x, y, radius, rng)
        case LesionKind.SMOOTH_MASS:
            solid = _smooth(x, y, radius, rng)
        case LesionKind.CALCIFICATIONS:
            dots = _cluster_dots(radius, rng)
            calcium = _calcium(x, y, dots, pitch_mm)
        case LesionKind.COARSE_CALCIFICATION:
            calcium = _calcium(x, y, [(0.0, 0.0, size_mm)], pitch_mm)
    solid *= np.float32(lesion.contrast)
    return Patch(solid, calcium, _mask(solid, calcium, pitch_mm))


def _is_wide(kind: LesionKind) -> bool:
    return kind in (LesionKind.SPICULATED_MASS, LesionKind.DISTORTION, LesionKind.ASYMMETRY)


def _mask(solid: Field, calcium: Field, pitch_mm: float) -> Mask:
    if solid.any():
        size = np.abs(solid)
        return np.asarray(size > 0.15 * size.max())
    dots = (calcium > 0.1 * calcium.max()).astype(np.uint8)
    points = cv2.findNonZero(dots)
    hull = np.zeros_like(dots)
    cv2.fillConvexPoly(hull, cv2.convexHull(points), 1)
    grow = 2 * round(0.7 / pitch_mm) + 1
    grown = cv2.dilate(hull, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (grow, grow)))
    return grown.astype(bool)


def _around(table: Field, x: Field, y: Field) -> Field:
    """A function of the angle, given at equal steps, at every pixel."""
    turns = np.arctan2(y, x) * np.float32(len(table) / (2 * pi))
    return np.take(table, turns.astype(np.int32) % len(table))


def _angles(count: int) -> Field:
    return np.linspace(0, 2 * pi, count, endpoint=False, dtype=np.float32)


def _irregular(rng: np.random.Generator, strength: float) -> Field:
    angles = _angles(720)
    outline = np.ones_like(angles)
    for k in range(2, 8):
        outline += rng.normal(0, strength / k) * np.cos(k * angles + rng.uniform(0, 2 * pi))
    return np.clip(outline, np.float32(0.5), np.float32(1.6))


def _comb(rng: np.random.Generator, lines: int, width: float) -> Field:
    """Lines that radiate at random angles: strength against angle, 0 to 1."""
    angles = _angles(1440)
    comb = np.zeros_like(angles)
    for angle in rng.uniform(0, 2 * pi, lines):
        apart = np.abs((angles - angle + pi) % (2 * pi) - pi)
        comb += rng.uniform(0.4, 1.0) * np.exp(-((apart / width) ** 2))
    return np.minimum(comb, np.float32(1.0))


def _spiculated(x: Field, y: Field, radius: float, rng: np.random.Generator) -> Field:
    r = np.hypot(x, y)
    edge = radius * 0.95 * _around(_irregular(rng, 0.3), x, y)
    body = np.exp(-((r / edge) ** 4)) * _lumps(x, y, radius, 0.06, rng)
    spikes = _around(_comb(rng, int(rng.integers(16, 28)), 0.05), x, y)
    fade = np.exp(-np.maximum(r - radius, 0) / np.float32(0.6 * radius))
    start = np.clip((r - 0.5 * radius) / np.float32(0.5 * radius), 0, 1)
    halo = 0.3 * np.exp(-((r / (1.3 * radius)) ** 2))
    solid = _depth(radius) * (body + halo + 0.4 * spikes * fade * start)
    return _tapered(solid, r, 3.0 * radius)


def _lumps(x: Field, y: Field, radius: float, strength: float, rng: np.random.Generator) -> Field:
    """Random waves about 1, a few across the lesion."""
    lumps = np.ones_like(x)
    for _ in range(6):
        along, across = rng.normal(0, 2.0 / radius), rng.normal(0, 2.0 / radius)
        lumps += strength * np.cos(along * x + across * y + rng.uniform(0, 2 * pi))
    return lumps


def _depth(radius: float) -> float:
    """Solid tissue along the middle ray (mm): large lesions are flatter under compression."""
    return 14.0 * (1.0 - float(np.exp(-radius / 4.5)))


def _distortion(x: Field, y: Field, radius: float, rng: np.random.Generator) -> Field:
    r = np.hypot(x, y)
    lines = _around(_comb(rng, 20, 0.05) - 0.5 * _comb(rng, 14, 0.08), x, y)
    envelope = np.exp(-((r / (1.6 * radius)) ** 2)) * np.minimum(r / radius, 1)
    solid = 0.7 * _depth(radius) * lines * envelope
    solid += 0.3 * _depth(radius) * np.exp(-((r / (0.8 * radius)) ** 2))
    return _tapered(solid, r, 3.0 * radius)


def _asymmetry(x: Field, y: Field, radius: float, rng: np.random.Generator) -> Field:
    angle, stretch = rng.uniform(0, pi), rng.uniform(0.6, 0.9)
    r = _ellipse(x, y, angle, stretch)
    lumps = _lumps(x, y, radius, 0.16, rng)
    solid = _depth(radius) * np.exp(-((r / (1.2 * radius)) ** 2)) * lumps
    return _tapered(solid, r, 3.0 * radius)


def _smooth(x: Field, y: Field, radius: float, rng: np.random.Generator) -> Field:
    angle, stretch = rng.uniform(0, pi), rng.uniform(0.7, 1.0)
    r = _ellipse(x, y, angle, stretch) / radius
    solid: Field = 1.2 * _depth(radius) * np.sqrt(np.maximum(1 - r**2, 0))
    return solid


def _ellipse(x: Field, y: Field, angle: float, stretch: float) -> Field:
    """Distance from the centre, in units that grow faster across the long axis."""
    along = cos(angle) * x + sin(angle) * y
    across = (cos(angle) * y - sin(angle) * x) / stretch
    return np.asarray(np.hypot(along, across), np.float32)


def _tapered(solid: Field, r: Field, end: float) -> Field:
    tapered: Field = solid * np.clip((end - r) / np.float32(0.3 * end), 0, 1)
    return tapered


def _cluster_dots(radius: float, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Specks (x, y, diameter; mm): the cluster spreads as it grows, and specks are added."""
    count = int(np.clip(4 + 1.2 * radius, 5, 25))
    # Drawn for the largest cluster, so a growing one keeps the specks it has.
    spots = rng.normal(0, 0.45, (25, 2)).clip(-1, 1)
    sizes = rng.uniform(0.25, 0.7, 25)
    return [
        (float(px) * radius, float(py) * radius, float(size))
        for (px, py), size in zip(spots[:count], sizes, strict=False)
    ]


def _calcium(x: Field, y: Field, dots: list[tuple[float, float, float]], pitch_mm: float) -> Field:
    """Specks as spheres of calcium, each blurred by the pixel but true in volume."""
    calcium = np.zeros_like(x)
    axis = x[0]
    for px, py, diameter in dots:
        volume = pi / 6 * diameter**3
        spread = np.hypot(0.22 * diameter, 0.3 * pitch_mm + 0.03)
        reach = int(np.ceil(4 * spread / pitch_mm))
        column, row = (int(np.argmin(np.abs(axis - p))) for p in (px, py))
        rows = slice(max(row - reach, 0), row + reach + 1)
        columns = slice(max(column - reach, 0), column + reach + 1)
        square = (x[rows, columns] - px) ** 2 + (y[rows, columns] - py) ** 2
        calcium[rows, columns] += volume / (2 * pi * spread**2) * np.exp(-square / (2 * spread**2))
    return calcium
