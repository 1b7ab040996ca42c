"""Which outputs of a model somebody has taught it; the others say nothing and must not be shown."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mim.vocab import Criterion, Landmark

Learnt = Mapping[str, bool | Mapping[str, bool]]
"""By an output's name, whether it was taught: all of it, or each landmark or criterion by its name.
Outputs without an entry were."""

PARTS: dict[str, tuple[type[StrEnum], int]] = {
    "landmarks": (Landmark, -2),
    "landmarks_visible": (Landmark, -1),
    "criteria": (Criterion, -1),
}
"""Of outputs that are taught in parts, their names, and the axis along which they lie."""


def hide_unlearnt(outputs: Mapping[str, NDArray[Any]], learnt: Learnt) -> dict[str, NDArray[Any]]:
    """The outputs, NaN where nobody taught them."""
    return {name: _hidden(name, output, learnt.get(name, True)) for name, output in outputs.items()}


def _hidden(name: str, output: NDArray[Any], learnt: bool | Mapping[str, bool]) -> NDArray[Any]:
    if isinstance(learnt, bool):
        return output if learnt else np.full_like(output, np.nan)
    names, axis = PARTS[name]
    taught = np.array([learnt[part] for part in names])
    if taught.all():
        return output
    along = taught.reshape(-1, *[1] * (-1 - axis))
    return np.where(along, output, np.asarray(np.nan, output.dtype))
