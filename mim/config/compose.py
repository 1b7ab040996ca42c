"""From ``key=value`` words to a typed command; only this and ``sweeps`` import hydra or omegaconf.

Hydra joins schema, YAML and overrides; OmegaConf holds the types; what comes out is a plain
dataclass. Every error is one line that names the key and what was expected.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationResolutionError,
    OmegaConfBaseException,
    ValidationError,
)
from yaml import YAMLError

from mim.config.checks import check
from mim.config.commands import COMMANDS, Command
from mim.config.files import CONFIGS, experiments, methods
from mim.config.help import usage
from mim.config.keys import Key, command_keys, suggestion
from mim.data.settings import DataSettings
from mim.errors import InputError
from mim.model.settings import ModelSettings, TaskSettings
from mim.train.settings import TrainSettings

GROUPS = {"experiment": experiments, "method": methods}
"""Keys whose value is the name of a file with values."""


def compose(command: str, overrides: list[str]) -> Command:
    """The values of a command: dataclass defaults, then YAML, then ``overrides``.

    Overrides follow Hydra's grammar.

    Raises:
        InputError: an unknown key, a value of the wrong type or out of range, an unknown
            choice, a key that must be given, a path that is not there.
    """
    config = _composed(command, overrides)
    for key in command_keys(COMMANDS[command]):
        if OmegaConf.is_missing(config, key):
            raise InputError(f"{key}: must be given, as in: {usage(command)}")
    values = cast(Command, _values(command, config))
    check(values)
    return values


def experiment_settings(
    name: str,
) -> tuple[DataSettings, TaskSettings, ModelSettings, TrainSettings]:
    """What a named experiment says, without the paths that training needs."""
    config = _composed("train", [f"experiment={name}"])
    return cast(
        tuple[DataSettings, TaskSettings, ModelSettings, TrainSettings],
        tuple(_values("train", config[group]) for group in ("data", "tasks", "model", "train")),
    )


def _composed(command: str, overrides: list[str]) -> DictConfig:
    # Every allowed key is in the schema, so that Hydra's + (add) can only mean: change.
    known = command_keys(COMMANDS[command])
    for override in overrides:
        _check_one_value(command, known, override)
    with shipped_files(command):
        return hydra_compose(command, [override.lstrip("+") for override in overrides])


@contextmanager
def shipped_files(command: str) -> Iterator[None]:
    """Hydra with the files and the schema of a command; what it complains of is an InputError."""
    schema = COMMANDS[command]
    ConfigStore.instance().store(group="schema", name=command, node=schema, provider="mim")
    try:
        with initialize_config_dir(str(CONFIGS.absolute()), version_base="1.3"):
            yield
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        _explain(command, error)


def _values(command: str, config: DictConfig) -> object:
    try:
        return OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        _explain(command, error)


def _check_one_value(command: str, known: dict[str, Key], text: str) -> None:
    """Refuse a key with several values too, and a file that is not there."""
    override = checked_override(command, known, text)
    key = override.get_key_element().lstrip("+")
    if override.is_sweep_override():
        several = ", or go through all of them by 'mim train -m'" if command == "train" else ""
        raise InputError(
            f"{key}: expected one value; quote a value with commas: {quoted(text)}{several}"
        )
    if key in GROUPS and (name := override.value()) not in GROUPS[key]():
        raise InputError(_no_file(key, _shown(name)))


def checked_override(command: str, known: dict[str, Key], text: str) -> Override:
    """A word as Hydra reads it, which may hold several values.

    Raises:
        InputError: it adds or deletes a key, names one that is not known, or cannot be read.
    """
    if text.startswith("-"):
        raise InputError(f"{text}: keys take no dashes; write {text.lstrip('-')}")
    if "=" not in text.lstrip("=") and not text.startswith("~"):
        raise InputError(f"{text}: expected key=value")
    override = _parsed(text)
    key = override.get_key_element().lstrip("+~")
    if key not in known:
        near = suggestion(key, list(known)) or f"; mim {command} --help lists the keys"
        raise InputError(f"{key}: no such key{near}")
    if override.type is OverrideType.DEL:
        raise InputError(f"{key}: cannot be taken away; leave it out for its default")
    return override


def _parsed(text: str) -> Override:
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException:
        key = text.partition("=")[0].lstrip("+")
        raise InputError(f"{key}: cannot read the value; quote it: {quoted(text)}") from None


def quoted(text: str) -> str:
    """An override with its value in quotes for Hydra and the whole in quotes for the shell."""
    key, _, value = text.partition("=")
    value = value.replace("'", "\\'")
    return f"\"{key}='{value}'\""


def _no_file(key: str, name: str) -> str:
    there = GROUPS[key]()
    near = suggestion(name, there)
    return f"{key}: no such {key} {name}; there are {', '.join(there)}{near}"


def _explain(command: str, error: BaseException) -> NoReturn:
    """Raise one line for an error of Hydra, OmegaConf or YAML; the innermost knows the key."""
    innermost = error
    below = error.__cause__ or error.__context__
    while below is not None:
        if getattr(below, "full_key", None):
            innermost = below
        below = below.__cause__ or below.__context__
    known = command_keys(COMMANDS[command])
    key = str(getattr(innermost, "full_key", None) or "")
    match innermost:
        case ConfigKeyError() | ConfigAttributeError():
            raise InputError(f"{key}: no such key{suggestion(key, list(known))}") from None
        case InterpolationResolutionError():
            raise InputError(f"{key}: {_first_line(innermost)}") from None
        case ValidationError(value=value) if key in known:
            near = suggestion(str(value), known[key].choices)
            raise InputError(
                f"{key}: expected {known[key].expected}, got {_shown(value)}{near}"
            ) from None
        case MissingConfigException(missing_cfg_file=str(name)):
            raise InputError(f"{name}: no such file in {CONFIGS}") from None
        case _:
            raise InputError(" ".join(str(innermost).split())) from None


def _shown(value: object) -> str:
    return "null" if value is None else repr(value)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
