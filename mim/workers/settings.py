"""Settings of work that many processes share."""

from dataclasses import dataclass, field
from enum import StrEnum


class Executor(StrEnum):
    """Who runs the processes."""

    local = "local"
    dask = "dask"


@dataclass
class SlurmSettings:
    jobs: int = 0
    """Jobs that the Dask cluster starts in SLURM; 0 starts none and needs a scheduler address."""
    partition: str | None = None
    """Partition of the jobs; missing: the cluster's default."""
    account: str | None = None
    """Account of the jobs; missing: the user's default."""
    cores: int = 8
    """Cores, and so worker processes, of one job."""
    memory_gb: int = 16
    """Memory of one job."""
    hours: float = 12.0
    """Longest time of one job; what is left when all have ended is done by the next run."""


@dataclass
class WorkersSettings:
    executor: Executor = Executor.local
    """local: processes of this machine. dask: workers of a Dask scheduler, on any number of machines that see the same folders."""
    workers: int = 0
    """Processes of the local executor; 0 takes one per core. 1 works in this process, which then dies of a file that kills a decoder."""
    scheduler: str | None = None
    """Address of a running Dask scheduler, such as tcp://node1:8786."""
    slurm: SlurmSettings = field(default_factory=SlurmSettings)
