"""The command line: ``mim <command> key=value ...``."""

import errno
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

from mim import __version__
from mim.cli import commands
from mim.config.commands import COMMANDS
from mim.config.help import overview, page
from mim.config.keys import suggestion
from mim.errors import InputError

FUNCTIONS: dict[str, Callable[[Any], int]] = {
    "synth": commands.synth,
    "order": commands.order,
    "pseudonymise": commands.pseudonymise,
    "index": commands.index,
    "receive": commands.receive,
    "adapt": commands.adapt,
    "cohort": commands.cohort,
    "audit": commands.audit,
    "cache": commands.cache,
    "train": commands.train,
    "evaluate": commands.evaluate,
    "renormalise": commands.renormalise,
    "export": commands.export,
    "predict": commands.predict,
    "monitor": commands.monitor,
    "demo": commands.demo,
}

EXTRAS = {
    "predict": "deploy",
    "monitor": "monitor",
    "order": "ingest",
    "receive": "ingest",
    "pseudonymise": "ingest",
    "index": "ingest",
    "adapt": "adapt",
}
"""Packages of a command that needs others than training does, in ``pyproject.toml``."""

OF_THE_MACHINE = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EIO,
    errno.ESTALE,
    errno.EMFILE,
)
"""Faults of a disk or of rights, which no change of the code mends."""

COULD_NOT_RUN = 2
INTERRUPTED = 130
HELP = ("-h", "--help", "help")
MULTIRUN = ("-m", "--multirun")


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code is 0 for done, 1 for problems found, 2 for could not run."""
    try:
        return _dispatch(sys.argv[1:] if argv is None else argv)
    except BrokenPipeError:
        # Whoever read the output has seen enough; the interpreter must not try to flush it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _dispatch(words: list[str]) -> int:
    match words:
        case [] | ["-h" | "--help" | "help", *_]:
            print(overview())
        case ["--version"]:
            print(f"mim {__version__}")
        case [name, *words] if name in COMMANDS and any(word in HELP for word in words):
            print(page(name))
        case [name, *words] if name in COMMANDS:
            return _run(name, words)
        case [name, *_]:
            near = suggestion(name, list(COMMANDS)) or "; mim --help lists the commands"
            return _complain(f"mim: no such command '{name}'{near}", COULD_NOT_RUN)
    return 0


def _run(name: str, words: list[str]) -> int:
    try:
        return (_sweep if {*words} & {*MULTIRUN} else _once)(name, words)
    except InputError as error:
        return _complain(f"mim {name}: {error}", COULD_NOT_RUN)
    except KeyboardInterrupt:
        return _complain(f"mim {name}: interrupted", INTERRUPTED)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
            where = f" ({error.filename})" if error.filename else ""
            fault = f"{os.strerror(error.errno)}{where}"
            remedy = "put that right and run the command again"
            return _complain(f"mim {name}: {fault}; {remedy}", COULD_NOT_RUN)
        if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("mim"):
            extra = EXTRAS.get(name, "train")
            remedy = f"pip install 'mim[{extra}]'"
            return _complain(f"mim {name}: no package '{error.name}': {remedy}", COULD_NOT_RUN)
        traceback.print_exc()
        return COULD_NOT_RUN


def _once(name: str, words: list[str]) -> int:
    # Help must not wait for hydra.
    from mim.config.compose import compose

    command = compose(name, words)
    _silence_libraries()
    return FUNCTIONS[name](command)


def _sweep(name: str, words: list[str]) -> int:
    """Train with every combination of the keys' values."""
    if name != "train":
        raise InputError("only 'mim train' goes through several values")
    from mim.cli.sweep import run_sweep
    from mim.config.sweeps import plan_sweep

    sweep = plan_sweep([word for word in words if word not in MULTIRUN])
    _silence_libraries()
    return commands.code(run_sweep(sweep), "runs failed", str(sweep.out))


def _complain(message: str, code: int) -> int:
    print(" ".join(message.split()), file=sys.stderr)
    return code


def _silence_libraries() -> None:
    """Keep libraries' remarks from users, in this process and in those it starts."""
    logging.disable(logging.INFO)
    if not sys.stderr.isatty():
        # The log of a batch job wants a progress line now and then, not ten a second.
        os.environ.setdefault("TQDM_MININTERVAL", "10")
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        os.environ.setdefault("PYTHONWARNINGS", "ignore")
