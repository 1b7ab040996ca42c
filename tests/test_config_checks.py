"""Ranges, relations and paths of composed values."""

from dataclasses import fields
from math import inf, nan
from pathlib import Path
from typing import get_args, get_origin

import pytest

from mim.config import checks
from mim.config.checks import FILES, FOLDERS, LIMITS, check
from mim.config.commands import COMMANDS, MISSING, Command, IndexCommand, SynthCommand, TrainCommand
from mim.config.keys import command_keys
from mim.errors import InputError
from mim.vocab import Maker
from mim.workers.settings import Executor


def filled(command: type[Command], folder: Path) -> Command:
    """A command whose every path is there, and whose results have a folder of their own."""
    values = {f.name: str(folder) for f in fields(command) if f.default == MISSING}
    values |= {"maker": "philips"} if "maker" in values else {}
    return command(**values | {"out": str(folder / "out")})


def assign(command: Command, key: str, value: object) -> None:
    *groups, name = key.split(".")
    settings: object = command
    for group in groups:
        settings = getattr(settings, group)
    setattr(settings, name, value)


KEYS = {name: command_keys(command) for name, command in COMMANDS.items()}


def owner(command: str, key: str) -> type:
    """The dataclass that holds a key."""
    group = key.rpartition(".")[0]
    return KEYS[command][group].type if group else COMMANDS[command]


def bounds(command: str, key: str) -> tuple[float, float] | None:
    leaf = key.rpartition(".")[2]
    rows = [LIMITS.get(cls, {}) for cls in owner(command, key).__mro__]
    return next((row[leaf] for row in rows if leaf in row), None)


BOUNDED = [(c, key, *limits) for c in KEYS for key in KEYS[c] if (limits := bounds(c, key))]

PATHS = [
    (command, key)
    for command, keys in KEYS.items()
    for key in keys
    if key.rpartition(".")[2]
    in {n for named in checks.PATHS.values() for n in named.get(owner(command, key), ())}
]


@pytest.mark.parametrize("table", [LIMITS, FOLDERS, FILES])
def test_tables_name_real_fields(table: dict[type, tuple[str, ...]]) -> None:
    for owner, names in table.items():
        assert set(names) <= {f.name for f in fields(owner)}


@pytest.mark.parametrize("command", COMMANDS.values())
def test_defaults_pass(command: type[Command], tmp_path: Path) -> None:
    check(filled(command, tmp_path))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_number_has_limits(command: str) -> None:
    numbers = {
        key.name for key in KEYS[command].values() if {int, float} & {key.type, *get_args(key.type)}
    }
    assert numbers == {key for name, key, *_ in BOUNDED if name == command}


@pytest.mark.parametrize(("command", "key", "low", "high"), BOUNDED)
def test_value_out_of_range_is_refused(
    command: str, key: str, low: float, high: float, tmp_path: Path
) -> None:
    for wrong in (low - 1, high + 1 if high < inf else nan, nan):
        values = filled(COMMANDS[command], tmp_path)
        assign(values, key, wrong)
        with pytest.raises(InputError, match=rf"^{key}: expected {low} (to|or more)"):
            check(values)


