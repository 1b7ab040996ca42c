"""The compressed breast on the detector: outline, nipple, skin, pectoral muscle, gland.

Everything is in millimetres. The **breast frame** has its origin on the chest wall at the level of
the nipple, u towards the nipple, v downwards as displayed. The **image frame** has its origin at
the upper corner on the chest-wall side, x away from the chest wall, y downwards.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mim.vocab import Laterality, View

Field = NDArray[np.float32]
Profile = NDArray[Any]

GRID_MM = 1.0
"""Spacing of the coarse grid on which smooth shapes are computed."""
NIPPLE_MM = 4.5
"""Radius of the nipple."""
MARGIN_MM = 3.0
"""Air kept around the breast in a box."""


@dataclass(frozen=True)
class Breast:
    """One breast of one woman.

    ``glandular`` is the share of its volume that is fibroglandular, ``pectoral_mm`` the muscle's
    width 100 mm above its lower end, ``roundness`` the power of the outline's superellipse.
    """

    side: Laterality
    depth_mm: float
    half_width_mm: float
    thickness_mm: float
    glandular: float
    pectoral_mm: float
    roundness: float


@dataclass(frozen=True)
class Position:
    """How the breast was laid on the detector for one image.

    ``lost_mm`` of the breast next to the chest wall is not shown; ``pectoral_end_mm`` is how far
    below nipple level the pectoral muscle reaches (MLO), negative where it ends above.
    """

    rotation_deg: float = 0.0
    lost_mm: float = 0.0
    shift_mm: float = 0.0
    pectoral_end_mm: float = 5.0


@dataclass(frozen=True)
class Box:
    """A part of an image: pixel spacing, first row and column, and how many."""

    pitch_mm: float
    row: int
    column: int
    rows: int
    columns: int

    def finer(self, factor: int) -> "Box":
        """The same part with pixels ``factor`` times smaller."""
        numbers = (self.row, self.column, self.rows, self.columns)
        return Box(self.pitch_mm / factor, *(number * factor for number in numbers))


@dataclass(frozen=True)
class Shapes:
    """Smooth shapes on the coarse grid [y, x] of the image frame, ``GRID_MM`` apart.

    ``inside`` is the distance from the skin, positive inside (mm); ``muscle`` the distance from the
    pectoral line, positive in the muscle (mm); ``preference`` where gland likes to be, in standard
    deviations of the noise.
    """

    inside: Field
    muscle: Field
    preference: Field


class Projection:
    """One breast in one view at one position on a detector field of height and width (mm)."""

    def __init__(
        self,
        breast: Breast,
        view: View,
        position: Position,
        height_mm: float,
        width_mm: float,
        nipple_in_profile: bool = True,
    ) -> None:
        self.nipple_in_profile = nipple_in_profile
        self.breast = breast
        self.view = view
        self.position = position
        self.size_mm = (height_mm, width_mm)
        level = 0.5 if view is View.CC else 0.56
        self.nipple = (breast.depth_mm - position.lost_mm, level * height_mm + position.shift_mm)
        turn = np.deg2rad(position.rotation_deg)
        self._cos, self._sin = float(np.cos(turn)), float(np.sin(turn))

    def to_breast(self, x: Field, y: Field) -> tuple[Field, Field]:
        """Image frame to breast frame."""
        dx, dy = x - self.nipple[0], y - self.nipple[1]
        u = self._cos * dx + self._sin * dy + self.breast.depth_mm
        v = self._cos * dy - self._sin * dx
        return np.asarray(u, np.float32), np.asarray(v, np.float32)

    def to_image(self, u: float, v: float) -> tuple[float, float]:
        """Breast frame to image frame."""
        x, y = self._turned(np.array(u), np.array(v))
        return float(x), float(y)

    def _turned(self, u: Profile, v: Profile) -> tuple[Profile, Profile]:
        du = u - self.breast.depth_mm
        x = self._cos * du - self._sin * v + self.nipple[0]
        return x, self._sin * du + self._cos * v + self.nipple[1]

    def sampling(self, spacing_mm: float, centre_mm: float, box: Box) -> NDArray[np.float64]:
        """Affine [2, 3] from the pixels of a box to the samples of a field in the breast frame.

        The field has samples ``spacing_mm`` apart, its first column at the chest wall and nipple
        level ``centre_mm`` below its first row.
        """
        rotation = np.array([[self._cos, self._sin], [-self._sin, self._cos]])
        first = (np.array([box.column, box.row]) + 0.5) * box.pitch_mm
        origin = np.array([self.breast.depth_mm, centre_mm])
        offset = origin + rotation @ (first - np.array(self.nipple))
        samples = np.column_stack([rotation * box.pitch_mm, offset]) / spacing_mm
        samples[:, 2] -= 0.5
        return samples

    def pectoral_line(self) -> tuple[float, float, float, float] | None:
        """Where the muscle's edge leaves the image: x, y at the top, x, y at the chest wall (mm).

        Missing in other views than MLO, and where the muscle is not on the image.
        """
        if self.view is not View.MLO:
            return None
        height = np.linspace(-80.0, 420.0, 1001)
        v = self.position.pectoral_end_mm - height
        x, y = self._turned(self._muscle_edge(height), v)
        top_x = float(np.interp(0.0, y[::-1], x[::-1]))
        wall_y = float(np.interp(0.0, x, y))
        return (top_x, 0.0, 0.0, wall_y) if top_x > 0 and wall_y > 0 else None

    def _muscle_edge(self, height: Profile) -> Profile:
        """u of the edge at a height above its lower end; slightly convex, as when relaxed."""
        slope = self.breast.pectoral_mm / 100.0
        return np.asarray(slope * height * (1.0 - 0.0008 * height))

    def shapes(self) -> Shapes:
        """Outline, muscle and gland on the coarse grid over the whole detector field."""
        rows, columns = (int(np.ceil(mm / GRID_MM)) + 1 for mm in self.size_mm)
        x = (np.arange(columns, dtype=np.float32) + 0.5)[None, :] * np.float32(GRID_MM)
        y = (np.arange(rows, dtype=np.float32) + 0.5)[:, None] * np.float32(GRID_MM)
        u, v = self.to_breast(x, y)
        inside = self._distance_inside(u, v)
        muscle = np.full_like(inside, -100.0)
        if self.view is View.MLO:
            edge = self._muscle_edge(self.position.pectoral_end_mm - v)
            muscle = (edge - u) / np.float32(np.hypot(1.0, self.breast.pectoral_mm / 100.0))
        return Shapes(inside, muscle, self._preference(u, v, inside, muscle))

    def _distance_inside(self, u: Field, v: Field) -> Field:
        breast = self.breast
        power = np.float32(breast.roundness)
        if self.view is View.CC:
            half: Field | np.float32 = np.float32(breast.half_width_mm)
        else:
            below = np.float32(0.8 * breast.half_width_mm)
            half = np.where(v > 0, below, np.float32(1.25 * breast.half_width_mm))
        radius = (np.maximum(u, 0) / breast.depth_mm) ** power + (np.abs(v) / half) ** power
        level = 1 - radius ** (1 / power)
        gradient = np.hypot(*np.gradient(level, GRID_MM)) + np.float32(1e-4)
        inside = (level / gradient).astype(np.float32)
        if self.view is View.MLO:
            slope = 0.6
            axilla = (slope * (-v - 0.1 * breast.half_width_mm) - u) / np.float32(
                np.hypot(1, slope)
            )
            inside = _smooth_union(inside, axilla, 60.0)
        if not self.nipple_in_profile:
            return np.asarray(inside, np.float32)
        nipple = NIPPLE_MM - np.hypot(u - breast.depth_mm + 1.0, v)
        return _smooth_union(inside, nipple, 2.0)

    def _preference(self, u: Field, v: Field, inside: Field, muscle: Field) -> Field:
        breast = self.breast
        outer = v + 0.15 * breast.half_width_mm
        lateral = (outer / (0.62 * breast.half_width_mm)) ** 2
        depth = (u - 0.58 * breast.depth_mm) / (0.48 * breast.depth_mm)
        preference = -0.9 * np.minimum(lateral + depth**2, 6.0)
        preference -= 2.6 * np.exp(-np.maximum(inside, 0) / np.float32(6.0))
        wall = np.minimum(np.maximum(u, 0), np.maximum(-muscle, 0))
        preference -= 1.8 * np.exp(-wall / np.float32(10.0))
        cone = 0.35 * (breast.depth_mm - u) + 6 - np.abs(v)
        return (preference + 0.5 / (1 + np.exp(-cone / 4))).astype(np.float32)


def _smooth_union(first: Field, second: Field, width_mm: float) -> Field:
    """Union of two distance fields with a fillet of about ``width_mm``."""
    gap = np.sqrt((first - second) ** 2 + np.float32(width_mm**2 / 4))
    union: Field = 0.5 * (first + second + gap)
    return union


def box_of(inside: Field, pitch_mm: float, rows: int, columns: int) -> Box:
    """The breast with a margin of air, on an image of rows and columns."""
    shown = inside > -MARGIN_MM
    below, beside = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    row, column = (int(edge[0] * GRID_MM / pitch_mm) for edge in (below, beside))
    end_row, end_column = (int(np.ceil((e[-1] + 1) * GRID_MM / pitch_mm)) for e in (below, beside))
    return Box(pitch_mm, row, column, min(end_row, rows) - row, min(end_column, columns) - column)


def resample(field: Field, box: Box) -> Field:
    """A field of the coarse grid at the pixels of a box."""
    scale = box.pitch_mm / GRID_MM
    offsets = (scale * (first + 0.5) - 0.5 for first in (box.column, box.row))
    matrix = np.column_stack([np.eye(2) * scale, list(offsets)])
    flags, size = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, (box.columns, box.rows)
    warped = cv2.warpAffine(field, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.float32)
