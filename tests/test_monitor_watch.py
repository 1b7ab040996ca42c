"""The watch: drift that was planted is found where it is, and nothing where there is none."""

import csv
import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from made_watch import (
    CHANGE,
    CHECKSUM,
    MACHINES,
    NOTE,
    SIEMENS,
    Made,
    changed,
    exam_rows,
    made,
    months,
    steady,
    watched,
    write_bundle_card,
    write_predictions,
)

from mim.cli.main import main
from mim.errors import InputError
from mim.monitor.alarms import Kind, exams_for
from mim.monitor.exams import period_of, periods_between, read_bundle
from mim.monitor.page import Found
from mim.monitor.settings import Period
from mim.monitor.watch import FALSE_ALARMS, SELECTED, WHOLE_TIME
from mim.schemas.monitored import MEASURES, SCORE, Level

HOLOGIC = ("hologic", "Dimensions 1.8")


@pytest.fixture(scope="module")
def bundle() -> Made:
    return made()


def where(found: Found, *kinds: Kind) -> set[tuple[str, str, str]]:
    wanted = kinds or tuple(Kind)
    return {(a.maker, a.machine, a.period) for a in found.alarms if a.kind in wanted}


def test_drift_is_found_in_its_machine_and_months_and_nowhere_else(bundle, tmp_path):
    found = watched(bundle, changed(bundle, 1), tmp_path)
    after = {(*SIEMENS, period) for period in ("2024-03", "2024-04", WHOLE_TIME)}
    assert where(found) == after
    for kind in (Kind.SELECTION, Kind.SCORES, Kind.INPUTS):
        assert where(found, kind) >= {(*SIEMENS, "2024-03"), (*SIEMENS, "2024-04")}
    moved = {alarm.measure for alarm in found.alarms} - {SELECTED, SCORE}
    assert moved == {"dark_grey", "middle_grey", "bright_grey", "fine_detail"}
    tripled = [
        look
        for look in found.looks
        if (look.maker, look.machine, look.period) == (*SIEMENS, "2024-03")
        and look.selection_rate == 0.058
    ]
    assert tripled[0].middle > 2.5 * tripled[0].expected[1]


def test_new_software_is_an_alarm_before_anything_moves(bundle, tmp_path):
    found = watched(bundle, changed(bundle, 12, "Mammomat VB60", 0.0), tmp_path)
    [alarm] = found.alarms
    assert (alarm.kind, alarm.machine, alarm.period) == (
        Kind.NEW_SOFTWARE,
        "Mammomat VB60",
        "2024-03-01",
    )
    assert alarm.exams == 240


def test_new_software_that_changes_pictures_comes_first_and_says_what_moved(bundle, tmp_path):
    found = watched(bundle, changed(bundle, 3, "Mammomat VB60"), tmp_path)
    assert found.alarms[0].kind is Kind.NEW_SOFTWARE
    assert {alarm.machine for alarm in found.alarms} == {"Mammomat VB60"}
    assert {alarm.kind for alarm in found.alarms} == set(Kind)
    levels = {look.level for look in found.looks if look.machine == "Mammomat VB60"}
    assert levels == {Level.MAKER}


def test_slow_drift_shows_over_the_whole_time(bundle, tmp_path):
    random = np.random.default_rng(1)
    rows = [
        row
        for month in months(date(2023, 1, 1), 16)
        for row in exam_rows(bundle, HOLOGIC, month, 60, random, 0.2)
    ]
    found = watched(bundle, rows, tmp_path)
    assert where(found, Kind.SELECTION) == {(*HOLOGIC, WHOLE_TIME)}


def test_a_machine_of_few_reference_exams_may_always_have_been_different(tmp_path):
    counts = dict.fromkeys(MACHINES, 400) | {("siemens", "Revelation VC20"): 20}
    bundle = made(counts)
    found = watched(bundle, steady(bundle, np.random.default_rng(5)), tmp_path)
    few = [look for look in found.looks if look.machine == "Revelation VC20"]
    assert {look.level for look in few} == {Level.MAKER}
    assert all(look.judged == (look.measure == SELECTED) for look in few)
    assert not where(found, Kind.SCORES, Kind.INPUTS, Kind.NEW_SOFTWARE)