@pytest.mark.parametrize(
    ("command", "values", "message"),
    [
        (
            "cohort",
            {"splits.validation": 0.5, "splits.test": 0.5},
            "splits.validation: 0.5 with test 0.5 leaves no women for training",
        ),
        (
            "cohort",
            {"outcomes.interval_days": 183},
            "outcomes.interval_days: expected more than screen_detected_days 183, got 183",
        ),
        (
            "cohort",
            {"outcomes.clear_days": 732},
            "outcomes.clear_days: expected at most interval_days 731, got 732",
        ),
        (
            "cohort",
            {"outcomes.registry_date": "31.12.2020"},
            "outcomes.registry_date: expected a day as YYYY-MM-DD, got 31.12.2020",
        ),
        (
            "cohort",
            {"outcomes.registry_date": "2999-01-01"},
            "outcomes.registry_date: expected a day up to today, got 2999-01-01",
        ),
        ("cohort", {"splits.folds": 1}, "splits.folds: expected 0 for none, or 2 or more"),
        (
            "cohort",
            {"splits.folds": 5, "splits.fold": 6},
            "splits.fold: expected at most folds 5, got 6",
        ),
        (
            "cohort",
            {"splits.held_out_maker": "ge", "splits.folds": 5},
            "splits.held_out_maker: cannot stand together with folds",
        ),
        (
            "cohort",
            {"splits.from_registry": True, "splits.best_of": 2},
            "splits.best_of: cannot stand together with from_registry",
        ),
        (
            "cohort",
            {"splits.held_out_from": "2020-1-1"},
            "splits.held_out_from: expected a day as YYYY-MM-DD, got 2020-1-1",
        ),
        (
            "train",
            {"data.cases_per_batch": 9},
            "data.cases_per_batch: expected at most batch_size 8, got 9",
        ),
        (
            "train",
            {"data.batch_size": 1, "data.augment.amplitude": 0.5},
            "data.augment.amplitude: expected 0 in batches of one exam, got 0.5",
        ),
        (
            "train",
            {"model.fusion.width": 255},
            "model.fusion.width: expected a multiple of heads 4, got 255",
        ),
        (
            "train",
            {"model.encoder.weights": "x", "model.encoder.pretrained": True},
            "model.encoder.pretrained: cannot stand together with weights",
        ),
        (
            "train",
            {"tasks.cancer.learn": False},
            "tasks.cancer.learn: every task is off; turn one on",
        ),
        (
            "train",
            {"tasks.density.learn": True, "tasks.density.weight": 0},
            "tasks.density.weight: 0 teaches the task nothing; set learn=false instead",
        ),
        (
            "index",
            {"executor": Executor.dask},
            "scheduler: executor=dask needs scheduler=ADDRESS or slurm.jobs=NUMBER",
        ),
        (
            "cache",
            {"executor": Executor.dask, "scheduler": "tcp://node:8786", "slurm.jobs": 2},
            "scheduler: an address and slurm.jobs cannot both be given",
        ),
        (
            "index",
            {"scheduler": "tcp://node:8786"},
            "scheduler: an address needs executor=dask",
        ),
        ("cache", {"slurm.jobs": 2}, "slurm.jobs: needs executor=dask"),
        (
            "renormalise",
            {"maker": "kodak"},
            f"maker: expected one of {', '.join(Maker)}, got kodak",
        ),
        ("renormalise", {"cohort": "."}, "cache: must be given beside cohort"),
        ("renormalise", {"cache": "."}, "cohort: must be given beside cache"),
    ],
)
def test_values_that_cannot_stand_together(
    command: str, values: dict[str, object], message: str, tmp_path: Path
) -> None:
    given = filled(COMMANDS[command], tmp_path)
    for key, value in values.items():
        assign(given, key, value)
    with pytest.raises(InputError) as refused:
        check(given)
    assert str(refused.value) == message


def test_every_input_of_the_commands_is_checked() -> None:
    no_input = {"out", "key", "experiment", "method", "train.metric", "data.leave_out_maker"}
    no_input |= {"maker", "model.encoder.name", "model.patches.encoder"}
    no_input |= {"scheduler", "slurm.partition", "slurm.account", "outcomes.registry_date"}
    no_input |= {f"splits.held_out_{what}" for what in ("maker", "site", "from")}
    texts = {
        (name, key.name)
        for name, keys in KEYS.items()
        for key in keys.values()
        if {"text", "list"} & set(key.expected.split()) and key.name not in no_input
    }
    assert texts == set(PATHS)


@pytest.mark.parametrize(("command", "key"), PATHS)
def test_missing_input_is_refused(command: str, key: str, tmp_path: Path) -> None:
    values = filled(COMMANDS[command], tmp_path)
    for wrong in (str(tmp_path / "nothing"), ""):
        many = get_origin(KEYS[command][key].type) is list
        assign(values, key, [wrong] if many else wrong)
        with pytest.raises(
            InputError, match=rf"^{key}: no such (file|folder|file or folder): .*(nothing|empty)"
        ):
            check(values)


def test_file_for_folder_and_folder_for_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(InputError, match="^source: expected a folder"):
        check(IndexCommand(source=str(file), out=str(tmp_path)))
    values = TrainCommand(str(tmp_path), str(tmp_path), str(tmp_path))
    values.model.encoder.weights = str(tmp_path)
    with pytest.raises(InputError, match="^model.encoder.weights: expected a file"):
        check(values)


@pytest.mark.parametrize(
    ("command", "key"),
    [(name, key) for name, key in PATHS if key in FOLDERS.get(COMMANDS[name], ())],
)
def test_no_command_writes_among_what_it_reads(command: str, key: str, tmp_path: Path) -> None:
    values = filled(COMMANDS[command], tmp_path)
    read = tmp_path / "read"
    read.mkdir()
    assign(values, key, str(read))
    values.out = f"{tmp_path}/out/../read"
    with pytest.raises(InputError, match=f"^out: expected another folder than {key}, got "):
        check(values)


def test_out_must_be_a_place_to_write(tmp_path: Path) -> None:
    check(SynthCommand(out=str(tmp_path / "not" / "yet" / "there")))
    (tmp_path / "file").touch()
    for wrong in ("", str(tmp_path / "file"), str(tmp_path / "file" / "below")):
        with pytest.raises(InputError, match="^out: expected a folder"):
            check(SynthCommand(out=wrong))
