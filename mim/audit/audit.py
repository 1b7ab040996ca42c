"""Audits: what would make a cohort's results untrue, looked for before anything is learnt from it.

An audit reads what ``mim cohort`` wrote, and a cache where one is given. It leaves
``findings.parquet``, ``audit.json`` and the page ``index.html``.
"""

from dataclasses import asdict
from pathlib import Path

import polars as pl

from mim import __version__
from mim.audit.balance import all_shares, balance_findings
from mim.audit.copies import copies, find_copies
from mim.audit.counts import count_findings
from mim.audit.facts import maker_pairs, outcomes_by_split, prior_gaps, totals
from mim.audit.findings import Finding
from mim.audit.leakage import leaks
from mim.audit.outcomes import first_diagnoses, outcome_findings
from mim.audit.page import audit_page
from mim.audit.pictures import pair_pictures
from mim.audit.priors import prior_findings
from mim.audit.settings import AuditSettings
from mim.audit.shortcuts import shortcut_findings, shortcuts
from mim.audit.tables import Cohort, read_cohort
from mim.data.cache import Cache
from mim.schemas.audit import FINDINGS
from mim.schemas.table import write_json, write_table, write_whole
from mim.vocab import Severity


def audit_cohort(cohort: Path, cache: Path | None, out: Path, settings: AuditSettings) -> int:
    """Audit what ``mim cohort`` wrote, print the findings and write them to ``out``.

    With a cache, images are compared with each other. Names are pseudonyms throughout.

    Returns:
        Findings that are problems.

    Raises:
        InputError: the folder holds no cohort, or the other no cache.
    """
    tables = read_cohort(cohort)
    pairs = None if cache is None else find_copies(tables, cache, settings)
    facts, findings = _look(tables, pairs, settings.examples)
    pictures = [] if cache is None or pairs is None else pair_pictures(pairs, Cache(cache))
    rows = [_row(finding) for finding in findings]
    write_table(FINDINGS.from_rows(rows), out / "findings.parquet")
    write_json(out / "audit.json", facts | {"findings": rows})
    write_whole(out / "index.html", audit_page(facts, findings, tables.steps, pictures).encode())
    return _tell(findings, out)


def _look(
    cohort: Cohort, pairs: pl.DataFrame | None, most: int
) -> tuple[dict[str, object], list[Finding]]:
    """Everything the page shows, and what was found, problems first."""
    diagnosed = first_diagnoses(cohort.exams)
    shares = all_shares(cohort.exams)
    worths = shortcuts(cohort)
    findings = [
        *leaks(cohort, most),
        *([] if pairs is None else copies(pairs, most)),
        *prior_findings(cohort, diagnosed, most),
        *outcome_findings(cohort, diagnosed, most),
        *count_findings(cohort, most),
        *balance_findings(cohort, shares),
        *shortcut_findings(worths),
    ]
    findings.sort(key=lambda finding: finding.severity != Severity.PROBLEM)
    facts: dict[str, object] = {
        "mim": __version__,
        "note": cohort.about["note"],
        "totals": totals(cohort),
        "compared": pairs is not None,
        "attrition": [asdict(step) for step in cohort.steps],
        "outcomes": outcomes_by_split(cohort.exams),
        "shares": {name: rows.to_dicts() for name, rows in shares.items()},
        "shortcuts": [asdict(worth) for worth in worths],
        "gaps": prior_gaps(cohort.exams),
        "makers": maker_pairs(cohort.exams),
    }
    return facts, findings


def _row(finding: Finding) -> dict[str, object]:
    return {
        "check": finding.check,
        "severity": finding.severity,
        "count": finding.count,
        "sentence": finding.sentence,
        "examples": list(finding.examples),
    }


def _tell(findings: list[Finding], out: Path) -> int:
    """Print what was found; how many findings are problems."""
    for finding in findings:
        print(f"{finding.severity}: {finding.check}: {finding.count:,}. {finding.sentence}")
    kinds = [finding.severity for finding in findings]
    counts = {kind: kinds.count(kind) for kind in Severity}
    said = ", ".join(f"{n or 'no'} {kind}{'s' * (n != 1)}" for kind, n in counts.items())
    print(f"audit: {said}; see {out / 'index.html'}")
    return counts[Severity.PROBLEM]
