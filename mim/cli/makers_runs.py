"""The runs of a sweep over makers left out: which methods they are of, and which are missing."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mim.data.settings import CHANGES_NOTHING
from mim.errors import InputError
from mim.evaluate.makers_table import Missing
from mim.schemas.sweep import PLAN, State, read_plan, read_state
from mim.train.card import RunCard
from mim.train.checkpoints import BEST

LEFT_OUT, SEED, METHOD = "data.leave_out_maker", "train.seed", "method"
NOT_A_METHOD = {LEFT_OUT, SEED, *(f"data.{name}" for name in CHANGES_NOTHING)}
"""Settings in which runs of one method may differ."""

OWN_THRESHOLDS = "own thresholds"
"""How the method of a run ends whose thresholds alone were fitted: its net is that of the run before."""

PLAIN = "plain"
"""What a method is called that sets nothing."""

ALIKE = {"cohort": "cohort", "cache": "cache", "fingerprint": "recipe", "women": "split"}
"""Fields of ``run.json`` that all runs must share, and what they are."""

Plan = Mapping[str, Mapping[str, Any]]
"""Swept values of each job, by its name."""

Kind = frozenset[tuple[str, str]]
"""Settings that make a method."""


@dataclass(frozen=True)
class SweepRun:
    """One finished run of a sweep.

    Attributes:
        folder: of the run.
        card: of it.
        method: how it was trained.
        parent: of a run whose normalisation was fitted afterwards, the method of the run before.
        left_out: the maker it has not seen; None: it has seen all.
        seed: of its training.
    """

    folder: Path
    card: RunCard
    method: str
    parent: str | None
    left_out: str | None
    seed: int

    @property
    def key(self) -> tuple[str, str | None, int]:
        """What tells it from all others."""
        return self.method, self.left_out, self.seed


def read_sweep(folder: Path) -> tuple[list[SweepRun], list[Missing]]:
    """The finished runs below a folder, the methods in their order, and those that are missing.

    Whether ``mim train -m`` wrote them or several commands. Runs of one method have all settings
    alike but the maker left out, the seed and the loader's.

    Raises:
        InputError: there is none, or they are of several cohorts, caches or splits.
    """
    plan = read_plan(folder).jobs if (folder / PLAN).is_file() else {}
    # A name with a dot before it is that of a run being written.
    others = {path.parent.name for path in folder.glob("[!.]*/run.json")} - set(plan)
    names = [*plan, *sorted(others, key=_in_order)]
    cards = {n: RunCard.read(folder / n) for n in names if (folder / n / "run.json").is_file()}
    unfinished = {name: why for name in names if (why := _unfinished(folder / name, name in plan))}
    finished = {name: card for name, card in cards.items() if name not in unfinished}
    if not finished:
        raise InputError(
            f"{folder}: no finished run in a folder below it; give the folder of a sweep that "
            "'mim train -m' wrote"
        )
    _require_alike(folder, finished)
    labels = _labels(cards, plan)
    runs, missing = _told_apart(folder, finished, labels)
    for name, why in unfinished.items():
        missing.append(_as_planned(name, why, plan, cards, labels))
    return _in_their_order(runs), [*missing, *_not_there(runs, missing)]


def _unfinished(folder: Path, planned: bool) -> str | None:
    """Why a folder holds no run that can be scored."""
    state = read_state(folder)
    if state.state is State.FAILED:
        said = without_places(state.reason or "no reason known", [folder.parent])
        return f"failed: {said}"
    # What training writes last is the only sign of its end where no job is kept.
    ended = planned or any((folder / "scores").glob("validation-*.parquet"))
    if not ended or (planned and state.state is not State.DONE):
        return "not trained to its end yet"
    has_run = (folder / "run.json").is_file() and (folder / "checkpoints" / BEST).is_file()
    return None if has_run else "no checkpoint"


def without_places(words: str, folders: Sequence[Path]) -> str:
    """Words in which a path is its last part alone: a page tells nobody where files lie.

    Args:
        words: any.
        folders: known ones, which may have spaces in their names.
    """
    for folder in folders:
        words = words.replace(f"{folder}/", "") if folder.name else words
    return re.sub(r"(?<![\w.])/(?:[^\s/:;'\"]+/)+", "", words)


def _in_order(name: str) -> list[tuple[int, str]]:
    """Names by their letters, with numbers within them by size."""
    parts = re.findall(r"\d+|\D+", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _require_alike(folder: Path, cards: Mapping[str, RunCard]) -> None:
    first, *others = cards
    for name in others:
        for field, what in ALIKE.items():
            if getattr(cards[first], field) != getattr(cards[name], field):
                raise InputError(
                    f"{folder}: {first} and {name} are of another {what}, by '{field}' in their "
                    "run.json; give a folder whose runs share cohort, cache and split"
                )


def _labels(cards: Mapping[str, RunCard], plan: Plan) -> dict[str, str]:
    """Names of the runs' methods: the plan's, or the settings that differ."""
    kinds: dict[str, Kind] = {name: frozenset(_making(c.settings)) for name, c in cards.items()}
    shared = frozenset.intersection(*kinds.values())
    given: dict[Kind, str] = {}
    for name, kind in kinds.items():
        if METHOD in plan.get(name, {}):
            given.setdefault(kind, str(plan[name][METHOD] or PLAIN))
    found = {}
    for name, kind in kinds.items():
        words = ", ".join(f"{key}={value}" for key, value in sorted(kind - shared))
        label = given.get(kind)
        if label is not None and [*given.values()].count(label) > 1:
            label = f"{label}, {words}"
        found[name] = label or words or PLAIN
    return found


def _making(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Settings that make a method, by their dotted keys."""
    for name, value in values.items():
        key = prefix + name
        if isinstance(value, Mapping):
            yield from _making(value, f"{key}.")
        elif key not in NOT_A_METHOD:
            yield key, str(value)


