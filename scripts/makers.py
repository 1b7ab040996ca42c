"""What a maker never seen costs, by training method, on a made-up programme; writes docs/makers.md.

    .venv/bin/python scripts/makers.py out=FOLDER

Everything goes through the commands that users have. A part that is done already is not done again,
so a run that was stopped goes on. On two cores it takes five to six hours.
"""

import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import makers_page as page
from commands import once

from mim.schemas.table import write_whole
from mim.vocab import Maker

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "makers.md"
PICTURE = PAGE.with_suffix(".png")

PROGRAMME = (
    *("women=9000", "rounds=1", "shrink=14", "seed=22"),
    *("cancer_share=0.35", "maker_gap=2"),
)
SPLITS = ("splits.validation=0.22", "splits.test=0.55", "splits.best_of=50")
SMALL = ("recipe.height=128", "recipe.width=64")
NET = ("experiment=leave_maker_out_demo", "train.epochs=8", "train.learning_rate=2e-3")

SEEDS = {
    1: (
        *("plain", "landmarks", "landmarks_mixstyle", "default", "adversary", "group_dro"),
        *("coral", "tissue", "histogram", "mixstyle", "style"),
    ),
    2: ("plain", "landmarks", "landmarks_mixstyle"),
    3: ("plain", "landmarks", "landmarks_mixstyle"),
}
"""Methods by seed: what is found of one seed alone is said to be so."""

MAKERS = (Maker.SIEMENS, Maker.HOLOGIC, Maker.GE, Maker.PHILIPS)
FITTED = {"plain": (0, 1), "landmarks": (0, 1)}
"""Shares of new statistics with which runs are fitted to the maker left out, by method."""


def main(out: Path) -> None:
    """Make what is missing in ``out``, measure, and write the page."""
    prepare(out)
    for seed, methods in SEEDS.items():
        train(out, methods, seed)
        for method in FITTED:
            for maker in MAKERS:
                renormalise(out, method, maker, seed)
    report = out / "report"
    once(out / "report.done", ["evaluate", f"sweep={out / 'sweep'}", f"out={report}"])
    facts = {
        "machine": f"{os.cpu_count()} cores of {platform.machine()}, no GPU, Python {platform.python_version()}",
        "programme": PROGRAMME,
        "keys": (*SPLITS, *SMALL, *NET),
    }
    page.draw(report, PICTURE)
    written = page.page(facts, report, PAGE.read_text() if PAGE.exists() else "")
    write_whole(PAGE, written.encode())
    print(f"figures in {PAGE}, runs in {out}")


def prepare(out: Path) -> None:
    """Programme, index, cohort and cache."""
    programme = out / "programme"
    once(out / "programme.done", ["synth", *PROGRAMME, f"out={programme}"])
    once(out / "index.done", ["index", f"source={programme / 'dicom'}", f"out={out / 'index'}"])
    once(
        out / "cohort.done",
        [
            *("cohort", f"index={out / 'index'}", f"registry={programme / 'registry'}"),
            *(f"out={out / 'cohort'}", *SPLITS),
        ],
    )
    once(
        out / "cache.done",
        ["cache", f"cohort={out / 'cohort'}", f"out={out / 'cache'}", *SMALL],
    )


def train(out: Path, methods: Sequence[str], seed: int) -> None:
    """Methods with no maker left out, and with each."""
    cache = next((out / "cache").glob("*/cache.json")).parent
    makers = ",".join(["null", *MAKERS])
    words = [
        *("train", "-m", f"cohort={out / 'cohort'}", f"cache={cache}", f"out={out / 'sweep'}"),
        *NET,
        *(f"method={','.join(methods)}", f"data.leave_out_maker={makers}", f"train.seed={seed}"),
    ]
    once(out / f"seed {seed}.done", words, tasks=os.cpu_count() or 1)


def renormalise(out: Path, method: str, maker: Maker, seed: int) -> None:
    """A run with the maker left out, fitted to that maker's exams without their labels."""
    name = f"method={method},leave_out_maker={maker},seed={seed}"
    for share in FITTED[method]:
        target = f"fitted={share},{name}"
        words = [f"run='{out / 'sweep' / name}'", f"out='{out / 'sweep' / target}'"]
        once(out / f"{target}.done", ["renormalise", *words, f"maker={maker}", f"share={share}"])


if __name__ == "__main__":
    given = dict(word.partition("=")[::2] for word in sys.argv[1:])
    if set(given) != {"out"}:
        raise SystemExit("usage: scripts/makers.py out=FOLDER")
    main(Path(given["out"]))
