"""What a maker never seen costs, by training method, on a made-up programme; writes docs/makers.md.

    .venv/bin/python scripts/makers.py out=FOLDER

Everything goes through the commands that users have. A part that is done already is not done again,
so a run that was stopped goes on. On two cores it takes four to five hours.
"""

import os
import platform
import sys
from pathlib import Path

import makers_page as page
from commands import once, prepare, prepared

from mim.schemas.table import write_whole
from mim.vocab import Maker

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "makers.md"
PICTURE = PAGE.with_suffix(".png")

ALIKE = ("rounds=1", "shrink=14", "cancer_share=0.35")
START = ("women=6000", "seed=23", "maker_gap=0")
"""Another programme, whose makers look alike: a net that has learnt from it knows cancers and no
maker, as one does that starts from another collection's weights."""

PROGRAMME = ("women=9000", "seed=22", "maker_gap=2")
SPLITS = {
    "start": ("splits.validation=0.1", "splits.test=0.1"),
    "makers": ("splits.validation=0.22", "splits.test=0.55", "splits.best_of=50"),
}
SMALL = ("recipe.height=128", "recipe.width=64")
NET = ("experiment=leave_maker_out_demo",)
LONG = ("method=default", "train.epochs=12", "train.learning_rate=2e-3")
SHORT = ("train.epochs=4", "train.learning_rate=1e-3")
PREVALENCE = ("prevalence.screen_detected_per_1000=6", "prevalence.interval_per_1000=2")

METHODS = (
    *(
        "plain",
        "default",
        "style",
        "landmarks",
        "landmarks_style",
        "histogram",
        "tissue",
        "mixstyle",
    ),
    *("adversary", "coral", "mmd", "group_dro", "balanced"),
)
SEEDS = (1, 2, 3)
MAKERS = (Maker.SIEMENS, Maker.HOLOGIC, Maker.GE, Maker.PHILIPS)
FITTED = {"plain": (0, 1), "landmarks_style": (0, 1)}
"""Shares of new statistics with which runs are fitted to the maker left out, by method."""


def main(out: Path) -> None:
    """Make what is missing in ``out``, measure, and write the page."""
    prepare(out / "start", (*START, *ALIKE), SPLITS["start"], SMALL)
    prepare(out / "makers", (*PROGRAMME, *ALIKE), SPLITS["makers"], SMALL)
    words = ["train", *prepared(out / "start"), *NET, *LONG, f"out={out / 'start' / 'run'}"]
    once(out / "start" / "run.done", words)
    for seed in SEEDS:
        train(out, seed)
        for method in FITTED:
            for maker in MAKERS:
                renormalise(out, method, maker, seed)
    report = out / "report"
    words = ["evaluate", f"sweep={out / 'sweep'}", f"out={report}", *PREVALENCE]
    once(out / "report.done", words)
    facts = {
        "machine": f"{os.cpu_count()} cores of {platform.machine()}, no GPU, Python {platform.python_version()}",
        "start": (*START, *ALIKE, *SPLITS["start"], *SMALL, *NET, *LONG),
        "programme": (*PROGRAMME, *ALIKE),
        "keys": (*SPLITS["makers"], *SMALL, *NET, *SHORT),
        "prevalence": PREVALENCE,
    }
    page.draw(report, PICTURE)
    written = page.page(facts, report, PAGE.read_text() if PAGE.exists() else "")
    write_whole(PAGE, written.encode())
    print(f"figures in {PAGE}, runs in {out}")


def train(out: Path, seed: int) -> None:
    """Every method with no maker left out, and with each."""
    makers = ",".join(["null", *MAKERS])
    words = [
        *("train", "-m", *prepared(out / "makers"), f"out={out / 'sweep'}", *NET, *SHORT),
        f"train.start_from={out / 'start' / 'run'}",
        *(f"method={','.join(METHODS)}", f"data.leave_out_maker={makers}", f"train.seed={seed}"),
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
