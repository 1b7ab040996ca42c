"""A density table as arrays: what was said of each breast's density, and what is known."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from mim.evaluate.bootstrap import Bools, Floats
from mim.vocab import Density

CLASSES = [density.value for density in Density]

CUTS = {"auc_beyond_a": 1, "auc": 2, "auc_beyond_c": 3}
"""The three cuts through a to d: the name of each one's AUC, and its lowest dense class."""


@dataclass(frozen=True)
class Densities:
    """Breasts with a density said, sorted by woman and exam.

    Attributes:
        woman: ``[row]``, a number for each woman.
        maker: ``[row]``, values of ``Maker``.
        probability: ``[row, class]``, of a to d; NaN: not learnt.
        known: ``[row]``, 0 (a) to 3 (d); -1 unknown.
        percent: ``[row]``, percent density; NaN: not learnt.
        percent_known: ``[row]``; NaN unknown.
    """

    woman: npt.NDArray[np.int64]
    maker: npt.NDArray[np.str_]
    probability: Floats
    known: npt.NDArray[np.int64]
    percent: Floats
    percent_known: Floats

    def where(self, mask: Bools) -> "Densities":
        """The rows that a mask ``[row]`` keeps."""
        return Densities(
            self.woman[mask],
            self.maker[mask],
            self.probability[mask],
            self.known[mask],
            self.percent[mask],
            self.percent_known[mask],
        )

    def graded(self) -> "Densities":
        """The rows with a class known and one said."""
        return self.where((self.known >= 0) & ~np.isnan(self.probability[:, 0]))

    @property
    def said(self) -> npt.NDArray[np.int64]:
        """``[row]``, the most probable class."""
        return np.asarray(self.probability.argmax(axis=1), np.int64)

    def beyond(self, cut: int) -> Floats:
        """``[row]``, probability of class ``cut`` or a denser one."""
        return np.asarray(self.probability[:, cut:].sum(axis=1), np.float64)


def densities(table: pa.Table) -> Densities:
    """The breasts of a table of ``mim.schemas.scores.DENSITY_SCORES`` of which something is said."""
    names = [f"probability_{letter}" for letter in Density]
    found = pl.DataFrame(pl.from_arrow(table)).sort("woman", "exam", "breast")
    found = found.filter(pl.any_horizontal(pl.col(*names, "percent").is_not_null()))
    known = found["density"].cast(pl.Enum(CLASSES)).to_physical().cast(pl.Int64)
    return Densities(
        woman=found["woman"].rank("dense").cast(pl.Int64).to_numpy(),
        maker=found["maker"].to_numpy().astype(np.str_),
        probability=found.select(pl.col(names).fill_null(np.nan)).to_numpy(),
        known=known.fill_null(-1).to_numpy(),
        percent=found["percent"].fill_null(np.nan).to_numpy(),
        percent_known=found["percent_known"].fill_null(np.nan).to_numpy(),
    )
