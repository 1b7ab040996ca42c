"""The page of the watch and its tables: alike, whole, escaped; what cannot be read is refused."""

import csv
import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_report import Page
from made_watch import (
    CHANGE,
    SIEMENS,
    Made,
    Row,
    changed,
    exam_rows,
    made,
    steady,
    watched,
    write_bundle_card,
    write_predictions,
)

from mim.cli.main import main
from mim.monitor.alarms import NAMES, Kind
from mim.monitor.tables import ALARMS, DRIFT
from mim.monitor.watch import SELECTED, WHOLE_TIME
from mim.schemas.monitored import MEASURES, SCORE, Level

HOLOGIC = ("hologic", "Dimensions 1.8")
NEW = "Mammomat <VB60>"


@pytest.fixture(scope="module")
def bundle() -> Made:
    return made()


@pytest.fixture(scope="module")
def out(bundle: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of six months: from the third on a machine has new software, and the fifth is empty."""
    folder = tmp_path_factory.mktemp("watch")
    random = np.random.default_rng(2)
    rows = changed(bundle, 1, NEW) + exam_rows(bundle, HOLOGIC, date(2024, 6, 1), 60, random)
    strange = exam_rows(bundle, HOLOGIC, date(2024, 6, 1), 12, random)
    rows += [row | {"maker": "planmed", "machine": None} for row in strange]
    assert ask(bundle, rows, folder) == 1
    return folder / "page"


def ask(bundle: Made, rows: list[Row], folder: Path, *more: str) -> int:
    """The command's exit code."""
    card = write_bundle_card(bundle, folder / "bundle")
    predictions = write_predictions(rows, folder / "predictions")
    words = [f"bundle={card}", f"predictions=[{predictions}]", f"out={folder / 'page'}"]
    return main(["monitor", *words, *more])


def some(bundle: Made, exams: int = 60, **changes: Any) -> list[Row]:
    """Exams of a machine that does nothing otherwise, but for some fields."""
    rows = exam_rows(bundle, SIEMENS, CHANGE, exams, np.random.default_rng(3))
    return [row | changes for row in rows]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]


def test_the_tables_have_their_columns_and_one_row_of_each_kind(out):
    for schema, name in ((DRIFT, "drift.csv"), (ALARMS, "alarms.csv")):
        rows = table(out / name)
        assert [*rows[0]] == schema.arrow().names
        keys = [tuple(row[column] for column in schema.key) for row in rows]
        assert len(set(keys)) == len(keys) > 0


def test_a_look_raises_an_alarm_where_its_chance_and_index_say_so(out):
    """Holm's correction, by the rule as it is written in books, over the chances of the file."""
    judged = [row for row in table(out / "drift.csv") if row["chance_adjusted"]]
    assert len(judged) == json.loads((out / "monitor.json").read_text())["judged"]
    judged.sort(key=lambda row: float(row["chance"]))
    holds, found = True, []
    for place, row in enumerate(judged):
        holds = holds and float(row["chance"]) <= 0.05 / (len(judged) - place)
        large = row["measure"] == SELECTED or float(row["stability_index"]) > 0.2
        assert (row["alarm"] == "true") == (holds and large)
        found += [row] * (holds and large)
    named = {
        (row["machine"], row["period"], row["measure"], row["selection_rate"]) for row in found
    }
    alarms = [row for row in table(out / "alarms.csv") if row["kind"] != Kind.NEW_SOFTWARE]
    assert named == {
        (row["machine"], row["period"], row["measure"], row["selection_rate"]) for row in alarms
    }
    assert {machine for machine, *_ in named} == {NEW}
    assert {period for _, period, *_ in named} == {"2024-03", "2024-04", WHOLE_TIME}


def test_the_page_is_well_formed_and_asks_for_nothing(out):
    page = page_of(out)
    assert page.open == []
    said = {value for _, name, value in page.attributes if name in {"src", "href"}}
    assert all(value.startswith(("#", "data:")) for value in said)
    anchors = [value for _, name, value in page.attributes if name == "id"]
    assert len(set(anchors)) == len(anchors)
    assert {value[1:] for value in said if value.startswith("#")} <= set(anchors)
    assert (out / "index.html").stat().st_size < 300_000


