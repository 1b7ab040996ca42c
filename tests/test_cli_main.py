"""Exit codes, help and one-line errors of the command line."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mim
from mim.cli import main as cli
from mim.cli.main import main
from mim.config.commands import COMMANDS
from mim.errors import InputError

ROOT = Path(mim.__file__).parent.parent


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mim", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def outcome(monkeypatch: pytest.MonkeyPatch, end: BaseException | int) -> int:
    """Exit code of ``mim synth`` when its function ends so."""

    def function(_: object) -> int:
        if isinstance(end, BaseException):
            raise end
        return end

    monkeypatch.setitem(cli.FUNCTIONS, "synth", function)
    monkeypatch.setattr(cli, "_silence_libraries", lambda: None)
    return main(["synth", "out=x"])


def test_every_command_has_a_function() -> None:
    assert list(cli.FUNCTIONS) == list(COMMANDS)


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_overview(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    said = capsys.readouterr()
    assert all(name in said.out for name in COMMANDS)
    assert not said.err


@pytest.mark.parametrize("words", [["train", "--help"], ["train", "epochs", "-h"]])
def test_help_of_a_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    said = capsys.readouterr().out
    assert said.startswith("Train a model")
    assert "train.precision=float32  (one of float32, bfloat16, float16)" in said
    assert "experiment=null  (one of cancer, demo, density, " in said
    assert "docs/models.md" in said, "how to add a task"
    assert "cohort=...  (text, must be given)" in said


def test_usage_tells_files_from_folders(capsys: pytest.CaptureFixture[str]) -> None:
    main(["pseudonymise", "--help"])
    assert "mim pseudonymise source=DIR out=DIR key=FILE" in capsys.readouterr().out


def test_help_needs_no_hydra() -> None:
    program = "import sys; from mim.cli.main import main; main(['--help']); main(['train', '-h'])"
    check = "print({'hydra', 'omegaconf', 'numpy'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; {check}"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout.endswith("\nset()\n")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("mim ")


def test_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian", "out=x"]) == 2
    assert capsys.readouterr().err == "mim: no such command 'trian'; did you mean train?\n"


def test_module_runs_as_the_console_script_does() -> None:
    done = run("index", "source=nowhere", "out=x")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "mim index: source: no such folder: nowhere\n"


@pytest.mark.parametrize("code", [0, 1])
def test_code_of_the_function_is_the_exit_code(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcome(monkeypatch, code) == code


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        (InputError("exams.csv: no column\n  'exam_id'"), 2, "exams.csv: no column 'exam_id'"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            2,
            "no package 'torch': pip install 'mim[train]'",
        ),
    ],
)
def test_error_for_users_is_one_line(
    end: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert outcome(monkeypatch, end) == code
    assert capsys.readouterr().err == f"mim synth: {said}\n"


@pytest.mark.parametrize("end", [ZeroDivisionError("x"), ModuleNotFoundError("x", name="mim.x")])
def test_bug_shows_its_traceback(
    end: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(monkeypatch, end) == 2
    assert "Traceback" in capsys.readouterr().err


def test_libraries_are_silenced_for_started_processes_too() -> None:
    program = (
        "import os, sys, warnings; from mim.cli.main import _silence_libraries;"
        "_silence_libraries(); warnings.warn('chatter');"
        "import subprocess;"
        "subprocess.run([sys.executable, '-c', \"import warnings; warnings.warn('chatter')\"])"
    )
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONWARNINGS"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, env=clean
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(monkeypatch, OSError(errno.ENOSPC, "full", "out/images")) == 2
    said = capsys.readouterr().err
    assert said == (
        "mim synth: No space left on device (out/images); "
        "put that right and run the command again\n"
    )
    assert outcome(monkeypatch, OSError("a fault of ours")) == 2
    assert "Traceback" in capsys.readouterr().err
