"""Settings that were written as JSON, as dataclasses again."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar, get_type_hints

from mim.errors import InputError

Settings = TypeVar("Settings")


def read_settings(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """A dataclass, with those in it, from what ``dataclasses.asdict`` made of one.

    Fields that are not there have their defaults, so that older runs can still be read.

    Raises:
        InputError: a value that no field is for: the settings are of another version of mim.
    """
    assert is_dataclass(kind)
    types = get_type_hints(kind)
    if unknown := set(values) - {field.name for field in fields(kind)}:
        raise InputError(
            f"{kind.__name__} has no {min(unknown)}: written by another version of mim"
        )
    return kind(**{name: _read(types[name], value) for name, value in values.items()})


def _read(kind: type[object], value: object) -> object:
    if is_dataclass(kind):
        assert isinstance(value, Mapping)
        return read_settings(kind, value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    return value
