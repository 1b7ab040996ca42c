"""Keys read from dataclass sources, against OmegaConf's own flattening."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum, auto

import pytest
from omegaconf import DictConfig, OmegaConf

from mim.config.commands import COMMANDS
from mim.config.help import overview, page
from mim.config.keys import command_keys, suggestion


class Colour(StrEnum):
    red = auto()
    green = auto()


@dataclass
class Inner:
    size: int = 3
    """Size of it."""
    colour: Colour = Colour.red
    """Colour of it."""


@dataclass
class Base:
    seed: int = 1
    """Seed of the base."""
    share: float = 0.5
    """Share that the subclass changes."""


@dataclass
class Outer(Base):
    """A command."""

    share: float = 0.7
    """Share of the subclass."""
    name: str | None = None
    """A sentence
    over two lines."""
    inner: Inner = field(default_factory=lambda: Inner(size=9))


def leaves(config: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in config:
        node = config._get_node(key)
        if isinstance(node, DictConfig):
            yield from leaves(node, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_keys_of_inherited_and_nested_fields() -> None:
    keys = command_keys(Outer)
    read = {name: (key.default, key.expected, key.sentence) for name, key in keys.items()}
    assert read == {
        "seed": (1, "whole number", "Seed of the base."),
        "share": (0.7, "number", "Share of the subclass."),
        "name": (None, "text or null", "A sentence over two lines."),
        "inner": (Inner(9, Colour.red), "keys such as inner.size", ""),
        "inner.size": (9, "whole number", "Size of it."),
        "inner.colour": (Colour.red, "one of red, green", "Colour of it."),
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_every_key_has_a_sentence_and_stands_in_the_help(command: str) -> None:
    keys = {name: key for name, key in command_keys(COMMANDS[command]).items() if not key.is_group}
    assert set(keys) == set(leaves(OmegaConf.structured(COMMANDS[command])))
    text = page(command)
    for name, key in keys.items():
        assert key.sentence.endswith("."), name
        assert f"  {name}=" in text
        assert key.sentence in " ".join(text.split())
        assert all(choice in text for choice in key.choices)


@pytest.mark.parametrize("command", COMMANDS)
def test_choices_are_written_as_they_are_stored(command: str) -> None:
    """OmegaConf takes an enum's names; files hold its values."""
    for key in command_keys(COMMANDS[command]).values():
        if key.choices:
            assert key.choices == [member.value for member in key.type]


def test_overview_has_a_sentence_for_each_command() -> None:
    lines = overview().splitlines()
    for name in COMMANDS:
        assert any(line.split()[:1] == [name] and line.endswith(".") for line in lines), name


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("model.encodr", "; did you mean model.encoder?"),
        ("encoder", "; did you mean model.encoder?"),
        ("modle.encoder", "; did you mean model.encoder?"),
        ("epoch", "; did you mean train.epochs?"),
        ("cohrt", "; did you mean cohort?"),
        ("zzz", ""),
    ],
)
def test_suggestion(word: str, said: str) -> None:
    assert suggestion(word, ["cohort", "model.encoder", "model.width", "train.epochs"]) == said
