"""The index: one row for every file of a DICOM tree, usable or not.

``out`` gets ``images/`` (the rows, in files of some ten thousand, sorted by path),
``findings.parquet``, ``attrition.parquet``, ``index.json`` and, unless a key is given,
``pseudonym.key``. ``headers/`` is the working layer that lets a second run read only what is new.
``images/`` and ``headers/`` hold identifiers, nothing else does.
"""

import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mim import __version__
from mim.dicom.overrides import Given, read_overrides
from mim.dicom.pseudonym import load_key, load_or_make_key
from mim.dicom.rows import PROBLEMS, require_files, require_folder, require_matches
from mim.dicom.tree import walk
from mim.errors import InputError
from mim.ingest.across import compare
from mim.ingest.before import Sweep, known_parts
from mim.ingest.findings import Findings
from mim.ingest.listing import CUTS, Cut, Listed, cut_into_parts, list_files
from mim.ingest.parts import Part, PartTask, in_groups, read_part
from mim.ingest.publish import Published, publish
from mim.ingest.rules import rules_id
from mim.ingest.settings import Check, IndexSettings
from mim.schemas.cohort import ATTRITION, KEPT, attrition_rows
from mim.schemas.folders import held
from mim.schemas.table import read_json, write_json, write_table
from mim.workers.run import run
from mim.workers.settings import Executor, WorkersSettings

SMALL = 1000
"""Fewer headers are read in this process: starting others takes longer than reading them."""

FILE_ROWS = 50_000
"""Rows of a file of ``images/``, and what more the last of its parts holds."""

SCRATCH = ".scratch"

OURS = {
    "headers": re.compile(r"[0-9a-f]{20}\.parquet|\..+\.(unfinished|in-hand)|\.scratch"),
    "images": re.compile(r"part-\d{5}\.parquet"),
}
"""Folders of an index that are emptied, and the only names in them that ``mim`` gives."""


@dataclass(frozen=True)
class Plan:
    """What is indexed, by which settings, into which folder; ``given`` are the overrides."""

    source: Path
    out: Path
    settings: IndexSettings
    given: Mapping[str, Given]

    @property
    def headers(self) -> Path:
        """The working layer."""
        return self.out / "headers"

    @property
    def scratch(self) -> Path:
        """Folder for what is not finished, on the disk of the index."""
        return self.headers / SCRATCH

    @property
    def spool(self) -> Path:
        """The list of files."""
        return self.scratch / "files.arrow"

    @property
    def key_file(self) -> Path:
        """The key of the pseudonyms."""
        given = self.settings.key_file
        return Path(given).absolute() if given else self.out / "pseudonym.key"


def write_index(
    source: Path,
    out: Path,
    settings: IndexSettings,
    work: WorkersSettings,
    cut: Cut | None = None,
) -> int:
    """Index ``source`` into ``out`` and print how many images are left out for which reason.

    Files that an earlier run read into ``out``, finished or killed, are read again only if their
    size, time of change or overrides differ; the result is that of one run over the source as it
    is. Until the last moment the earlier index stays as it is. A folder ``out`` below ``source`` is
    not indexed itself.

    Returns:
        Rows with one of ``PROBLEMS``.

    Raises:
        InputError: the source, the overrides or the key cannot be used, or ``out`` holds something
            that is not an index's, or another folder's index.
    """
    plan = _plan(source, out, settings)
    with _alone(plan):
        listed = list_files(walk(plan.source, skip=plan.out), plan.given, plan.spool)
        require_files(source, listed.files)
        if settings.overrides:
            rows = len(plan.given)
            require_matches(Path(settings.overrides), source, rows, listed.overridden)
        parts = _read_parts(plan, listed, work, cut or CUTS[settings.check])
        return _finish(plan, listed, parts)


@contextmanager
def _alone(plan: Plan) -> Iterator[None]:
    """Hold the index for one run, and take its scratch away before and after."""
    with held(plan.out):
        plan.headers.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(plan.scratch, ignore_errors=True)
        try:
            yield
        finally:
            shutil.rmtree(plan.scratch, ignore_errors=True)


def _plan(source: Path, out: Path, settings: IndexSettings) -> Plan:
    require_folder(source)
    if out.exists() and out.samefile(source):
        raise InputError(f"out={out}: is the source; give the index a folder of its own")
    for name, ours in OURS.items():
        there = sorted((out / name).iterdir()) if (out / name).exists() else []
        if foreign := [path for path in there if not ours.fullmatch(path.name)]:
            raise InputError(
                f"out={out}: holds {foreign[0].relative_to(out)}, which no index writes, and its "
                f"folder {name} would be replaced; give the index a folder of its own"
            )
    _refuse_other_source(source, out)
    given = read_overrides(Path(settings.overrides)) if settings.overrides else {}
    if settings.key_file:
        load_key(Path(settings.key_file))
    # Workers on other machines have another working folder.
    return Plan(source.absolute(), out.absolute(), settings, given)