def test_an_unknown_maker_is_compared_with_all(bundle, tmp_path):
    rows = exam_rows(bundle, SIEMENS, CHANGE, 80, np.random.default_rng(6))
    strange = [row | {"maker": "planmed", "machine": "Clarity 1"} for row in rows]
    nameless = [row | {"machine": None, "study_uid": row["study_uid"] + ".1"} for row in rows]
    found = watched(bundle, [*strange, *nameless], tmp_path)
    levels = {(look.maker, look.machine): look.level for look in found.looks}
    assert levels == {("planmed", "Clarity 1"): Level.ALL, ("siemens", ""): Level.MAKER}
    assert where(found, Kind.NEW_SOFTWARE) == {("planmed", "Clarity 1", "2024-03-01")}


def false_alarms(pages: int, exams: int, tmp_path: Path) -> int:
    count = 0
    for page in range(pages):
        bundle = made(150, seed=1000 + page)
        rows = steady(bundle, np.random.default_rng(5000 + page), exams, 3)
        count += bool(watched(bundle, rows, tmp_path / str(page)).alarms)
    return count


def at_most(pages: int) -> float:
    """Three standard deviations above the stated share."""
    return FALSE_ALARMS * pages + 3 * np.sqrt(FALSE_ALARMS * (1 - FALSE_ALARMS) * pages)


def test_few_pages_hold_an_alarm_where_nothing_changes(tmp_path):
    assert false_alarms(12, 60, tmp_path) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("exams", [60, 300])
def test_pages_hold_an_alarm_as_seldom_as_is_said(exams, tmp_path):
    assert false_alarms(300, exams, tmp_path) <= at_most(300)


def test_rows_that_are_not_watched_are_counted(bundle, tmp_path):
    random = np.random.default_rng(7)
    rows = exam_rows(bundle, SIEMENS, CHANGE, 60, random)
    unscored = rows[0] | {"study_uid": "2.25.1", SCORE: None, "reason": "no screening view"}
    repeat = rows[0] | {"study_uid": "2.25.2", SCORE: None, "reason": "repeated exam"}
    undated = rows[0] | {"study_uid": "2.25.3", "exam_date": None}
    card = write_bundle_card(bundle, tmp_path / "bundle")
    first = write_predictions([*rows, unscored, repeat, undated], tmp_path / "first")
    again = write_predictions(
        [row | {"exam_date": date(2020, 1, 1)} for row in rows[:5]], tmp_path / "again"
    )
    out = tmp_path / "page"
    assert main(["monitor", f"bundle={card}", f"predictions=[{first},{again}]", f"out={out}"]) == 0
    said = json.loads((out / "monitor.json").read_text())
    assert said["exams"] == {
        "rows": 68,
        "twice": 5,
        "repeats": 1,
        "unscored": 1,
        "undated": 1,
        "watched": 60,
    }
    assert said["periods"] == ["2024-03"]


def test_the_command_ends_with_1_where_there_are_alarms_and_names_nobody(bundle, tmp_path):
    rows = changed(bundle, 8, "Mammomat <VB60>")
    card = write_bundle_card(bundle, tmp_path / "bundle")
    folder, out = write_predictions(rows, tmp_path / "predictions"), tmp_path / "page"
    words = ["monitor", f"bundle={card}", f"predictions=[{folder}]", f"out={out}"]
    assert main(words) == 1
    said = json.loads((out / "monitor.json").read_text())
    assert said["note"] == NOTE
    with (out / "alarms.csv").open() as file:
        alarms = list(csv.DictReader(file))
    assert len(alarms) == len(said["alarms"])
    assert alarms[0]["kind"] == "new software"
    assert "mim export" in alarms[0]["remedy"]
    with (out / "drift.csv").open() as file:
        looks = list(csv.DictReader(file))
    assert len(looks) == said["comparisons"]
    assert sum(look["alarm"] == "true" for look in looks) == len(alarms) - 1
    assert {look["measure"] for look in looks} == {SELECTED, *MEASURES}
    for path in out.iterdir():
        text = path.read_text()
        assert not any(row["study_uid"] in text for row in rows), path.name
        assert str(tmp_path) not in text, path.name
    assert "Mammomat &lt;VB60&gt;" in (out / "index.html").read_text()
    quarter = [*words, "period=quarter", "least_exams=100"]
    assert main(quarter) == 1
    assert json.loads((out / "monitor.json").read_text())["periods"] == ["2024 Q1", "2024 Q2"]


