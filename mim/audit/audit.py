"""Audits: what would make a cohort's results untrue, looked for before anything is learnt from it."""

from pathlib import Path

from mim.audit.settings import AuditSettings
from mim.errors import InputError


def audit_cohort(cohort: Path, cache: Path | None, out: Path, settings: AuditSettings) -> int:
    """Audit what ``mim cohort`` wrote, print the findings and write them to ``out``.

    Returns:
        Findings that are problems.
    """
    raise InputError("mim audit is not there yet")
