"""Help pages: the list of commands, and every key of one command."""

import shutil
import textwrap
from enum import Enum

from mim.config.commands import COMMANDS
from mim.config.files import experiments, methods
from mim.config.keys import Key, command_keys

OVERVIEW = """\
mim turns screening mammograms into models: DICOM in, a verified ONNX bundle out.

mim <command> key=value ...

{commands}

mim <command> --help lists the keys of a command; mim --version says which mim this is.
Exit code: 0 done; 1 done, but problems were found; 2 could not run."""

CLOSING = {
    "train": (
        "Another encoder: model.encoder.name takes any timm model that gives feature maps "
        "(docs/encoders.md). Another loss: a choice of tasks.cancer.loss and its branch in "
        "mim/model/cancer.py. Another task: a word of vocab.Task, a head with its loss and scores in "
        "mim/model, a line each in mim/model/exam.py and mim/train/losses.py, a score table "
        "(docs/models.md walks through one). With -m, keys take several values, as in "
        "mim train -m train.seed=1,2,3 method=plain,style ..., and each combination becomes a run in "
        "a folder of its own in out. Stages, resuming, sweeps, several devices: docs/training.md."
    )
}
"""What stands below the keys of a command."""


def overview() -> str:
    """The page of ``mim --help``."""
    width = max(map(len, COMMANDS)) + 2
    return OVERVIEW.format(
        commands="\n".join(
            f"  {name:{width}}{command.__doc__}" for name, command in COMMANDS.items()
        )
    )


def usage(command: str) -> str:
    """A command line with the keys that must be given."""
    keys = command_keys(COMMANDS[command]).values()
    needed = [key for key in keys if key.is_required]
    return " ".join(["mim", command, *(f"{key.name}={_place(key)}" for key in needed)])


def _place(key: Key) -> str:
    if key.choices:
        return key.choices[0]
    kinds = {"Folder": "DIR", "Folders": "[DIR,DIR]", "File": "FILE"}
    return kinds.get(key.sentence.split()[0], key.name.upper())


def page(command: str) -> str:
    """The page of ``mim <command> --help``: every key with type, default and meaning.

    Keys that must be given come first.
    """
    keys = [key for key in command_keys(COMMANDS[command]).values() if not key.is_group]
    keys.sort(key=lambda key: not key.is_required)
    lines = [str(COMMANDS[command].__doc__), "", f"{usage(command)} key=value ...", ""]
    for key in keys:
        lines += [f"  {key.name}={_written(key)}  ({_kind(key)})", *_wrapped(key.sentence)]
    if command in CLOSING:
        lines += ["", *textwrap.wrap(CLOSING[command], _width(), break_on_hyphens=False)]
    return "\n".join(lines)


def _kind(key: Key) -> str:
    if named := {"experiment": experiments, "method": methods}.get(key.name):
        return "one of " + ", ".join(named())
    return f"{key.expected}, must be given" if key.is_required else key.expected


def _written(key: Key) -> str:
    """A default as users would write it."""
    if key.is_required:
        return "..."
    match key.default:
        case None:
            return "null"
        case Enum(name=name):
            return name
        case _:
            return str(key.default)


def _wrapped(sentence: str) -> list[str]:
    indent = " " * 6
    return textwrap.wrap(
        sentence, _width(), initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )


def _width() -> int:
    return min(shutil.get_terminal_size().columns, 100)
