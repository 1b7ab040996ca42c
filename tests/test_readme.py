"""The README's commands are commands, and they run."""

import re
import shlex
from pathlib import Path

import pytest

from mim.cli.main import main
from mim.config.commands import COMMANDS
from mim.config.keys import command_keys

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
JOURNEY = [shlex.split(line) for line in BLOCKS[1].splitlines()]
ERRANDS = [shlex.split(line) for block in BLOCKS[2:] for line in block.splitlines()]


def test_the_two_commands_stand_first():
    assert BLOCKS[0].split("\n")[:2] == ["make demo", "make test"]
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"`?make (\w+)", README):
        assert target in targets


@pytest.mark.parametrize("words", JOURNEY + ERRANDS, ids=lambda words: words[1])
def test_every_command_has_the_keys_it_is_given(words):
    program, command, *values = words
    assert program == "mim"
    keys = command_keys(COMMANDS[command])
    assert all(value.split("=")[0] in keys for value in values)


def test_every_registry_column_is_named():
    from mim.schemas.registry import REGISTRY

    for schema in REGISTRY:
        line = next(row for row in README.splitlines() if row.startswith(f"| `{schema.name}`"))
        assert all(f"`{column.name}`" in line for column in schema.columns)


@pytest.mark.slow
def test_the_journey_runs_from_folder_to_scores(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for _, *words in JOURNEY:
        assert main(words) == 0, words
    for _, *words in ERRANDS:
        assert main(words) == 0, words
    assert (tmp_path / "report" / "index.html").exists()
    assert (tmp_path / "predictions" / "predictions.json").exists()
    page = (tmp_path / "report" / "index.html").read_text()
    assert "never say anything about clinical performance" in page
