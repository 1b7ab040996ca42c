"""Two models on the same exams: what they can be compared in."""

from dataclasses import dataclass
from functools import cached_property

from mim.evaluate.bootstrap import Bools
from mim.evaluate.detection import Detection, Quantity, Selection
from mim.evaluate.differences import less
from mim.evaluate.figures import ALL, OWN_RATE, STORED_THRESHOLD
from mim.evaluate.measured import SCORE_RULE

NEARLY, FEW = 0.99, 3
"""The part of a rate that a model must reach, or to how many exams, to be compared at it: with a
tenth less it would seem to be less sensitive."""

COMPARED = {
    None: ("auc", "partial_auc"),
    OWN_RATE: ("sensitivity",),
    STORED_THRESHOLD: ("sensitivity", "specificity"),
}
"""What two models are compared in, by the rule of selection; by scores as by thresholds."""

Way = tuple[str | None, float | None]
"""Rule and rate of selection."""

Key = tuple[str, str, str | None, float | None]
"""What a quantity is: its name, the cancers looked for, rule and rate of selection."""


@dataclass(frozen=True)
class Pair:
    """Two models measured on the same rows, with the same draws of women.

    They are compared where both select what a rule wants. A model with scores 1 to 10 selects none of
    8.8 % of exams where more score 10; against another's 8.8 % it would look blind.
    """

    one: Detection
    other: Detection

    @property
    def name(self) -> str:
        """What a difference is of."""
        return less(self.one.model, self.other.model)

    @property
    def weighed(self) -> bool:
        """Whether rows count by the programme's prevalence."""
        return self.one.weighed

    @cached_property
    def _both(self) -> dict[Key, tuple[Quantity, Quantity]]:
        """What both were measured in: each one's quantity."""
        theirs = {key_of(quantity): quantity for quantity in self.other.quantities}
        return {
            key_of(mine): (mine, theirs[key_of(mine)])
            for mine in self.one.quantities
            if mine.name in _compared(key_of(mine)[2]) and key_of(mine) in theirs
        }

    @cached_property
    def _selections(self) -> dict[Way, tuple[Selection, Selection]]:
        """How each selects, by rule and rate."""
        chosen = {
            key_of(mine)[2:]: (mine.selection, theirs.selection)
            for mine, theirs in self._both.values()
        }
        return {way: (one, other) for way, (one, other) in chosen.items() if one and other}

    @cached_property
    def kept_from(self) -> dict[Way, list[str]]:
        """Models whose equal scores keep them from a selection, by rule and rate."""
        found: dict[Way, list[str]] = {}
        for way, selections in self._selections.items():
            for model, selection in zip((self.one, self.other), selections, strict=True):
                if _kept_from(model, selection):
                    found.setdefault(way, []).append(model.model)
        return found

    @cached_property
    def shared(self) -> dict[Key, tuple[Quantity, Quantity]]:
        """What is compared: each one's quantity."""
        return {key: both for key, both in self._both.items() if key[2:] not in self.kept_from}

    @cached_property
    def selected(self) -> dict[Way, tuple[Bools, Bools]]:
        """The rows ``[row]`` that each selects, by rule and rate."""
        return {
            way: (self.one.selected(mine), self.other.selected(theirs))
            for way, (mine, theirs) in self._selections.items()
            if way not in self.kept_from
        }


def key_of(quantity: Quantity) -> Key:
    """What a quantity is."""
    rule = quantity.selection
    way = (None, None) if rule is None else (rule.rule, rule.rate)
    return quantity.name, quantity.outcome, *way


def is_score_rule(rule: str | None) -> bool:
    """Whether a rule selects by the scores of a model that has few."""
    start, middle, _ = SCORE_RULE.split("{}")
    return rule is not None and rule.startswith(start) and middle in rule


def _compared(rule: str | None) -> tuple[str, ...]:
    return COMPARED.get(STORED_THRESHOLD if is_score_rule(rule) else rule, ())


def _kept_from(model: Detection, selection: Selection) -> bool:
    """Whether equal scores keep a model from selecting the share that a rule wants."""
    rows, rate = model.rows, selection.rate
    share = model.at(Quantity("share_selected", ALL, selection))[0]
    left = rows.score[~model.selected(selection)]
    lacking = (rate - share) * len(rows.score)
    if share >= NEARLY * rate or lacking <= FEW or not left.size:
        return False
    # Too few exams for the rate, or a rate of other exams, is not what equal scores do.
    equal = rows.score == left.max()
    return bool(equal.sum() > 1) and share + model.share_of(equal) > rate
