"""From made-up files to an alarm: new software on the Siemens machines, and the same without it."""

import csv
import json
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from scanner import identifiers, traces

from mim.cli.main import main
from mim.monitor.alarms import Kind

pytestmark = pytest.mark.slow

NEW = {"Mammomat Inspiration VB60C", "Mammomat Revelation VC21B"}
OLD = {"Mammomat Inspiration VB30E", "Mammomat Revelation VC20A"}
SMALL = ("rounds=3", "shrink=16", "cancer_share=0.3", "workers=1")
STEPS = (
    "synth out={0}/train women=220 seed=31",
    "index source={0}/train/dicom out={0}/index index.pictures=0 workers=1 "
    "index.key_file={0}/train/pseudonym.key",
    "cohort index={0}/index registry={0}/train/registry out={0}/cohort "
    "splits.validation=0.7 splits.test=0.05",
    "cache cohort={0}/cohort out={0}/cache recipe.height=64 recipe.width=32 workers=1",
    "train cohort={0}/cohort cache={0}/cache out={0}/run experiment=demo train.epochs=2",
    "export run={0}/run out={0}/bundle",
)
WATCH = (
    "predict bundle={0}/bundle source={1}/dicom out={1}/predictions",
    "monitor bundle={0}/bundle predictions=[{1}/predictions] out={1}/page period=quarter "
    "least_exams=10",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle learnt before the update, and two programmes of other women, watched."""
    out = tmp_path_factory.mktemp("update")
    for step in STEPS:
        words = step.format(out).split()
        assert main([*words, *(SMALL if words[0] == "synth" else ())]) in (0, 1), step
    for name, update in (("updated", "true"), ("as-before", "false")):
        folder = out / name
        words = ["synth", f"out={folder}", "women=160", "seed=32", f"software_update={update}"]
        assert main([*words, *SMALL]) == 0
        codes = [main(step.format(out, folder).split()) for step in WATCH]
        (folder / "code").write_text(str(codes[-1]))
    return out


def alarms(folder: Path) -> list[dict[str, str]]:
    with (folder / "page" / "alarms.csv").open() as file:
        return [*csv.DictReader(file)]


def predictions(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "predictions" / "predictions.parquet")


def test_the_update_raises_alarms_for_its_machines_alone(made):
    """Of software and pictures; whether scores move too is up to what the net has learnt."""
    found = alarms(made / "updated")
    assert (made / "updated" / "code").read_text() == "1"
    assert {row["machine"] for row in found} == NEW
    inputs = {row["machine"] for row in found if row["kind"] == Kind.INPUTS}
    assert inputs == NEW
    new = {row["machine"]: row["period"] for row in found if row["kind"] == Kind.NEW_SOFTWARE}
    assert new.keys() == NEW
    assert all("2015-01-01" <= day < "2015-07-01" for day in new.values())


def test_the_same_programme_without_the_update_raises_none(made):
    assert (made / "as-before" / "code").read_text() == "0"
    assert alarms(made / "as-before") == []
    said = json.loads((made / "as-before" / "page" / "monitor.json").read_text())
    machines = {machine["machine"]: machine["exams"] for machine in said["machines"]}
    assert machines.keys() >= OLD
    assert said["judged"] > 40


def test_nothing_but_the_updated_machines_differs(made):
    """Scores before the update, and pictures of other machines after it; a prior may be updated."""
    both = [predictions(made / name) for name in ("updated", "as-before")]
    assert both[0].height == both[1].height
    before = [rows.filter(pl.col("exam_date") < date(2015, 1, 1)) for rows in both]
    others = [rows.filter(~pl.col("machine").is_in(NEW | OLD)) for rows in both]
    for (one, other), column in ((before, "exam_score"), (others, "bright_grey")):
        assert one.height > 100
        said = [rows.select("exam_date", "machine", column).sort(pl.all()) for rows in (one, other)]
        assert said[0].equals(said[1])


def test_no_page_names_a_woman_or_an_exam(made):
    for name in ("updated", "as-before"):
        assert traces(made / name / "page", identifiers(made / name)) == set()
