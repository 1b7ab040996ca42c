"""``run.json``: what a run is made of, in words that outlive it."""

import platform
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from torch import Tensor

from mim import __version__
from mim.data.datamodule import ExamData
from mim.data.exams import Exams
from mim.data.settings import CHANGES_NOTHING, DataSettings
from mim.errors import InputError
from mim.model.settings import ModelSettings, TaskSettings
from mim.schemas.cohort import read_about
from mim.schemas.folders import require_own
from mim.schemas.learnt import Learnt
from mim.schemas.saved_settings import read_settings
from mim.schemas.table import read_json, write_json
from mim.train.checkpoints import BEST, LAST, read_checkpoint
from mim.train.labels import learnt_outputs
from mim.train.settings import TrainSettings
from mim.train.start import model_weights
from mim.vocab import Split

PACKAGES = ("torch", "torchvision", "pytorch-lightning", "timm", "numpy", "opencv-python-headless")


@dataclass
class RunCard:
    """Everything a run depends on.

    ``settings`` holds data, tasks, model and train; ``recipe`` the recipe's fields; ``priors`` how
    priors were found; ``stand_ins`` which images may stand in for a missing view; ``training``
    counts of what was learnt from; ``women`` a checksum of who was trained on and who validated;
    ``start`` what the run started from, if anything; ``greys`` the standard onto which grey levels
    are mapped, as ``GreyStandard.to_json`` gives it; ``code`` the commit of mim, where it is run
    from a checkout; ``note`` what must be said wherever a figure of this run stands; ``renormalised``
    which exams its normalisation was fitted to afterwards, if any, and what it was before.
    """

    cohort: str
    cache: str
    note: str
    settings: dict[str, Any]
    recipe: dict[str, Any]
    fingerprint: str
    priors: dict[str, Any]
    stand_ins: dict[str, bool]
    training: dict[str, Any]
    women: str
    start: dict[str, Any] | None
    greys: dict[str, Any]
    code: dict[str, Any]
    versions: dict[str, str]
    renormalised: dict[str, Any] | None = None

    @classmethod
    def read(cls, run: Path) -> "RunCard":
        """The card of a run folder; ``InputError`` where there is none."""
        if not (run / "run.json").is_file():
            raise InputError(f"{run}: no run.json here; expected a folder that 'mim train' wrote")
        try:
            card = cls(**read_json(run / "run.json"))
            _ = card.learnt
            return card
        except (TypeError, KeyError, AttributeError):
            raise InputError(
                f"{run / 'run.json'}: written by another version of mim; train again"
            ) from None

    @property
    def learnt(self) -> Learnt:
        """Which outputs the training exams taught."""
        tasks = read_settings(TaskSettings, self.settings["tasks"])
        return learnt_outputs(self.training["labels"], tasks)

    def best_weights(self, run: Path) -> Mapping[str, Tensor]:
        """The model's weights in the best checkpoint."""
        path = run / "checkpoints" / BEST
        if not path.is_file():
            raise InputError(f"{path}: no such file; the run has no whole epoch yet, train it on")
        return model_weights(read_checkpoint(path)["state_dict"])

    def require_recipe(self, fingerprint: str) -> None:
        """Refuse images of another recipe than the run was trained on."""
        if fingerprint != self.fingerprint:
            raise InputError(
                f"{self.cache}: recipe {fingerprint}, but the run was trained on "
                f"{self.fingerprint}; use the cache it was trained on"
            )

    def require_women(self, run: Path, everyone: Exams) -> None:
        """Refuse a cohort that tests women who were trained on, or may."""
        if women_checksum(everyone) != self.women:
            raise InputError(
                f"{self.cohort}: other women are in train or validation than when {run} was trained, "
                "so its test women may have been trained on; train again on this cohort"
            )

    def public(self) -> dict[str, Any]:
        """The card without the places of this machine, for trackers and bundles."""
        said = _without_places(asdict(self))
        fitted = said["renormalised"]
        return said | {"renormalised": None if fitted is None else _without_places(fitted)}


