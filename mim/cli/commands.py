"""One function per command: hand the values to the room that does the work.

Imports stand inside the functions, so that help and config errors come at once and so that
``predict`` runs where the training packages are not installed.
"""

import sys
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

from mim.audit.settings import AuditSettings
from mim.cohort.settings import CohortSettings
from mim.config.commands import (
    AdaptCommand,
    AuditCommand,
    CacheCommand,
    CohortCommand,
    Command,
    DemoCommand,
    EvaluateCommand,
    ExportCommand,
    IndexCommand,
    MonitorCommand,
    OrderCommand,
    PredictCommand,
    PseudonymiseCommand,
    ReceiveCommand,
    RenormaliseCommand,
    SynthCommand,
    TrainCommand,
)
from mim.data.settings import CacheSettings
from mim.evaluate.settings import EvaluateSettings
from mim.monitor.settings import MonitorSettings
from mim.pseudonyms.settings import PseudonymiseSettings
from mim.synthetic.settings import ProgrammeSettings
from mim.train.settings import RenormaliseSettings
from mim.vocab import Maker, Split
from mim.workers.settings import WorkersSettings

Settings = TypeVar("Settings")


def synth(command: SynthCommand) -> int:
    from mim.synthetic.programme import write_programme

    write_programme(Path(command.out), part(command, ProgrammeSettings))
    return 0


def order(command: OrderCommand) -> int:
    from mim.cohort.order import write_order

    have = Path(command.index) if command.index else None
    write_order(Path(command.registry), Path(command.out), have)
    return 0


def receive(command: ReceiveCommand) -> int:
    from mim.cohort.receive import write_receipt

    problems = write_receipt(Path(command.order), Path(command.index), Path(command.out))
    return code(problems, "exams are missing or cannot be used", command.out)


def pseudonymise(command: PseudonymiseCommand) -> int:
    from mim.pseudonyms.pseudonymise import pseudonymise_folder

    problems = pseudonymise_folder(
        Path(command.source),
        Path(command.out),
        Path(command.key),
        Path(command.registry) if command.registry else None,
        part(command, PseudonymiseSettings),
        part(command, WorkersSettings),
    )
    return code(problems, "files were not copied", command.out)


def index(command: IndexCommand) -> int:
    from mim.ingest.index import write_index
    from mim.ingest.page import write_page

    source, out = Path(command.source), Path(command.out)
    problems = write_index(source, out, command.index, part(command, WorkersSettings))
    write_page(out, command.index)
    return code(problems, "files have a problem", command.out)


def cohort(command: CohortCommand) -> int:
    from mim.audit.audit import audit_cohort
    from mim.cohort.build import write_cohort

    settings, out = part(command, CohortSettings), Path(command.out)
    problems = write_cohort(Path(command.index), Path(command.registry), out, settings)
    problems += audit_cohort(out, None, out / "audit", AuditSettings())
    return code(problems, "problems found", command.out)


def audit(command: AuditCommand) -> int:
    from mim.audit.audit import audit_cohort

    folder = Path(command.cohort)
    out = Path(command.out) if command.out else folder / "audit"
    cache = Path(command.cache) if command.cache else None
    problems = audit_cohort(folder, cache, out, part(command, AuditSettings))
    return code(problems, "problems found", str(out))


def adapt(command: AdaptCommand) -> int:
    from mim.adapters.adapt import adapt_dataset
    from mim.cohort.registry import read_registry

    out = Path(command.out)
    adapt_dataset(command.dataset, Path(command.source), out)
    read_registry(out / "registry")
    return 0


def cache(command: CacheCommand) -> int:
    from mim.data.cache import write_cache

    settings = part(command, CacheSettings)
    workers = part(command, WorkersSettings)
    problems = write_cache(
        Path(command.cohort), Path(command.out), command.recipe, settings, workers
    )
    return code(problems, "images could not be prepared", command.out)


def train(command: TrainCommand) -> int:
    from mim.train.run import fit

    fit(
        Path(command.cohort),
        Path(command.cache),
        Path(command.out),
        command.data,
        command.tasks,
        command.model,
        command.train,
    )
    return 0


def evaluate(command: EvaluateCommand) -> int:
    settings, out = part(command, EvaluateSettings), Path(command.out)
    outcomes = Path(command.outcomes) if command.outcomes else None
    if command.sweep:
        from mim.cli.makers_report import report_on_sweep

        summary = report_on_sweep(Path(command.sweep), outcomes, out, settings)
    else:
        from mim.cli.report import Given, report

        given = Given(
            Path(command.run) if command.run else None,
            tuple(map(Path, command.scores)),
            outcomes,
            Path(command.readings) if command.readings else None,
            Split(command.split.value),
            command.compare,
        )
        summary = report(given, out, settings)
    for headline in summary.headlines:
        print(headline)
    for notice in summary.notices:
        print(notice, file=sys.stderr)
    return 0


def renormalise(command: RenormaliseCommand) -> int:
    from mim.train.renormalise import Elsewhere
    from mim.train.renormalise import renormalise as renormalise_run

    other = None
    if command.cohort and command.cache:
        other = Elsewhere(Path(command.cohort), Path(command.cache))
    settings = part(command, RenormaliseSettings)
    renormalise_run(Path(command.run), Maker(command.maker), Path(command.out), settings, other)
    return 0


def export(command: ExportCommand) -> int:
    from mim.export.bundle import write_bundle

    write_bundle(Path(command.run), Path(command.out), command.prevalence)
    return 0


def predict(command: PredictCommand) -> int:
    from mim.deploy.predict import predict as predict_folder

    overrides = Path(command.overrides) if command.overrides else None
    problems = predict_folder(
        Path(command.bundle), Path(command.source), Path(command.out), overrides
    )
    return code(problems, "exams or files have a problem", command.out)


def monitor(command: MonitorCommand) -> int:
    from mim.monitor.monitor import write_monitor

    folders = [Path(folder) for folder in command.predictions]
    alarms = write_monitor(
        Path(command.bundle), folders, Path(command.out), part(command, MonitorSettings)
    )
    return code(alarms, "alarms", command.out)


def demo(command: DemoCommand) -> int:
    from mim.cli.demo import run_demo

    return run_demo(Path(command.out), part(command, ProgrammeSettings), command.recipe)


def part(command: Command, settings: type[Settings]) -> Settings:
    """The settings that a command inherits, without the command's own keys."""
    return settings(**{f.name: getattr(command, f.name) for f in fields(settings)})  # type: ignore[arg-type]


def code(problems: int, what: str, out: str) -> int:
    """Exit code of a command that went through, with one line on what it could not use."""
    if not problems:
        return 0
    print(f"{problems} {what}; the reasons stand in {out}", file=sys.stderr)
    return 1