def page_of(out: Path) -> Page:
    return Page((out / "index.html").read_text(encoding="utf-8"))


def test_the_page_says_how_many_alarms_of_what_and_what_to_do(out):
    page, alarms = page_of(out), table(out / "alarms.csv")
    text = " ".join(" ".join(page.words).split())
    assert f"{len(alarms)} alarms" in text
    first: dict[tuple[str, ...], str] = {}
    for row in alarms:
        first.setdefault((row["machine"], row["measure"], row["selection_rate"]), row["what"])
    for words in first.values():
        assert words in text
    assert all(remedy in text for remedy in {row["remedy"] for row in alarms})
    assert "never clinical performance" in text
    assert "maker planmed" in text.lower() or "planmed" in text.lower()
    assert "Too few exams to compare" in text


def test_the_numbers_of_the_page_are_those_of_the_table(out):
    page = page_of(out)
    looks = [row for row in table(out / "drift.csv") if row["machine"] == NEW]
    rows = page.rows_of("2024-03")
    [row] = [row for row in rows if "(" in row and cells(looks, "2024-03")[0] in row]
    for cell in cells(looks, "2024-03"):
        assert cell in row
    whole = [row for row in page.rows_of(WHOLE_TIME) if cells(looks, WHOLE_TIME)[0] in row]
    assert len(whole) == 1
    assert len(page.rows_of("2024-06")) == 1
    assert page.rows_of("2024-05") == []


def cells(looks: list[dict[str, str]], period: str) -> list[str]:
    """What a row of a period must hold."""
    said = []
    for look in looks:
        if look["period"] == period and look["measure"] == SELECTED:
            said.append(f"{float(look['middle']):.1%}")
        elif look["period"] == period:
            said.append(f"{float(look['middle']):.3g} ({float(look['stability_index']):.2f})")
    assert len(said) == 4 + len(MEASURES)
    return said


def test_every_measure_has_a_name():
    assert {*NAMES} == {SELECTED, *MEASURES}


def test_a_page_is_written_over_by_the_next_and_over_nothing_else(bundle, tmp_path, capsys):
    assert ask(bundle, changed(bundle, 4), tmp_path) == 1
    before = (tmp_path / "page" / "index.html").read_text()
    assert ask(bundle, some(bundle), tmp_path) == 0
    assert (tmp_path / "page" / "index.html").read_text() != before
    again = [
        "monitor",
        f"bundle={tmp_path / 'bundle'}",
        f"predictions=[{tmp_path / 'predictions'}]",
    ]
    assert main([*again, f"out={tmp_path / 'predictions'}"]) == 2
    assert "expected another folder than predictions" in capsys.readouterr().err


def test_folders_that_hold_no_predictions_are_refused(bundle, tmp_path, capsys):
    card = write_bundle_card(bundle, tmp_path / "bundle")
    (tmp_path / "empty").mkdir()
    base = ["monitor", f"bundle={card}", f"out={tmp_path / 'page'}"]
    for folders, words in (
        (f"[{tmp_path / 'empty'}]", "predictions.json: no such file"),
        (f"[{tmp_path / 'bundle'}]", "predictions.json: no such file"),
        (f"[{tmp_path / 'nowhere'}]", "no such folder"),
        ("[]", "predictions"),
    ):
        assert main([*base, f"predictions={folders}"]) == 2, folders
        assert words in capsys.readouterr().err
    assert not (tmp_path / "page").exists()


