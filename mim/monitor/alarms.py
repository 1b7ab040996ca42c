"""Alarms in plain words, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

from mim.monitor.watch import SELECTED, WHOLE_TIME, Look, NewMachine, order
from mim.schemas.monitored import SCORE, Level
from mim.vocab import maker_name

NAMES = {
    SELECTED: "Share of exams selected",
    SCORE: "Exam score",
    "dark_grey": "Dark grey levels",
    "middle_grey": "Middle grey levels",
    "bright_grey": "Bright grey levels",
    "breast_share": "Share of the picture that is breast",
    "fine_detail": "Fine detail and noise",
    "spacing_mm": "Pixel spacing, mm",
}
"""How measures are called on the page."""

WITHIN = 0.25
"""A threshold is worth choosing where the share it selects is known to within this share of itself."""


class Kind(StrEnum):
    """What an alarm is about."""

    NEW_SOFTWARE = "new software"
    SELECTION = "selection rate"
    SCORES = "scores"
    INPUTS = "inputs"


@dataclass(frozen=True)
class Alarm:
    """One alarm of one machine.

    Attributes:
        kind: what it is about.
        maker: value of ``Maker``.
        machine: model and software version; empty: unknown.
        period: such as "2024-03", or the first day of new software.
        measure: which; missing for new software.
        selection_rate: where it is about a share selected.
        exams: of the machine in the period.
        what: it says.
    """

    kind: Kind
    maker: str
    machine: str
    period: str
    measure: str | None
    selection_rate: float | None
    exams: int
    what: str


def alarms_of(new: Sequence[NewMachine], looks: Sequence[Look]) -> list[Alarm]:
    """New software first, then shares selected, scores and inputs; each by machine and time."""
    return [
        *map(_of_new, new),
        *(_of_look(look) for look in sorted(looks, key=order) if look.alarm),
    ]


def machine_name(maker: str, machine: str) -> str:
    """A machine as it is written in running text."""
    return f"{maker_name(maker)}, {machine or 'model and software unknown'}"


def exams_for(rate: float) -> int:
    """Exams, rounded up to hundreds, of which a threshold's selection rate is known to a quarter.

    Half the width of the 95 % interval of a share (normal law) is then ``WITHIN`` of it.
    """
    return 100 * ceil((1.96 / WITHIN) ** 2 * (1 - rate) / rate / 100)


def remedies(rate: float) -> dict[Kind, str]:
    """What to do about each kind; ``rate`` is the lowest selection rate of the bundle."""
    again = (
        f"Thresholds for it need its own exams: take some {exams_for(rate):,} into the cohort (mim "
        "index, cohort, cache), go on training from this run (mim train train.start_from=RUN) and "
        "export again (mim export)."
    )
    settings = "Check the mammograph's settings, and its updates, with its maker."
    return {
        Kind.NEW_SOFTWARE: (
            "Ask its maker what the update changed in the pictures. Until thresholds were chosen on "
            f"its exams, do not trust the share that is selected. {again}"
        ),
        Kind.SELECTION: f"{settings} Ask also whether other women are screened than before. {again}",
        Kind.SCORES: f"{settings} Look at the inputs below: where none has moved, ask whether other "
        f"women are screened than before. {again}",
        Kind.INPUTS: f"{settings} Compare pictures before and after (inputs-1.png and so on of mim "
        "predict).",
    }


def _of_new(found: NewMachine) -> Alarm:
    compared = {
        Level.MACHINE: "",
        Level.MAKER: "Its exams are compared with those of its maker's other machines.",
        Level.ALL: "Its maker has too few reference exams too; only the share selected is judged.",
    }
    what = (
        f"The reference has no exam of this model and software. {found.exams:,} of these exams are "
        f"by it, the first of {found.first}. {compared[found.level]}"
    )
    about = (found.maker, found.machine, found.first)
    return Alarm(Kind.NEW_SOFTWARE, *about, None, None, found.exams, what)


def _of_look(look: Look) -> Alarm:
    if look.measure == SELECTED:
        kind = Kind.SELECTION
    else:
        kind = Kind.SCORES if look.measure == SCORE else Kind.INPUTS
    return Alarm(
        kind,
        look.maker,
        look.machine,
        look.period,
        look.measure,
        look.selection_rate,
        look.exams,
        in_words(look),
    )


def in_words(look: Look) -> str:
    """What one comparison found, as a sentence."""
    when = "over the whole time" if look.period == WHOLE_TIME else f"in {look.period}"
    low, expected, high = look.expected
    if look.selection_rate is not None:
        return (
            f"{look.middle:.1%} of {look.exams:,} exams selected {when} ({look.low:.1%} to "
            f"{look.high:.1%}) at the rate of {look.selection_rate:.1%}; by the reference "
            f"{expected:.1%} ({low:.1%} to {high:.1%}) would be."
        )
    return (
        f"{NAMES[look.measure]}: median {look.middle:.3g} {when}, {expected:.3g} in the reference "
        f"({look.level}); population stability index {look.index:.2f} of {look.exams:,} exams."
    )