def make_card(
    cohort: Path,
    exams: ExamData,
    data: DataSettings,
    tasks: TaskSettings,
    model: ModelSettings,
    train: TrainSettings,
    labels: Mapping[str, Any],
    start: dict[str, Any] | None,
) -> RunCard:
    """The card of a run about to start."""
    # The file's name tells which weights; its folder is nobody's business.
    weights = model.encoder.weights and Path(model.encoder.weights).name
    encoder = replace(model.encoder, weights=weights)
    start_from = train.start_from and Path(train.start_from).name
    return RunCard(
        cohort=str(cohort.resolve()),
        cache=str(exams.cache.folder.resolve()),
        note=str(read_about(cohort)["note"]),
        settings={
            "data": asdict(data),
            "tasks": asdict(tasks),
            "model": asdict(replace(model, encoder=encoder)),
            "train": asdict(replace(train, start_from=start_from)),
        },
        recipe=asdict(exams.cache.recipe),
        fingerprint=exams.cache.fingerprint,
        priors=exams.priors,
        stand_ins=exams.stand_ins,
        training=_counts(exams, labels),
        women=women_checksum(exams.everyone),
        start=start,
        greys=exams.greys.to_json(),
        code=code_state(),
        versions={"mim": __version__, "python": platform.python_version()}
        | {name: version(name) for name in PACKAGES},
    )


def women_checksum(everyone: Exams) -> str:
    """BLAKE2b, 128 bits, hexadecimal, of the women in train and in validation."""
    learning = pc.is_in(everyone.table["split"], pa.array([Split.TRAIN, Split.VALIDATION]))
    women = everyone.table.filter(learning).group_by(["split", "woman"]).aggregate([])
    words = women.sort_by([("split", "ascending"), ("woman", "ascending")]).to_pydict()
    return blake2b(repr(words).encode(), digest_size=16).hexdigest()


def check_free(out: Path, card: RunCard) -> None:
    """Refuse a folder of another command, or of a run of other settings or data.

    A run without a checkpoint is none.

    The same settings with other code go on: what changed may not matter, and ``run.json`` says it.
    So do those of the loader that change when a batch comes and not what is in it.
    """
    require_own(out, "run.json")
    checkpoints = [out / "checkpoints" / name for name in (BEST, LAST)]
    if not ((out / "run.json").exists() and any(path.exists() for path in checkpoints)):
        return
    found = asdict(RunCard.read(out)) | {"code": card.code}
    same = {name: card.settings["data"][name] for name in CHANGES_NOTHING}
    found["settings"]["data"] |= same
    if differing := list(_differing(found, asdict(card))):
        raise InputError(
            f"{out}: holds a run with other {', '.join(differing)}; choose another out"
        )


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """Names of what differs between two cards; of settings, the keys on the command line."""
    for key in sorted(one.keys() | other.keys()):
        was, now = one.get(key), other.get(key)
        if was == now:
            continue
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            below = "" if key == "settings" else f"{key}."
            yield from (f"{below}{name}" for name in _differing(was, now))
        else:
            yield key


def _without_places(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name not in {"cohort", "cache"}}


def write_card(out: Path, card: RunCard) -> None:
    """Make a folder that of a run."""
    write_json(out / "run.json", asdict(card))


def code_state() -> dict[str, Any]:
    """Commit of the checkout that mim is run from, and whether it was changed since; {} elsewhere."""
    package = Path(__file__).parent.parent
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return {}
    return {
        "commit": _git(package, "rev-parse", "HEAD"),
        "changed": bool(_git(package, "status", "--porcelain", "--", ".")),
    }


def _git(folder: Path, *words: str) -> str | None:
    """What git says of a folder; None where it says nothing or is not installed."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _counts(exams: ExamData, labels: Mapping[str, Any]) -> dict[str, Any]:
    rows, everyone = exams.training.rows, exams.everyone
    table = everyone.table.take(rows)
    return {
        "women": len(table["woman"].unique()),
        "exams": len(rows),
        "exams_with_prior": int((everyone.priors[rows] >= 0).any(axis=1).sum()),
        "exams_by_maker": dict(Counter(table["maker"].to_pylist())),
        "labels": labels,
    }
