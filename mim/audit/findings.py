"""A finding: which check, how often, what it means, and some of what it was found in."""

from dataclasses import dataclass

import polars as pl

from mim.audit.meanings import MEANINGS
from mim.vocab import Severity


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        check: a key of ``MEANINGS``.
        count: women, exams, images or pairs that it concerns; at least 1.
        detail: what is particular to this cohort, a sentence or nothing.
        examples: pseudonyms; two of them with a space between are a pair.
    """

    check: str
    count: int
    detail: str = ""
    examples: tuple[str, ...] = ()

    @property
    def severity(self) -> Severity:
        """How much the check matters."""
        return MEANINGS[self.check].severity

    @property
    def sentence(self) -> str:
        """What was found, what it means and what to do."""
        meaning = MEANINGS[self.check]
        return " ".join(filter(None, (self.detail, meaning.what, meaning.remedy)))


def found(check: str, where: pl.Series, most: int, detail: str = "") -> list[Finding]:
    """A finding with ``most`` of its examples at most, the first by name; none where there are none."""
    if where.is_empty():
        return []
    examples = where.unique().sort().head(most).to_list()
    return [Finding(check, len(where), detail, tuple(examples))]
