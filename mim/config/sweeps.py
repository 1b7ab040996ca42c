"""From words with several values, such as ``train.seed=1,2,3``, to one command for each of all combinations.

The grammar is Hydra's, and so is the place where an experiment keeps a sweep of its own:
``hydra.sweeper.params``. Words on the command line take the place of the file's for the same key.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString

from mim.config.commands import TrainCommand
from mim.config.compose import checked_override, compose, shipped_files
from mim.config.files import experiments
from mim.config.help import usage
from mim.config.keys import command_keys
from mim.data.settings import CHANGES_NOTHING
from mim.errors import InputError
from mim.schemas.sweep import SweepPlan

SAFE = re.compile(r"[A-Za-z0-9.+-][A-Za-z0-9._+-]{0,39}")
"""Values that can stand in the name of a folder as they are."""

LONGEST_NAME = 150
"""Characters of a job's name; file systems take 255 bytes."""


@dataclass(frozen=True)
class Job:
    """One training of a sweep.

    ``name`` is that of its folder, ``values`` the values of the swept keys, ``overrides`` the words of
    its ``mim train``, ``settings`` a checksum of all values that change what comes out.
    """

    name: str
    values: dict[str, Any]
    overrides: list[str]
    settings: str


@dataclass(frozen=True)
class Sweep:
    """A folder, what is to stand in it, and its jobs in order, the last key changing fastest."""

    out: Path
    plan: SweepPlan
    jobs: list[Job]


def plan_sweep(overrides: list[str]) -> Sweep:
    """Every job of ``mim train -m``, each composed and checked.

    Args:
        overrides: words of the command line, without ``-m``.

    Raises:
        InputError: as ``compose`` for any of the jobs; nothing is swept, or what cannot be.
    """
    given = _checked(overrides)
    with shipped_files("train"):
        own = _checked(_own_sweep(_parsed(given)))
        last = {word.get_key_element(): word for word in _parsed([*own, *given])}
        # In the order of the keys, so that a job's name does not hang on that of the words.
        words = [last[key] for key in command_keys(TrainCommand) if key in last]
        swept = [
            word.get_key_element()
            for word in words
            if _has_values(word) or word.get_key_element() in map(_key, own)
        ]
        combinations = BasicSweeper.split_arguments(words, None)[0]
    out = _out(last, swept)
    if not combinations:
        several = ", ".join(last[key].input_line or key for key in swept)
        raise InputError(f"-m: no job: of {several} one stands for no value; name the values")
    jobs = {job.name: job for job in (_job(out, swept, words) for words in combinations)}
    apart = {*swept, "out", *(f"data.{name}" for name in CHANGES_NOTHING)}
    fixed = [word for word in combinations[0] if _key(word) not in apart]
    values = {name: job.values for name, job in jobs.items()}
    return Sweep(out, SweepPlan(overrides, swept, fixed, values), list(jobs.values()))


def job_name(texts: Mapping[str, str]) -> str:
    """A folder's name for swept values, which depends on nothing else.

    Args:
        texts: each value, as Hydra writes it, by dotted key.

    Values that a folder's name cannot hold are shortened, and told apart by a checksum.
    """
    leaves = [key.rpartition(".")[2] for key in texts]
    parts = [
        f"{leaf if leaves.count(leaf) == 1 else key}={_safe(text)}"
        for leaf, (key, text) in zip(leaves, texts.items(), strict=True)
    ]
    name = ",".join(parts)
    return name if len(name) <= LONGEST_NAME else _cut(name, name, LONGEST_NAME)


def _safe(text: str) -> str:
    if text == "null":
        return "none"
    if SAFE.fullmatch(text) and text != "none":
        return text
    return _cut(re.sub(r"[^A-Za-z0-9.+-]+", "_", text).strip("_"), text, 20)


def _cut(shown: str, whole: str, most: int) -> str:
    return f"{shown[:most]}~{blake2b(whole.encode(), digest_size=4).hexdigest()}"


def _checked(words: list[str]) -> list[str]:
    """Words without Hydra's +, none of which adds or deletes a key."""
    known = command_keys(TrainCommand)
    for word in words:
        checked_override("train", known, word)
    return [word.lstrip("+") for word in words]


def _parsed(words: list[str]) -> list[Override]:
    """Words as Hydra reads them, knowing the names that ``glob(*)`` stands for."""
    loader = GlobalHydra.instance().config_loader()
    parsed: list[Override] = OverridesParser.create(loader).parse_overrides(words)
    return parsed


def _own_sweep(given: list[Override]) -> list[str]:
    """Words of the sweep that the chosen experiment brings along."""
    chosen = [word for word in given if word.get_key_element() == "experiment"]
    if not chosen:
        return []
    several = chosen[-1].is_sweep_override()
    names = list(chosen[-1].sweep_string_iterator()) if several else [str(chosen[-1].value())]
    sweeps = {name: _params(name) for name in names if name in experiments()}
    for name, params in sweeps.items():
        if several and params:
            raise InputError(f"experiment: {name} brings a sweep of its own; give it alone")
    return [f"{key}={value}" for params in sweeps.values() for key, value in params.items()]


def _params(experiment: str) -> dict[str, str]:
    config = hydra_compose("train", [f"experiment={experiment}"], return_hydra_config=True)
    return dict(config.hydra.sweeper.params or {})


def _has_values(word: Override) -> bool:
    """Whether a word has several values; refuses those that are not the same on every machine."""
    if not word.is_sweep_override():
        return False
    if not word.is_discrete_sweep() or getattr(word.value(), "shuffle", False):
        raise InputError(
            f"{word.get_key_element()}: expected values in an order, as in 1,2,3 or range(1,4), "
            f"got {word.input_line}"
        )
    return True


def _out(words: dict[str, Override], swept: list[str]) -> Path:
    if not swept:
        raise InputError(
            "-m: no key has several values; give one some, as in train.seed=1,2,3, or leave -m out"
        )
    if "out" not in words:
        raise InputError(f"out: must be given, as in: {usage('train')}")
    if "out" in swept:
        raise InputError("out: expected one folder; each job gets a folder of its own in it")
    if not (out := str(words["out"].value())):
        raise InputError("out: expected a folder, got an empty name")
    return Path(out)


def _key(word: str) -> str:
    return word.partition("=")[0]


def _job(out: Path, swept: list[str], words: list[str]) -> Job:
    texts = {_key(word): word.partition("=")[2] for word in words}
    name = job_name({key: texts[key] for key in swept})
    folder = QuotedString(str(out / name), Quote.single).with_quotes()
    overrides = [*(word for word in words if _key(word) != "out"), f"out={folder}"]
    command = compose("train", overrides)
    assert isinstance(command, TrainCommand)
    if command.train.nodes > 1:
        raise InputError("train.nodes: a job of a sweep has one machine; set train.nodes=1")
    values = {key: _value(command, key) for key in swept}
    return Job(name, values, overrides, _checksum(command))


def _value(command: TrainCommand, key: str) -> object:
    value: object = command
    for name in key.split("."):
        value = getattr(value, name)
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _checksum(command: TrainCommand) -> str:
    """What tells a job that is done from one of other values; when a batch comes changes nothing."""
    values = asdict(command) | {"out": None}
    values["data"] |= dict.fromkeys(CHANGES_NOTHING)
    return blake2b(json.dumps(values).encode(), digest_size=16).hexdigest()
