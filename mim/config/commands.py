"""The keys of every command: one dataclass each, made of the rooms' own settings.

A command's first docstring sentence is its help. A field that holds ``MISSING`` must be given.
Nothing here imports more than dataclasses, so help and checks stay quick.
"""

from dataclasses import dataclass, field

from mim.adapters.settings import Dataset
from mim.audit.settings import AuditSettings
from mim.cohort.settings import CohortSettings
from mim.data.settings import CacheSettings, DataSettings
from mim.evaluate.settings import EvaluateSettings, PrevalenceSettings, ScoredPart
from mim.image.settings import RecipeSettings
from mim.ingest.settings import IndexSettings
from mim.model.settings import ModelSettings, TaskSettings
from mim.monitor.settings import MonitorSettings
from mim.pseudonyms.settings import PseudonymiseSettings
from mim.synthetic.settings import ProgrammeSettings
from mim.train.settings import RenormaliseSettings, TrainSettings
from mim.workers.settings import WorkersSettings

MISSING = "???"
"""How OmegaConf writes a value that must be given."""


@dataclass
class SynthCommand(ProgrammeSettings):
    """Write a made-up screening programme: DICOM files, registry tables and the truth."""

    out: str = MISSING
    """Folder to write."""


@dataclass
class OrderCommand:
    """List the exams to request, for each site, from the registry's tables."""

    registry: str = MISSING
    """Folder with the registry's tables, CSV or Parquet."""
    out: str = MISSING
    """Folder to write."""
    index: str | None = None
    """Folder that `mim index` wrote; what it holds complete is not ordered again."""


@dataclass
class ReceiveCommand:
    """Compare an order with what came: missing, unasked, unusable and why; list what to order again."""

    order: str = MISSING
    """Folder that `mim order` wrote."""
    index: str = MISSING
    """Folder that `mim index` wrote of the delivery."""
    out: str = MISSING
    """Folder to write."""


@dataclass
class PseudonymiseCommand(PseudonymiseSettings, WorkersSettings):
    """Copy a DICOM folder without identifiers: the same key gives the same names and gaps between exams stay."""

    source: str = MISSING
    """Folder with DICOM files, any depth."""
    out: str = MISSING
    """Folder to write."""
    key: str = MISSING
    """File with the secret key of the pseudonyms; made if missing. Keep it apart from the copy."""
    registry: str | None = None
    """Folder with the registry's tables, to be pseudonymised along so that they still join."""


@dataclass
class IndexCommand(WorkersSettings):
    """List every file of a DICOM folder with what its header says, or why it is left out."""

    source: str = MISSING
    """Folder with DICOM files, any depth."""
    out: str = MISSING
    """Folder to write."""
    index: IndexSettings = field(default_factory=IndexSettings)


@dataclass
class CohortCommand(CohortSettings):
    """Join images with the registry: outcome of each breast, priors, split by woman."""

    index: str = MISSING
    """Folder that `mim index` wrote."""
    registry: str = MISSING
    """Folder with the registry's tables, CSV or Parquet."""
    out: str = MISSING
    """Folder to write."""


@dataclass
class AuditCommand(AuditSettings):
    """Look for what would make a cohort's results untrue: leaks between splits, shortcuts, counts that do not add up."""

    cohort: str = MISSING
    """Folder that `mim cohort` wrote."""
    cache: str | None = None
    """Folder that `mim cache` wrote; with it, images are compared for near-duplicates."""
    out: str | None = None
    """Folder to write; missing: the folder `audit` in the cohort's."""


@dataclass
class AdaptCommand:
    """Turn a public data set, as downloaded, into registry tables and overrides for the index."""

    dataset: Dataset = MISSING  # type: ignore[assignment]
    """Which data set it is."""
    source: str = MISSING
    """Folder with the data set as it was downloaded."""
    out: str = MISSING
    """Folder to write."""


@dataclass
class CacheCommand(CacheSettings, WorkersSettings):
    """Turn the cohort's images into model input, once for all trainings."""

    cohort: str = MISSING
    """Folder that `mim cohort` wrote."""
    out: str = MISSING
    """Folder to write; each recipe gets a folder of its own in it."""
    recipe: RecipeSettings = field(default_factory=RecipeSettings)