def _told_apart(
    folder: Path, cards: Mapping[str, RunCard], labels: Mapping[str, str]
) -> tuple[list[SweepRun], list[Missing]]:
    """The runs, and those that stand where another does."""
    runs: dict[tuple[str, str | None, int], SweepRun] = {}
    missing = []
    for name, card in cards.items():
        run = _run(folder / name, card, labels[name])
        if run.parent is not None and (card.renormalised or {})["maker"] != run.left_out:
            why = f"{name} was fitted to another maker than it left out"
            missing.append(Missing(*run.key, why))
        elif run.key in runs:
            why = f"{name} is of the same method, maker and seed as {runs[run.key].folder.name}"
            missing.append(Missing(*run.key, why))
        else:
            runs[run.key] = run
    return [*runs.values()], missing


def _run(folder: Path, card: RunCard, label: str) -> SweepRun:
    left_out, seed = card.settings["data"].get("leave_out_maker"), card.settings["train"]["seed"]
    if card.renormalised is None:
        return SweepRun(folder, card, label, None, left_out, seed)
    share = card.renormalised["share"]
    part = "" if share == 1 else f" by {share:g}"
    how = f"renormalised{part}" if share else OWN_THRESHOLDS
    return SweepRun(folder, card, f"{label}, {how}", label, left_out, seed)


def _as_planned(
    name: str, why: str, plan: Plan, cards: Mapping[str, RunCard], labels: Mapping[str, str]
) -> Missing:
    """A run that is not finished, by its card or by the plan."""
    if name in cards:
        run = _run(Path(name), cards[name], labels[name])
        return Missing(*run.key, why)
    values = plan[name]
    alike = (n for n in cards if n in plan and _method_of(plan[n]) == _method_of(values))
    words = ", ".join(f"{key}={value}" for key, value in _method_of(values).items())
    like = next(alike, None)
    first = next(iter(cards.values())).settings
    return Missing(
        labels[like] if like is not None else str(values.get(METHOD) or words or PLAIN),
        values.get(LEFT_OUT, first["data"].get("leave_out_maker")),
        values.get(SEED, first["train"]["seed"]),
        why,
    )


def _method_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The swept values that make a method."""
    return {key: value for key, value in values.items() if key not in NOT_A_METHOD}


def _not_there(runs: Sequence[SweepRun], missing: Sequence[Missing]) -> list[Missing]:
    """Of methods that were trained, runs of the sweep's makers and seeds that nobody has planned."""
    there = {run.key for run in runs} | {(m.method, m.left_out, m.seed) for m in missing}
    methods = dict.fromkeys(run.method for run in runs if run.parent is None)
    makers = dict.fromkeys([None, *(run.left_out for run in runs)])
    seeds = sorted({run.seed for run in runs})
    return [
        Missing(method, maker, seed, "not in the sweep")
        for method in methods
        for maker in makers
        for seed in seeds
        if (method, maker, seed) not in there
    ]


def _in_their_order(runs: Sequence[SweepRun]) -> list[SweepRun]:
    """Methods as they first come; one fitted afterwards beside that which it is made of."""
    order = [*dict.fromkeys(run.parent or run.method for run in runs)]
    return sorted(runs, key=lambda run: (order.index(run.parent or run.method), run.method))
