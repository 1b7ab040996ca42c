"""Go through the jobs of a sweep: each a ``mim train`` in a process of its own, one after the other.

A job that fails, runs out of memory or is killed costs only itself. The same command goes on where
a sweep was stopped: jobs that are done stay, the one under way goes on from its last checkpoint.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import BinaryIO

from tqdm import tqdm

from mim.config.sweeps import Job, Sweep
from mim.errors import InputError
from mim.schemas.folders import require_own, take_lock
from mim.schemas.sweep import LOG, PLAN, JobState, State, SweepPlan, read_plan, read_state

INTERRUPTED = 130
LONGEST_REASON = 300


def run_sweep(sweep: Sweep) -> int:
    """Train every job that is not done, or this array task's share of them.

    Returns:
        How many of them failed; ``job.json`` of each says why. A job that another process trains is
        left to it.

    Raises:
        InputError: the folder holds something else, or a sweep of other keys or fixed values.
        KeyboardInterrupt: the sweep was stopped; its job was too, and can go on.
    """
    _begin(sweep)
    jobs = share(sweep.jobs, os.environ)
    waiting = [job for job in jobs if not is_done(sweep.out / job.name, job)]
    failed = elsewhere = 0
    with (
        _stoppable(),
        tqdm(total=len(jobs), initial=len(jobs) - len(waiting), unit="run") as bar,
    ):
        for job in waiting:
            bar.set_description(job.name)
            state = _train(sweep.out / job.name, job)
            if state.state is State.WAITING:
                elsewhere += 1
                bar.write(f"{job.name}: another process trains it", file=sys.stderr)
            elif state.state is State.FAILED:
                failed += 1
                bar.write(f"{job.name}: {state.reason}", file=sys.stderr)
            bar.update()
    done = len(jobs) - failed - elsewhere
    others = f", {elsewhere} left to another process" if elsewhere else ""
    print(f"{done} of {len(jobs)} runs are done{others}")
    return failed


def share(jobs: list[Job], environment: Mapping[str, str]) -> list[Job]:
    """The jobs of this process: all, or every n-th in one of n tasks of a SLURM job array.

    Raises:
        InputError: the array's numbers have gaps.
    """
    if "SLURM_ARRAY_TASK_ID" not in environment:
        return jobs
    at, low, high, step, count = (
        int(environment[f"SLURM_ARRAY_TASK_{name}"])
        for name in ("ID", "MIN", "MAX", "STEP", "COUNT")
    )
    if (high - low) // step + 1 != count:
        raise InputError("-m: the job array's numbers have gaps; give a range, as in --array=0-15")
    return jobs[(at - low) // step :: count]


def is_done(run: Path, job: Job) -> bool:
    """Whether a job ended well, by the values that it would be started with now."""
    state = read_state(run)
    ended = state.state is State.DONE and state.settings == job.settings
    return ended and (run / "run.json").is_file()


def _begin(sweep: Sweep) -> None:
    """Write the plan; jobs of an earlier one with other values of the same keys stay in it."""
    require_own(sweep.out, PLAN)
    plan = sweep.plan
    if (sweep.out / PLAN).exists():
        before = read_plan(sweep.out)
        _require_same(sweep.out, before, plan)
        plan = replace(plan, jobs=before.jobs | plan.jobs)
    plan.write(sweep.out)


def _require_same(out: Path, before: SweepPlan, now: SweepPlan) -> None:
    if before.keys != now.keys:
        raise InputError(
            f"{out}: holds a sweep over {', '.join(before.keys)}, not over "
            f"{', '.join(now.keys)}; choose another out"
        )
    if other := sorted({*before.fixed} ^ {*now.fixed}):
        keys = dict.fromkeys(word.partition("=")[0] for word in other)
        raise InputError(f"{out}: holds a sweep with other {', '.join(keys)}; choose another out")


def _train(run: Path, job: Job) -> JobState:
    """How it ended, here or, meanwhile, in another process; waiting: another one trains it."""
    run.mkdir(exist_ok=True)
    began = perf_counter()
    with (run / LOG).open("ab") as log:
        if not take_lock(log.fileno()):
            return JobState()
        if is_done(run, job):
            return read_state(run)
        JobState(settings=job.settings).write(run)
        start = log.tell()
        code = _in_process(["train", *job.overrides], log)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        state = JobState(
            State.FAILED if code else State.DONE,
            _reason(code, (run / LOG).read_bytes()[start:]) if code else None,
            round(perf_counter() - began, 1),
            job.settings,
        )
        state.write(run)
        return state


def _in_process(words: list[str], log: BinaryIO) -> int:
    """Exit code of a mim of its own, which ends when this process does; less than 0: of a signal."""
    # Each job is one process by itself, whatever the batch job around it was started with.
    environment = {name: value for name, value in os.environ.items() if name != "SLURM_NTASKS"}
    with subprocess.Popen(
        [sys.executable, "-m", "mim.cli.job", *words],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=environment,
        # Else Ctrl-C at the terminal would reach it twice, which means: at once.
        process_group=0,
    ) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGINT)
            process.wait()
            raise


def _reason(code: int, said: bytes) -> str:
    """Why a job failed: its own last words, or the signal that ended it."""
    if code < 0:
        name = signal.Signals(-code).name
        return f"killed by {name}" + ("; too little memory?" if name == "SIGKILL" else "")
    lines = said.decode(errors="replace").replace("\r", "\n").splitlines()
    words = [" ".join(line.split()) for line in lines if line.strip()]
    own = [line.removeprefix("mim train: ") for line in words if line.startswith("mim train: ")]
    return (own or words or [f"exit code {code}"])[-1][:LONGEST_REASON]


@contextmanager
def _stoppable() -> Iterator[None]:
    """Within it, SIGTERM stops a sweep as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