@dataclass
class TrainCommand:
    """Train a model on a cohort and its cache."""

    cohort: str = MISSING
    """Folder that `mim cohort` wrote."""
    cache: str = MISSING
    """Folder that `mim cache` wrote."""
    out: str = MISSING
    """Folder of the run to write."""
    experiment: str | None = None
    """Named set of values, a file of configs/experiment; keys given beside it win."""
    method: str | None = None
    """Named set of values against makers never seen, a file of configs/method; keys given beside it win."""
    data: DataSettings = field(default_factory=DataSettings)
    tasks: TaskSettings = field(default_factory=TaskSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    train: TrainSettings = field(default_factory=TrainSettings)


@dataclass
class EvaluateCommand(EvaluateSettings):
    """Measure a run on its test women, or any models' score tables, and write the report."""

    out: str = MISSING
    """Folder of the report to write."""
    run: str | None = None
    """Folder that `mim train` wrote; with `scores`, it is compared with the models there."""
    scores: list[str] = field(default_factory=list)
    """Score tables, CSV or Parquet, with exam, score and perhaps breast and model."""
    sweep: str | None = None
    """Folder that `mim train -m` wrote, with runs from which makers were left out: one page on them all, in place of `run` and `scores`."""
    outcomes: str | None = None
    """Folder that `mim cohort` wrote, or a table of outcomes; missing: the run's cohort, or the first score table."""
    readings: str | None = None
    """Table of the readers' scores; missing: the cohort's."""
    split: ScoredPart = ScoredPart.test
    """Part of the exams to measure; a table without splits is all test."""
    compare: bool = False
    """Measure the models whose scores the cohort holds too, all on the exams that each of them scored."""


@dataclass
class RenormaliseCommand(RenormaliseSettings):
    """Fit a run's batch normalisation to unlabelled exams of a maker; what comes of it is a run again."""

    run: str = MISSING
    """Folder that `mim train` wrote."""
    maker: str = MISSING
    """Maker, such as philips, to whose exams the normalisation is fitted."""
    out: str = MISSING
    """Folder of the run to write."""
    cohort: str | None = None
    """Folder that `mim cohort` wrote, such as a new hospital's; missing: the run's own, without the women it is tested on."""
    cache: str | None = None
    """Folder that `mim cache` wrote of that cohort, by the run's recipe."""


@dataclass
class ExportCommand:
    """Write a run's model as an ONNX bundle; refuse if ONNX and PyTorch differ."""

    run: str = MISSING
    """Folder that `mim train` wrote."""
    out: str = MISSING
    """Folder of the bundle to write."""
    prevalence: PrevalenceSettings = field(default_factory=PrevalenceSettings)


@dataclass
class PredictCommand:
    """Score every exam in a DICOM folder with a bundle; needs no PyTorch."""

    bundle: str = MISSING
    """Folder that `mim export` wrote."""
    source: str = MISSING
    """Folder with DICOM files, any depth; older exams of a woman serve as priors."""
    out: str = MISSING
    """Folder to write."""
    overrides: str | None = None
    """CSV or Parquet table whose cells replace header values, as for `mim index`."""


@dataclass
class MonitorCommand(MonitorSettings):
    """Watch a bundle in use: what it has scored beside what its thresholds were chosen on, by machine and time."""

    bundle: str = MISSING
    """Folder that `mim export` wrote."""
    predictions: list[str] = MISSING  # type: ignore[assignment]
    """Folders that `mim predict` wrote with that bundle; an exam that stands in several counts once."""
    out: str = MISSING
    """Folder of the page to write."""


@dataclass
class DemoCommand(ProgrammeSettings):
    """Run every step on a small made-up programme, on the CPU, in minutes."""

    out: str = "demo"
    """Folder to write; an earlier demo in it is replaced."""
    women: int = 300
    """Women invited."""
    rounds: int = 2
    """Biennial rounds; a woman attends most of them."""
    shrink: int = 8
    """Detector matrix divided by this, pixel spacing multiplied by it; 1 is the full detector."""
    cancer_share: float = 0.6
    """Share of women with a cancer found in or after one of their rounds."""
    recipe: RecipeSettings = field(default_factory=lambda: RecipeSettings(height=192, width=96))


Command = (
    SynthCommand
    | OrderCommand
    | ReceiveCommand
    | PseudonymiseCommand
    | IndexCommand
    | CohortCommand
    | AuditCommand
    | AdaptCommand
    | CacheCommand
    | TrainCommand
    | EvaluateCommand
    | RenormaliseCommand
    | ExportCommand
    | PredictCommand
    | MonitorCommand
    | DemoCommand
)

COMMANDS: dict[str, type[Command]] = {
    "synth": SynthCommand,
    "order": OrderCommand,
    "pseudonymise": PseudonymiseCommand,
    "index": IndexCommand,
    "receive": ReceiveCommand,
    "adapt": AdaptCommand,
    "cohort": CohortCommand,
    "audit": AuditCommand,
    "cache": CacheCommand,
    "train": TrainCommand,
    "evaluate": EvaluateCommand,
    "renormalise": RenormaliseCommand,
    "export": ExportCommand,
    "predict": PredictCommand,
    "monitor": MonitorCommand,
    "demo": DemoCommand,
}
