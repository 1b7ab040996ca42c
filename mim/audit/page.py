"""The page of an audit: what is wrong, and what the cohort is made of. One file, no network."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from mim.audit.balance import LEAST_CHANCE, LEAST_RATIO
from mim.audit.charts import Whisker, attrition_svg, gaps_svg, whiskers_svg
from mim.audit.facts import GAP_MONTHS, MOST_MONTHS
from mim.audit.findings import Finding
from mim.audit.meanings import MEANINGS, Meaning
from mim.audit.pictures import Pair
from mim.audit.shortcuts import LEAST_AUC
from mim.evaluate.attrition import Step
from mim.vocab import Severity, maker_name

AXES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
"""Where the axis of a picture of shares may end."""

MOST_SITES = 40
"""Sites in the picture, the largest; the table has all."""

Row = Mapping[str, Any]


def audit_page(
    facts: Mapping[str, Any],
    findings: Sequence[Finding],
    steps: Sequence[Step],
    pairs: Sequence[Pair],
) -> str:
    """The page as HTML. ``facts``: what ``audit.json`` holds; ``findings``: problems first."""
    problems = sum(finding.severity == Severity.PROBLEM for finding in findings)
    shares = facts["shares"]
    return _template().render(
        facts,
        groups=_by_check(findings),
        problems=problems,
        warnings=len(findings) - problems,
        steps=steps,
        pairs=pairs,
        attrition_chart=attrition_svg(steps),
        maker_chart=_shares_chart(shares["maker and split"], "maker"),
        site_chart=_shares_chart(_largest(shares["site"]), "site"),
        most_sites=MOST_SITES,
        shortcut_chart=_shortcut_chart(facts["shortcuts"]),
        gaps_chart=facts["gaps"] and gaps_svg(facts["gaps"], GAP_MONTHS),
        gap_months=GAP_MONTHS,
        most_months=MOST_MONTHS,
        least_auc=LEAST_AUC,
        least_ratio=LEAST_RATIO,
        least_chance=LEAST_CHANCE,
    )


class Group(NamedTuple):
    """Findings of one check, which say one thing of several makers or sites."""

    check: str
    meaning: Meaning
    number: int
    details: list[str]
    examples: list[str]


def _by_check(findings: Sequence[Finding]) -> list[Group]:
    checks = dict.fromkeys(finding.check for finding in findings)
    together = {check: [f for f in findings if f.check == check] for check in checks}
    return [
        Group(
            check,
            MEANINGS[check],
            sum(finding.count for finding in them),
            [finding.detail for finding in them if finding.detail],
            [example for finding in them for example in finding.examples],
        )
        for check, them in together.items()
    ]


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(n="{:,}".format, percent=_percent, maker=maker_name, share=_share)
    text = files("mim.audit").joinpath("page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(text)


def _shares_chart(rows: Sequence[Row], what: str) -> Markup | None:
    """Shares of exams with cancer, a line for each group in which any exam is known."""
    whiskers = [
        Whisker(
            _name(row, what),
            row["share"],
            row["low"],
            row["high"],
            f"{row['cancers']:,} of {row['known']:,}",
        )
        for row in rows
        if row["known"]
    ]
    if not whiskers:
        return None
    widest = max(whisker.high for whisker in whiskers)
    # A group of three exams has an interval from 0 to 1, which would press all others together.
    needed = min(widest, 4 * max(whisker.value for whisker in whiskers) or widest)
    end = next(end for end in AXES if end >= min(needed, 1.0))
    all_of_them = sum(row["cancers"] for row in rows) / sum(row["known"] for row in rows)
    summary = f"Share of exams with cancer by {what}; the table holds the numbers."
    return whiskers_svg(whiskers, (0, end), (all_of_them,), summary)


def _name(row: Row, what: str) -> str:
    if what == "maker":
        return f"{maker_name(row['maker'])}, {row['split']}"
    return row["site"] or "site unknown"


def _largest(sites: Sequence[Row]) -> list[Row]:
    return sorted(sites, key=lambda row: -row["exams"])[:MOST_SITES]


def _shortcut_chart(worths: Sequence[Row]) -> Markup | None:
    rows = [
        Whisker(
            worth["name"],
            worth["auc"],
            worth["low"],
            worth["high"],
            f"{worth['auc']:.2f} ({worth['low']:.2f} to {worth['high']:.2f})",
        )
        for worth in worths
        if worth["auc"] is not None
    ]
    summary = "AUC over test women of what is not in the breast; the table holds the numbers."
    return whiskers_svg(rows, (0.4, 1.0), (0.5, LEAST_AUC), summary) if rows else None


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}\N{NO-BREAK SPACE}%" if whole else "-"


def _share(row: Row, unit: str = "") -> str:
    """A share with its interval, such as "0.61 % (0.55 to 0.68)"."""
    if row[f"{unit}share"] is None:
        return "-"
    share, low, high = (100 * row[f"{unit}{name}"] for name in ("share", "low", "high"))
    digits = 2 if share < 10 else 1
    return f"{share:.{digits}f}\N{NO-BREAK SPACE}% ({low:.{digits}f} to {high:.{digits}f})"
