"""A quality table as arrays: landmarks, criteria and grades of each image, said and known."""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from mim.evaluate.bootstrap import Bools, Floats
from mim.positioning.measure import measure
from mim.positioning.rules import lies_on_image
from mim.vocab import VIEW_SLOTS, Criterion, Landmark, Quality

GRADES = [grade.value for grade in Quality]


@dataclass(frozen=True)
class Positioned:
    """Images with a quality said, sorted by woman, exam and image.

    Attributes:
        woman: ``[row]``, a number for each woman.
        maker: ``[row]``, values of ``Maker``.
        exam: ``[row]``, a number for each exam.
        breast: ``[row]``, values of ``Laterality``.
        view: ``[row]``, values of ``View``.
        spacing_mm: ``[row]``, of the model's pixels; NaN unknown.
        points: ``[row, landmark, 2]``, column and row of the model's input; NaN missing.
        visible: ``[row, landmark]``, probability that it lies on the image; NaN not learnt.
        known_points: ``[row, landmark, 2]``; NaN unknown, or not on the image.
        criteria: ``[row, criterion]``, probability; NaN not learnt.
        known_criteria: ``[row, criterion]``, 1 or 0; NaN unknown.
        grade: ``[row]``, 0 (perfect) to 3 (inadequate); -1 none.
        known_grade: ``[row]``, as ``grade``.
    """

    woman: npt.NDArray[np.int64]
    maker: npt.NDArray[np.str_]
    exam: npt.NDArray[np.int64]
    breast: npt.NDArray[np.str_]
    view: npt.NDArray[np.str_]
    spacing_mm: Floats
    points: Floats
    visible: Floats
    known_points: Floats
    criteria: Floats
    known_criteria: Floats
    grade: npt.NDArray[np.int64]
    known_grade: npt.NDArray[np.int64]

    def where(self, mask: Bools) -> "Positioned":
        """The rows that a mask ``[row]`` keeps."""
        return Positioned(*(getattr(self, field.name)[mask] for field in fields(self)))

    def off_mm(self) -> Floats:
        """``[row, landmark]``, distance of each point said from the known one; NaN where unknown."""
        off = np.linalg.norm(self.points - self.known_points, axis=-1)
        return np.asarray(off * self.spacing_mm[:, None], np.float64)


def positioned(table: pa.Table) -> Positioned:
    """The images of a table of ``mim.schemas.scores.QUALITY_SCORES``."""
    found = pl.DataFrame(pl.from_arrow(table)).sort("woman", "exam", "image")

    def numbers(*names: str) -> Floats:
        wanted = [pl.col(name).cast(pl.Float64).fill_null(np.nan) for name in names]
        return found.select(wanted).to_numpy()

    def points(start: str) -> Floats:
        return numbers(*(f"{start}{name}_{axis}" for name in Landmark for axis in "xy")).reshape(
            len(found), len(Landmark), 2
        )

    def grades(name: str) -> npt.NDArray[np.int64]:
        ranks = found[name].cast(pl.Enum(GRADES)).to_physical().cast(pl.Int64)
        return ranks.fill_null(-1).to_numpy()

    unseen = numbers(*(f"known_{name}_visible" for name in Landmark)) == 0
    return Positioned(
        woman=found["woman"].rank("dense").cast(pl.Int64).to_numpy(),
        maker=found["maker"].to_numpy().astype(np.str_),
        exam=found["exam"].rank("dense").cast(pl.Int64).to_numpy(),
        breast=found["breast"].to_numpy().astype(np.str_),
        view=found["view"].to_numpy().astype(np.str_),
        spacing_mm=numbers("spacing_mm")[:, 0],
        points=points(""),
        visible=numbers(*(f"{name}_visible" for name in Landmark)),
        known_points=np.where(unseen[..., None], np.nan, points("known_")),
        criteria=numbers(*Criterion),
        known_criteria=numbers(*(f"known_{name}" for name in Criterion)),
        grade=grades("grade"),
        known_grade=grades("known_grade"),
    )


def measures(found: Positioned) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Measures ``[row]`` by name, of the landmarks said and of those known; NaN missing."""
    slots = list(VIEW_SLOTS)
    pairs = zip(found.breast, found.view, strict=True)
    place = found.exam, np.array([slots.index((b, v)) for b, v in pairs], dtype=np.int64)
    shape = (int(found.exam.max(initial=-1)) + 1, len(slots))

    def measured(points: Floats, visible: Bools) -> dict[str, Floats]:
        spacing = np.full(shape, np.nan)
        all_points = np.full((*shape, len(Landmark), 2), np.nan)
        all_visible = np.zeros((*shape, len(Landmark)), dtype=np.bool_)
        spacing[place], all_points[place], all_visible[place] = found.spacing_mm, points, visible
        made = measure(all_points, all_visible, spacing)._asdict()
        return {name: values[place] for name, values in made.items()}

    known = np.asarray(~np.isnan(found.known_points).any(axis=-1), np.bool_)
    return measured(found.points, lies_on_image(found.visible)), measured(found.known_points, known)
