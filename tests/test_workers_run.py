"""Whoever does the work, and whoever dies of it: every task comes back, and with the same result."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mim.errors import InputError
from mim.workers.run import run
from mim.workers.settings import WorkersSettings


@dataclass(frozen=True)
class Words:
    """Words to be written backwards; some kill, always, once or before the first is in hand."""

    folder: Path
    words: tuple[str, ...]
    left_out: frozenset[str] = frozenset()

    @property
    def in_hand(self) -> Path:
        return self.folder / f".{self.words[0]}.in_hand"

    def without(self, item: str) -> "Words":
        return replace(self, left_out=self.left_out | {item})


def reverse(task: Words) -> list[str]:
    done = []
    if "unnamed" in task.words[0]:
        die()
    for word in task.words:
        task.in_hand.write_text(word)
        if word in task.left_out:
            done.append(f"({word})")
            continue
        if "raises" in word:
            raise ZeroDivisionError(word)
        if "deadly" in word or ("once" in word and first_time(task.folder / word)):
            die()
        done.append(word[::-1])
    task.in_hand.unlink()
    return done


def first_time(path: Path) -> bool:
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def results(tasks, workers) -> dict[tuple[str, ...], list[str]]:
    return {
        task.words: result for task, result in run(reverse, tasks, WorkersSettings(workers=workers))
    }


def test_processes_give_what_this_process_gives(tmp_path):
    tasks = [Words(tmp_path, (f"word-{n}", "other")) for n in range(30)]
    alone = results(tasks, 1)
    assert alone[("word-7", "other")] == ["7-drow", "rehto"]
    assert results(tasks, 2) == alone
    assert len(alone) == 30


def test_tasks_are_read_as_the_work_goes_on(tmp_path):
    drawn = 0

    def tasks() -> Iterator[Words]:
        nonlocal drawn
        for n in range(200):
            drawn += 1
            yield Words(tmp_path, (f"word-{n}",))

    work = run(reverse, tasks(), WorkersSettings(workers=2))
    for done, _ in enumerate(work, start=1):
        assert drawn <= done + 4
    assert done == 200


def test_a_death_costs_nobody_and_the_second_one_its_item(tmp_path):
    tasks = [
        Words(tmp_path, ("a", "once", "b")),
        Words(tmp_path, ("c", "deadly-1", "d", "deadly-2")),
        Words(tmp_path, ("deadly-3",)),
        Words(tmp_path, ("e", "f")),
    ]
    assert sorted(results(tasks, 2).values()) == [
        ["(deadly-3)"],
        ["a", "ecno", "b"],
        ["c", "(deadly-1)", "d", "(deadly-2)"],
        ["e", "f"],
    ]
    assert not list(tmp_path.glob(".*"))


def test_what_an_earlier_run_had_in_hand_is_not_blamed(tmp_path):
    task = Words(tmp_path, ("unnamed", "innocent"))
    task.in_hand.write_text("innocent")
    with pytest.raises(InputError, match="die before they begin their first item"):
        results([task], 2)


def test_an_item_that_kills_though_it_is_left_out_ends_the_work(tmp_path):
    with pytest.raises(InputError, match="names kills worker processes though"):
        results([Deaf(tmp_path, ("a", "deadly"))], 2)


class Deaf(Words):
    """Does not leave out what it is told to."""

    def without(self, item: str) -> Words:
        return self


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_ends_the_work(tmp_path, workers):
    tasks = [Words(tmp_path, ("a",)), Words(tmp_path, ("raises",))]
    with pytest.raises(ZeroDivisionError, match="raises"):
        results(tasks, workers)


SCRIPT = """
import os, sys, time
from pathlib import Path
from mim.workers.run import run
from mim.workers.settings import WorkersSettings
from test_workers_run import Words, first_then_sleep

folder = Path(sys.argv[1])
if __name__ == "__main__":
    tasks = (Words(folder, (str(n),)) for n in range(2))
    for task, _ in run(first_then_sleep, tasks, WorkersSettings(workers=2)):
        pass
"""


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_one_that_started_it(tmp_path, blow):
    """Neither after Ctrl-C, which ends it at once, nor after a kill that it cannot answer."""
    (tmp_path / "script.py").write_text(SCRIPT)
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py"), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while len(pids := list(tmp_path.glob("*.pid"))) < 2:
        assert parent.poll() is None
        time.sleep(0.02)
    time.sleep(0.1)  # now one process is idle, and one at work
    if blow is signal.SIGINT:
        os.killpg(parent.pid, blow)  # as a terminal does: all of them get it
    else:
        parent.send_signal(blow)
    begun = time.monotonic()
    _, said = parent.communicate(timeout=20)
    while any(alive(int(path.stem)) for path in pids):
        assert time.monotonic() - begun < 5
        time.sleep(0.02)
    if blow is signal.SIGINT:
        assert said.count("Traceback") == 1, said
        assert "KeyboardInterrupt" in said


def test_who_stops_reading_stops_the_work(tmp_path):
    """At once, though every process is busy."""
    tasks = (Words(tmp_path, (str(n),)) for n in range(1000))
    work = run(first_then_sleep, tasks, WorkersSettings(workers=2))
    _, child = next(work)
    while len(pids := [int(path.stem) for path in tmp_path.glob("*.pid")]) < 2:
        time.sleep(0.02)
    assert child in pids
    work.close()
    begun = time.monotonic()
    while any(alive(pid) for pid in pids):
        assert time.monotonic() - begun < 5
        time.sleep(0.02)


def first_then_sleep(task: Words) -> int:
    (task.folder / f"{os.getpid()}.pid").touch()
    if task.words != ("0",):
        time.sleep(60)
    return os.getpid()
