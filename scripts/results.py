"""What each task learns on made-up programmes, against trivial baselines; writes docs/results.md.

    .venv/bin/python scripts/results.py out=FOLDER

Everything goes through the commands that users have. A part that is done already is not done again,
so a run that was stopped goes on. On two cores it takes about an hour.
"""

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import polars as pl
import results_figures as figures

from mim.schemas.table import write_json, write_whole

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "results.md"
REMARKS = "## What to think of it"
"""The chapter that a person writes; it stays when the page is made again."""


SMALL = ("recipe.height=192", "recipe.width=96")
NET = (
    "data.batch_size=8",
    "model.encoder.name=mobilenetv3_small_050",
    "model.fusion.width=64",
    "model.fusion.layers=1",
    "train.learning_rate=3e-3",
    "train.accelerator=cpu",
    "train.threads=1",
    "train.wandb=off",
)

PAIR = (*NET, "model.fusion.kind=pair", "data.cases_per_batch=4", "train.epochs=12")


@dataclass(frozen=True)
class Programme:
    """A made-up programme: its keys for ``mim synth`` and ``mim cohort``."""

    synth: tuple[str, ...]
    cohort: tuple[str, ...] = ("splits.validation=0.1", "splits.test=0.5")


@dataclass(frozen=True)
class Run:
    """One training: its programme, its keys, and which view alone it sees, if one."""

    programme: str
    keys: tuple[str, ...]
    only_view: str | None = None
    seeds: tuple[int, ...] = field(default=(1,))


PROGRAMMES = {
    "everyday": Programme(("women=1200", "rounds=2", "seed=11", "shrink=8", "cancer_share=0.5")),
    "lookalikes": Programme(
        (
            "women=3000",
            "rounds=2",
            "seed=12",
            "shrink=8",
            "cancer_share=0.6",
            "lookalike_share=1.0",
        )
    ),
}

RUNS = {
    "all tasks": Run(
        "everyday",
        (
            *NET,
            "tasks.risk.learn=true",
            "tasks.density.learn=true",
            "tasks.quality.learn=true",
            "data.cases_per_batch=4",
            "train.epochs=14",
        ),
    ),
    "four views": Run(
        "everyday", (*NET, "data.cases_per_batch=4", "data.priors=0", "train.epochs=12")
    ),
    "one view": Run(
        "everyday",
        (*NET, "data.cases_per_batch=4", "data.priors=0", "train.epochs=12"),
        only_view="CC",
    ),
    "no priors": Run(
        "lookalikes",
        (*PAIR, "data.priors=0"),
    ),
    "priors": Run(
        "lookalikes",
        (*PAIR, "data.drop_priors=0.1"),
    ),
    "aligned priors": Run(
        "lookalikes",
        (*PAIR, "data.drop_priors=0.1", "model.fusion.change_maps=true", "data.align_priors=true"),
    ),
}


def main(out: Path) -> None:
    """Make what is missing in ``out``, measure, and write the page."""
    seconds: dict[str, float] = {}
    for name, programme in PROGRAMMES.items():
        seconds |= prepare(out / name, programme)
    for name, run in RUNS.items():
        for seed in run.seeds:
            seconds |= train(out, name, run, seed)
    facts = {
        "machine": f"{os.cpu_count()} cores of {platform.machine()}, no GPU, Python {platform.python_version()}",
        "programmes": {name: asdict(programme) for name, programme in PROGRAMMES.items()},
        "runs": {name: asdict(run) for name, run in RUNS.items()},
        "seconds": remembered(out / "seconds.json", seconds),
        "figures": figures.measure(out, list(RUNS)),
    }
    write_json(out / "results.json", facts)
    remarks = REMARKS + PAGE.read_text().partition(REMARKS)[2]
    write_whole(PAGE, figures.page(facts, remarks).encode())
    print(f"figures in {PAGE}, runs in {out}")


def prepare(folder: Path, programme: Programme) -> dict[str, float]:
    """Programme, index, cohort and cache."""
    cohort = folder / "cohort"
    steps = {
        "programme": ["synth", *programme.synth, f"out={folder / 'programme'}"],
        "index": ["index", f"source={folder / 'programme' / 'dicom'}", f"out={folder / 'index'}"],
        "cohort": [
            "cohort",
            f"index={folder / 'index'}",
            f"registry={folder / 'programme' / 'registry'}",
            f"out={cohort}",
            *programme.cohort,
        ],
        "cache": ["cache", f"cohort={cohort}", f"out={folder / 'cache'}", *SMALL],
    }
    return {
        f"{folder.name}: {name}": once(folder / f"{name}.done", step)
        for name, step in steps.items()
    }


def train(out: Path, name: str, run: Run, seed: int) -> dict[str, float]:
    """One run and its test scores."""
    folder = out / run.programme
    cohort = folder / "cohort"
    if run.only_view is not None:
        cohort = one_view(cohort, out / f"cohort {run.only_view}", run.only_view)
    target = figures.run_folder(out, name, seed)
    cache = next((folder / "cache").glob("*/cache.json")).parent
    step = [
        "train",
        f"cohort={cohort}",
        f"cache={cache}",
        f"out={target}",
        f"train.seed={seed}",
        *run.keys,
    ]
    taken = once(target.with_suffix(".trained"), step)
    once(target.with_suffix(".evaluated"), ["evaluate", f"run={target}", f"out={target}-report"])
    return {f"{name}, seed {seed}: training": taken}


def one_view(cohort: Path, copy: Path, view: str) -> Path:
    """A cohort of which each breast has one view."""
    if not (copy / "cohort.json").exists():
        copy.mkdir(parents=True, exist_ok=True)
        for path in cohort.iterdir():
            if path.is_file() and path.name != "cohort.json":
                write_whole(copy / path.name, path.read_bytes())
        images = pl.read_parquet(cohort / "images.parquet").filter(pl.col("view") == view)
        images.write_parquet(copy / "images.parquet")
        write_whole(copy / "cohort.json", (cohort / "cohort.json").read_bytes())
    return copy


def once(mark: Path, words: list[str]) -> float:
    """Run a command of mim unless it is done; seconds taken, 0 if it was done already."""
    if mark.exists():
        return 0.0
    print("mim", *words[:1], f"-> {mark.stem}", flush=True)
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "mim", *words], check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"mim {words[0]} could not run")
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    return time.perf_counter() - begun


def remembered(path: Path, seconds: dict[str, float]) -> dict[str, float]:
    """Seconds of this and earlier invocations."""
    before = json.loads(path.read_text()) if path.exists() else {}
    together = before | {name: round(taken, 1) for name, taken in seconds.items() if taken}
    write_json(path, together)
    return together


if __name__ == "__main__":
    words = dict(word.partition("=")[::2] for word in sys.argv[1:])
    if set(words) != {"out"}:
        raise SystemExit("usage: scripts/results.py out=FOLDER")
    main(Path(words["out"]))
