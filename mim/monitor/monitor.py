"""``mim monitor``: exams that a bundle has scored, beside those its thresholds were chosen on.

``index.html`` is the page; ``drift.csv`` holds every comparison, ``alarms.csv`` every alarm with
what to do, ``monitor.json`` the alarms and what they rest on.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from mim import __version__
from mim.evaluate.sections import counted
from mim.monitor.alarms import alarms_of, remedies
from mim.monitor.exams import Bundle, Counts, Watched, periods_between, read_bundle, read_exams
from mim.monitor.page import Found, monitor_page
from mim.monitor.settings import MonitorSettings
from mim.monitor.tables import alarm_table, drift_table, write_csv
from mim.monitor.watch import FALSE_ALARMS, machines_of, new_machines, watch
from mim.schemas.folders import require_own
from mim.schemas.table import write_json, write_whole


def write_monitor(
    bundle: Path, predictions: Sequence[Path], out: Path, settings: MonitorSettings
) -> int:
    """Compare predictions with the bundle's reference, and write the page; returns its alarms.

    Args:
        bundle: folder that ``mim export`` wrote.
        predictions: folders that ``mim predict`` wrote with it.
        out: folder for the page; made if needed.
        settings: of the watch.

    Raises:
        InputError: the bundle has no reference, or the predictions are not by it, or ``out`` holds
            something else.
    """
    require_own(out, "monitor.json")
    read = read_bundle(bundle)
    exams, counts = read_exams(predictions, read, settings.period)
    found = compare(read, exams, counts, settings)
    said = remedies(min(found.rates))
    write_csv(drift_table(found.looks), out / "drift.csv")
    write_csv(alarm_table(found.alarms, said), out / "alarms.csv")
    write_whole(out / "index.html", monitor_page(found, settings).encode())
    facts = {
        "mim": __version__,
        "bundle": read.checksum,
        "note": read.note,
        "period": str(settings.period),
        "least_exams": settings.least_exams,
        "periods": found.periods,
        "exams": asdict(counts),
        "machines": [
            {"maker": maker, "machine": machine, "exams": number}
            for (maker, machine), number in found.machines.items()
        ],
        "comparisons": len(found.looks),
        "judged": sum(look.judged for look in found.looks),
        "false_alarms": FALSE_ALARMS,
        "alarms": [asdict(alarm) for alarm in found.alarms],
    }
    write_json(out / "monitor.json", facts)
    print(
        f"{counted(counts.watched, 'exam')} of {counted(len(found.machines), 'machine')}, "
        f"{counted(len(found.looks), 'comparison')}, {counted(len(found.alarms), 'alarm')}: "
        f"{out / 'index.html'}"
    )
    return len(found.alarms)


def compare(bundle: Bundle, exams: Watched, counts: Counts, settings: MonitorSettings) -> Found:
    """Every comparison and alarm of exams."""
    looks = watch(exams, bundle.reference, settings.least_exams)
    alarms = alarms_of(new_machines(exams, bundle.reference), looks)
    names = [*zip(exams.maker.tolist(), exams.machine.tolist(), strict=True)]
    first, last = exams.day.min().item(), exams.day.max().item()
    return Found(
        note=bundle.note,
        counts=counts,
        machines={machine: names.count(machine) for machine in machines_of(exams)},
        periods=periods_between(first, last, settings.period),
        rates=bundle.reference.selection_rates,
        looks=looks,
        alarms=alarms,
    )
