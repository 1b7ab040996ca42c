"""Keys of a command, read from the source of its dataclasses: type, default and sentence.

The sentence is the string under a field. Neither Hydra nor OmegaConf is needed here.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from enum import Enum
from functools import cache
from types import NoneType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from mim.config.commands import MISSING

WORDS = {int: "whole number", float: "number", bool: "true or false", str: "text", NoneType: "null"}


class Key(NamedTuple):
    """One key of a command as users write it."""

    name: str
    """Dotted, such as ``train.epochs``."""
    type: Any
    """Annotation of the field; a dataclass for a group of keys."""
    default: Any
    """Value when the key is not given."""
    sentence: str
    """What the key means; empty for a group."""

    @property
    def is_group(self) -> bool:
        """Whether the key stands for the keys below it."""
        return is_dataclass(self.type)

    @property
    def is_required(self) -> bool:
        """Whether the key must be given."""
        return isinstance(self.default, str) and self.default == MISSING

    @property
    def choices(self) -> list[str]:
        """Allowed values of an enum, else none."""
        if isinstance(self.type, type) and issubclass(self.type, Enum):
            return list(self.type.__members__)
        return []

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        if self.is_group:
            return f"keys such as {self.name}.{fields(self.type)[0].name}"
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if get_origin(self.type) is list:
            return "a list in brackets, as in [one,two]"
        return " or ".join(WORDS[part] for part in get_args(self.type) or (self.type,))


def command_keys(command: type[Any]) -> dict[str, Key]:
    """Every key of a command's dataclass by dotted name, groups before the keys in them."""
    return {key.name: key for key in _walk("", command, command())}


def suggestion(word: str, words: list[str]) -> str:
    """A "did you mean" for a misspelt word, or nothing if no word is near.

    A word without its group finds the dotted one: ``epochs`` finds ``train.epochs``.
    """
    leaf = word.rpartition(".")[2]
    by_leaf = {name.rpartition(".")[2]: name for name in reversed(words)}
    near = get_close_matches(word, words, 1) or [
        by_leaf[name] for name in get_close_matches(leaf, list(by_leaf), 1)
    ]
    return f"; did you mean {near[0]}?" if near else ""


def _walk(prefix: str, settings: type[Any], values: object) -> Iterator[Key]:
    types = get_type_hints(settings)
    sentences = _sentences(settings)  # type: ignore[arg-type]  # to mypy a class has no hash
    for field in fields(settings):
        name = prefix + field.name
        default = getattr(values, field.name)
        yield Key(name, types[field.name], default, sentences.get(field.name, ""))
        if is_dataclass(types[field.name]):
            yield from _walk(f"{name}.", types[field.name], default)


@cache
def _sentences(settings: type[Any]) -> dict[str, str]:
    """Strings under the fields of a class and of what it inherits from."""
    found: dict[str, str] = {}
    for owner in reversed(settings.__mro__):
        if not is_dataclass(owner):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
        assert isinstance(body, ast.ClassDef)
        for statement, below in zip(body.body, body.body[1:], strict=False):
            match statement, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(sentence))),
                ):
                    found[name] = " ".join(sentence.split())
    return found