def _refuse_other_source(source: Path, out: Path) -> None:
    """Keep an index from being replaced by that of another folder."""
    card = out / "index.json"
    if card.is_file() and (before := read_json(card).get("source")) != str(source.absolute()):
        raise InputError(
            f"out={out}: is the index of {before}; give this source a folder of its own, or delete "
            f"{card} if the same files lie elsewhere now"
        )


def _read_parts(plan: Plan, listed: Listed, work: WorkersSettings, cut: Cut) -> list[Part]:
    """All parts in the order of their paths, once each of them stands in ``headers/``."""
    few = listed.files < SMALL and plan.settings.check == Check.headers
    if few and work.executor == Executor.local:
        work = replace(work, workers=1)
    parts = []
    with tqdm(total=listed.files, desc=f"reading {plan.settings.check}", unit="file") as bar:
        for _, part in run(read_part, _tasks(plan, cut), work):
            parts.append(part)
            bar.update(part.rows)
    return sorted(parts)


def _tasks(plan: Plan, cut: Cut) -> Iterator[PartTask]:
    key = load_key(plan.key_file) if plan.settings.key_file else load_or_make_key(plan.key_file)
    rules = rules_id(key, plan.settings.check)
    sweep = Sweep(known_parts(plan.headers))
    for number, (files, span) in enumerate(cut_into_parts(plan.spool, cut)):
        paths = (file.path for file in files)
        yield PartTask(
            number=number,
            source=plan.source,
            folder=plan.headers,
            key_file=plan.key_file,
            check=plan.settings.check,
            rules=rules,
            files=files,
            given={path: plan.given[path] for path in paths if path in plan.given},
            span=span,
            before=sweep.near(span),
        )


def _finish(plan: Plan, listed: Listed, parts: list[Part]) -> int:
    """Compare the parts' rows, write the index's files, and take away what no longer belongs."""
    groups = in_groups(parts, FILE_ROWS)
    images = plan.scratch / "images-new"
    with Findings(plan.scratch / "findings.parquet") as findings:
        verdicts = compare(groups, plan.scratch, findings, date.today())
        published = publish(groups, verdicts, images, findings)
    attrition = attrition_rows("index", "images", published.counts)
    write_table(ATTRITION.from_rows(attrition), plan.scratch / "attrition.parquet")
    about = _about(plan, listed, parts, published, findings.counts)
    write_json(plan.scratch / "index.json", about)
    # From here to its end the folder has no index.json and so is no index to any reader.
    for name in ("index.json", "index.html"):
        (plan.out / name).unlink(missing_ok=True)
    if (plan.out / "images").exists():
        (plan.out / "images").rename(plan.scratch / "images-old")
    images.rename(plan.out / "images")
    for name in ("findings.parquet", "attrition.parquet", "index.json"):
        (plan.scratch / name).replace(plan.out / name)
    belonging = {part.path for part in parts}
    for path in plan.headers.iterdir():
        if path not in belonging and not path.is_dir():
            path.unlink()
    _print_summary(about)
    return sum(published.counts[reason] for reason in PROBLEMS)


def _about(
    plan: Plan, listed: Listed, parts: list[Part], published: Published, findings: Counter[str]
) -> dict[str, Any]:
    read = sum(part.read for part in parts)
    return {
        "source": str(plan.source),
        "mim": __version__,
        "settings": asdict(plan.settings),
        "files": listed.files,
        "counts": dict(sorted(published.counts.items())),
        "findings": dict(sorted(findings.items())),
        "deliveries": published.deliveries,
        "by_delivery": published.by_delivery,
        "read": read,
        "taken_over": listed.files - read,
        "gone": sum(part.gone for part in parts),
        "overrides_without_file": len(plan.given) - listed.overridden,
    }


def _print_summary(about: Mapping[str, Any]) -> None:
    counts = dict(about["counts"])
    print(f"{about['files']} files, {counts.pop(KEPT, 0)} usable screening views")
    for reason, count in sorted(counts.items(), key=lambda item: -item[1]):
        print(f"{count:>10}  {reason}")
    if about["taken_over"] or about["gone"]:
        of = "{read} files read, {taken_over} as they were, {gone} gone since the last run"
        print(of.format_map(about))
    if about["findings"]:
        print("to look at, in findings.parquet:")
        for finding, count in sorted(about["findings"].items(), key=lambda item: -item[1]):
            print(f"{count:>10}  {finding}")
    if about["overrides_without_file"]:
        lost = about["overrides_without_file"]
        print(f"warning: {lost} rows of the overrides name no file of the source")