def test_nothing_found_ends_with_0(bundle, tmp_path):
    card = write_bundle_card(bundle, tmp_path / "bundle")
    rows = steady(bundle, np.random.default_rng(9))
    folder, out = write_predictions(rows, tmp_path / "predictions"), tmp_path / "page"
    assert main(["monitor", f"bundle={card}", f"predictions=[{folder}]", f"out={out}"]) == 0
    assert "No alarm" in (out / "index.html").read_text()
    with (out / "alarms.csv").open() as file:
        assert list(csv.DictReader(file)) == []


@pytest.mark.parametrize(
    ("changes", "checksum", "words"),
    [
        ({"reference": None}, CHECKSUM, "too few validation exams"),
        ({}, "another", "scored by another bundle"),
    ],
)
def test_what_cannot_be_compared_is_refused(bundle, tmp_path, capsys, changes, checksum, words):
    card = write_bundle_card(bundle, tmp_path / "bundle", **changes)
    rows = exam_rows(bundle, SIEMENS, CHANGE, 60, np.random.default_rng(10))
    folder = write_predictions(rows, tmp_path / "predictions", checksum)
    out = tmp_path / "page"
    assert main(["monitor", f"bundle={card}", f"predictions=[{folder}]", f"out={out}"]) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()


def test_no_folder_is_refused(bundle, tmp_path, capsys):
    card = write_bundle_card(bundle, tmp_path / "bundle")
    out = tmp_path / "page"
    assert main(["monitor", f"bundle={card}", "predictions=[]", f"out={out}"]) == 2
    assert capsys.readouterr().err == (
        "mim monitor: predictions: expected a folder or more that mim predict wrote, got none\n"
    )


def test_an_older_bundle_and_predictions_without_a_date_are_refused(bundle, tmp_path, capsys):
    (tmp_path / "bundle.json").write_text(json.dumps({"checksum": CHECKSUM, "note": ""}))
    with pytest.raises(InputError, match="written by an older mim"):
        read_bundle(tmp_path)
    card = write_bundle_card(bundle, tmp_path / "bundle")
    rows = exam_rows(bundle, SIEMENS, CHANGE, 3, np.random.default_rng(11))
    undated = [row | {"exam_date": None} for row in rows]
    folder = write_predictions(undated, tmp_path / "predictions")
    words = [f"bundle={card}", f"predictions=[{folder}]", f"out={tmp_path / 'page'}"]
    assert main(["monitor", *words]) == 2
    assert "has a score and a date" in capsys.readouterr().err


def test_the_reference_comes_back_from_json_as_it_was(bundle, tmp_path):
    assert read_bundle(write_bundle_card(bundle, tmp_path)).reference == bundle.reference
    assert bundle.reference.machines["siemens"] == {"Mammomat VB30": 400, "Revelation VC20": 400}
    assert bundle.reference.whole.exams == 1600


def test_periods_have_no_gap():
    first, last = date(2023, 11, 30), date(2024, 2, 1)
    assert periods_between(first, last, Period.month) == [
        "2023-11",
        "2023-12",
        "2024-01",
        "2024-02",
    ]
    assert periods_between(first, last, Period.quarter) == ["2023 Q4", "2024 Q1"]
    assert period_of(date(2024, 9, 30), Period.quarter) == "2024 Q3"


def test_exams_that_a_threshold_needs():
    """1.96 sqrt(p (1 - p) / n) is a quarter of p, or a little less."""
    for rate in (0.032, 0.058, 0.111):
        half = 1.96 * np.sqrt(rate * (1 - rate) / exams_for(rate))
        assert 0.23 * rate <= half <= 0.25 * rate
