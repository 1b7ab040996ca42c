"""What the processes of one run tell each other; a run on one device is its only process."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import distributed

from mim.data.sampler import Ranks

Columns = Mapping[str, NDArray[Any]]


def gather(columns: Columns) -> dict[str, NDArray[Any]]:
    """Rows of all processes, one process after the other: arrays [row, ...] of one length."""
    world = Ranks.now().world
    if world == 1:
        return dict(columns)
    found: list[Columns] = [{}] * world
    distributed.all_gather_object(found, dict(columns))
    return {name: np.concatenate([part[name] for part in found]) for name in columns}


def wait_for_all() -> None:
    """Go on when every process has come here."""
    if Ranks.now().world > 1:
        distributed.barrier()