def test_half_written_predictions_are_refused(bundle, tmp_path, capsys):
    """Cut short, missing, or of two runs of which the second was stopped between its files."""
    rows = some(bundle)
    assert ask(bundle, rows, tmp_path) == 0
    words = [
        "monitor",
        f"bundle={tmp_path / 'bundle'}",
        f"predictions=[{tmp_path / 'predictions'}]",
    ]
    words.append(f"out={tmp_path / 'page'}")
    path = tmp_path / "predictions" / "predictions.parquet"
    whole = path.read_bytes()
    before = (tmp_path / "page" / "index.html").read_bytes()

    def refused(said: str) -> None:
        assert main(words) == 2
        assert said in capsys.readouterr().err
        assert (tmp_path / "page" / "index.html").read_bytes() == before

    path.write_bytes(whole[: len(whole) // 2])
    refused("no Parquet, or cut short")
    path.unlink()
    refused("no such file")
    others = [row | {SCORE: row[SCORE] / 2} for row in rows]
    path.write_bytes((write_predictions(others, tmp_path / "other") / path.name).read_bytes())
    refused("of two runs of mim predict")
    path.write_bytes(whole)
    (tmp_path / "predictions" / "predictions.json").write_text('{"model": {"checksum"')
    refused("no JSON")


def test_the_first_row_of_an_exam_that_has_a_score_counts(bundle, tmp_path):
    """An exam that could not be scored, and was when its files were sent again."""
    rows = some(bundle)
    lost = [
        row | {SCORE: None, "selected_at": None, "reason": "no screening view"} for row in rows[:9]
    ]
    otherwise = [row | {"exam_date": date(2020, 1, 1)} for row in rows[9:20]]
    card = write_bundle_card(bundle, tmp_path / "bundle")
    parts = {"first": lost + rows[9:], "again": rows[:9] + otherwise}
    folders = [write_predictions(part, tmp_path / name) for name, part in parts.items()]
    listed = ",".join(map(str, folders))
    words = [f"bundle={card}", f"predictions=[{listed}]", f"out={tmp_path / 'page'}"]
    assert main(["monitor", *words]) == 0
    said = json.loads((tmp_path / "page" / "monitor.json").read_text())
    assert said["exams"] | {"rows": 80} == said["exams"]
    assert (said["exams"]["watched"], said["exams"]["unscored"], said["exams"]["twice"]) == (
        60,
        0,
        20,
    )
    assert said["periods"] == ["2024-03"]


def test_a_new_maker_is_an_alarm_without_a_name_of_its_machine(bundle, tmp_path):
    found = watched(bundle, some(bundle, maker="planmed", machine=None), tmp_path)
    [alarm] = [alarm for alarm in found.alarms if alarm.kind is Kind.NEW_SOFTWARE]
    assert (alarm.maker, alarm.machine, alarm.exams) == ("planmed", "", 60)


def test_an_unknown_maker_is_no_alarm_by_itself(bundle, tmp_path):
    found = watched(bundle, some(bundle, maker=None, machine=None), tmp_path)
    assert {look.level for look in found.looks} == {Level.ALL}
    assert not [alarm for alarm in found.alarms if alarm.kind is Kind.NEW_SOFTWARE]


def test_exams_without_a_machine_are_judged_by_spreads_where_none_of_the_maker_has_one(tmp_path):
    """Where others have a name, these may always have been of the odd machine out."""
    with_names = made()
    moved = exam_rows(with_names, SIEMENS, CHANGE, 120, np.random.default_rng(5), 1.2)
    nameless = [row | {"machine": None} for row in moved]
    found = watched(with_names, nameless, tmp_path / "named")
    assert all(look.judged == (look.measure == SELECTED) for look in found.looks)
    bare = made(named=False)
    found = watched(bare, nameless, tmp_path / "bare")
    assert all(look.judged for look in found.looks)
    assert {alarm.kind for alarm in found.alarms} == {Kind.SELECTION, Kind.SCORES, Kind.INPUTS}


def test_a_page_of_exams_too_few_to_compare_is_a_page(bundle, tmp_path):
    rows = steady(bundle, np.random.default_rng(6), exams=5, count=2)
    assert ask(bundle, rows, tmp_path) == 0
    page = page_of(tmp_path / "page")
    assert {"Nothing compared", "Too few exams to compare"} <= {*page.words}
    assert table(tmp_path / "page" / "drift.csv") == []
