"""Exams of a hospital's folder: which studies are one, which come before, as in the cohort."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from mim.cohort.build import write_cohort
from mim.cohort.settings import CohortSettings, PriorSettings, StandInSettings
from mim.deploy import predict as predict_module
from mim.deploy.bundle import load_bundle
from mim.deploy.exams import Assembler, Exam, find_exams
from mim.deploy.predict import predict
from mim.dicom.rows import scan
from mim.image.greys import GreyStandard
from mim.image.settings import RecipeSettings
from mim.ingest.index import write_index
from mim.ingest.settings import IndexSettings
from mim.schemas.scores import PREDICTIONS
from mim.schemas.table import read_table
from mim.vocab import VIEW_SLOTS, Reason
from mim.workers.settings import WorkersSettings

DAY = date(2020, 6, 1)
NOTHING_ELSE = StandInSettings()


def image(study: str, day: int | None, view: str = "CC", **columns: Any) -> dict[str, Any]:
    usual = {
        "path": f"{study}/{view}",
        "study_uid": study,
        "patient_id": "w",
        "study_date": None if day is None else DAY + timedelta(day),
        "reason": None,
        "detail": None,
        "laterality": "L",
        "view": view,
        "view_modifiers": [],
        "kind": "full-field digital",
        "presentation": "for presentation",
        "acquired": None,
        "sop_uid": None,
    }
    return usual | columns


def found(
    *rows: dict[str, Any], stand_ins: StandInSettings = NOTHING_ELSE, **priors: Any
) -> dict[str, Exam]:
    exams, of_none = find_exams(rows, PriorSettings(**priors), stand_ins)
    assert not of_none
    return {exam.study_uid: exam for exam in exams}


def paths(exam: Exam) -> set[str]:
    return {row["path"] for row in exam.chosen.values()}


def test_a_study_within_days_fills_the_views_that_the_first_lacks() -> None:
    exams = found(
        image("1", 3, "CC", acquired="20200604"), image("1", 3, "MLO"), image("2", 0, "CC")
    )
    assert set(exams) == {"2"}
    assert exams["2"].repeats == ["1"]
    assert paths(exams["2"]) == {"2/CC", "1/MLO"}
    [(path, reason, detail)] = exams["2"].left_out
    assert (path, reason) == ("1/CC", Reason.REPEATED_VIEW)
    assert "earlier study" in detail


def test_a_usable_image_of_the_repeat_comes_before_a_stand_in_of_the_first() -> None:
    synthetic = {"reason": "synthetic 2D", "kind": "synthetic 2D"}
    rows = [image("1", 0, "CC", **synthetic), image("1", 0, "MLO", **synthetic)]
    exams = found(*rows, image("2", 7, "CC"), stand_ins=StandInSettings(synthetic_2d=True))
    assert paths(exams["1"]) == {"2/CC", "1/MLO"}


def test_studies_further_apart_or_of_unknown_woman_or_day_are_exams_of_their_own() -> None:
    exams = found(
        image("1", 0),
        image("2", 8),
        image("3", 0, patient_id="v"),
        image("4", None),
        image("5", 0, patient_id=None),
        image("6", 0, patient_id=None),
        image("7", 0),
        image("7", 0, "MLO", patient_id="v"),
    )
    assert len(exams) == 7
    assert not any(exam.repeats or exam.priors for exam in exams.values())


def test_an_exam_without_an_image_is_no_prior() -> None:
    rows = [image("1", 0), image("2", 400, reason="spot"), image("3", 1000)]
    exams = found(*rows, most=2)
    assert [(prior.study_uid, months) for prior, months in exams["3"].priors] == [
        ("1", pytest.approx(1000 / 30.4375))
    ]
    assert not exams["2"].chosen


def test_maker_and_machine_are_those_of_most_images() -> None:
    new, old = (
        {"maker": "ge", "model": "P", "software_version": "2"},
        {"maker": "fuji", "model": "A"},
    )
    old["software_version"] = None
    nameless = {"maker": "unknown", "model": None, "software_version": None}

    def made(*kinds: dict[str, Any]) -> tuple[str | None, str | None]:
        sides = [("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO")]
        rows = [
            image("1", 0, view, laterality=side, **kind)
            for (side, view), kind in zip(sides, kinds, strict=False)
        ]
        [exam] = found(*rows).values()
        return exam.maker, exam.machine

    assert made(new, new, old) == ("ge", "P 2")
    assert made(new, old) == ("fuji", "A"), "of equals the first by name"
    assert made(nameless, nameless, nameless, new) == ("unknown", "P 2")
    assert made(nameless) == ("unknown", None)
    assert (Exam("1").maker, Exam("1").machine) == (None, None)


def test_files_of_no_study_come_back() -> None:
    assert find_exams([{"path": "letter.txt"}], PriorSettings(), NOTHING_ELSE) == (
        [],
        [{"path": "letter.txt"}],
    )


def divide_study(folder: Path, days: int) -> str:
    """Give a study's last images to a study of its own ``days`` later; returns the new UID."""
    uid = generate_uid()
    again = folder.with_name(f"{folder.name}X")
    again.mkdir()
    for path in sorted(folder.glob("*.dcm"))[2:]:
        image = dcmread(path)
        day = date.fromisoformat(image.StudyDate) + timedelta(days)
        image.StudyInstanceUID, image.AccessionNumber = uid, again.name
        image.StudyDate = f"{day:%Y%m%d}"
        image.save_as(again / path.name)
        path.unlink()
    return uid


@pytest.fixture(scope="module")
def repeated(programme, tmp_path_factory) -> Path:
    """Seven women of the programme; every other exam was done in two goes, 2 or 9 days apart."""
    out = tmp_path_factory.mktemp("repeated")
    for woman in sorted((programme / "dicom").iterdir())[:7]:
        shutil.copytree(woman, out / "dicom" / woman.name)
    shutil.copytree(programme / "registry", out / "registry")
    exams = pl.read_csv(out / "registry" / "exams.csv", try_parse_dates=True)
    known = {row["exam_id"]: row for row in exams.to_dicts()}
    more = []
    for place, folder in enumerate(sorted((out / "dicom").glob("*/*"))[::2]):
        days = 9 if place % 3 == 0 else 2
        uid = divide_study(folder, days)
        exam = known[folder.name]
        more.append(
            exam
            | {
                "exam_id": f"{folder.name}X",
                "exam_date": exam["exam_date"] + timedelta(days),
                "study_uid": uid,
            }
        )
    everything = pl.concat([exams, pl.DataFrame(more, schema=exams.schema)])
    everything.write_csv(out / "registry" / "exams.csv")
    index = IndexSettings(key_file=str(programme / "pseudonym.key"), pictures=0)
    write_index(out / "dicom", out / "index", index, WorkersSettings(workers=1))
    priors = CohortSettings(priors=PriorSettings(most=2))
    write_cohort(out / "index", out / "registry", out / "cohort", priors)
    return out


def cohort_exams(folder: Path) -> Iterator[tuple[dict[str, Any], dict[str, set[str]]]]:
    """The cohort's exams, and the paths of every exam's images."""
    images = pl.read_parquet(folder / "cohort" / "images.parquet").select("image", "exam")
    where = pl.read_parquet(folder / "index" / "images").select("image", "path")
    of_exam = images.join(where, on="image").group_by("exam").agg("path").rows()
    files = {exam: set(of_one) for exam, of_one in of_exam}
    for exam in pl.read_parquet(folder / "cohort" / "exams.parquet").to_dicts():
        yield exam, files


def test_cohort_and_hospital_make_the_same_exams_of_the_same_studies(repeated: Path) -> None:
    rows = scan(repeated / "dicom", None, bytes(32))
    exams, _ = find_exams(rows, PriorSettings(most=2), NOTHING_ELSE)
    ours = {frozenset(paths(exam)): exam for exam in exams}
    united, with_prior = 0, 0
    for exam, files in cohort_exams(repeated):
        hospital = ours[frozenset(files[exam["exam"]])]
        united += bool(hospital.repeats)
        with_prior += bool(hospital.priors)
        assert [paths(prior) for prior, _ in hospital.priors] == [
            files[prior] for prior in exam["priors"]
        ]
        assert [months for _, months in hospital.priors] == exam["months_before"]
        assert (hospital.maker, hospital.machine) == (exam["maker"], exam["machine"])
    assert united > 2
    assert with_prior > 2
    assert sum(bool(exam.repeats) for exam in exams) < sum(
        folder.name.endswith("X") for folder in (repeated / "dicom").glob("*/*")
    )


def test_a_repeat_is_scored_with_the_first(bundle, programme, tmp_path):
    """An exam done in two goes scores as the same images in one study."""
    whole = next(
        folder
        for folder in sorted((programme / "dicom").glob("*/*"))
        if len(list(folder.iterdir())) == len(VIEW_SLOTS)
    )
    shutil.copytree(whole, tmp_path / "whole" / "study")
    shutil.copytree(whole, tmp_path / "divided" / "study")
    uid = divide_study(tmp_path / "divided" / "study", 3)
    scores = {}
    for name in ("whole", "divided"):
        assert predict(bundle, tmp_path / name, tmp_path / f"{name} out", None) == 0
        table = read_table(tmp_path / f"{name} out" / "predictions.parquet", PREDICTIONS)
        scores[name] = table.to_pylist()
    [at_once], [first, again] = scores["whole"], scores["divided"]
    assert first == at_once
    assert (again["study_uid"], again["reason"]) == (uid, Reason.REPEATED_EXAM)
    assert again["exam_score"] is None
    assert first["study_uid"] in again["detail"]


def test_exams_of_another_maker_than_the_bundle_was_fitted_to_are_scored_and_said(
    bundle, programme, tmp_path, monkeypatch, capsys
):
    own = load_bundle(bundle)
    fitted = replace(own, about=own.about | {"renormalised": {"maker": "ge"}})
    plain = predict(bundle, programme / "dicom", tmp_path / "plain", None)
    monkeypatch.setattr(predict_module, "load_bundle", lambda folder: fitted)
    problems = predict(bundle, programme / "dicom", tmp_path / "fitted", None)
    before, after = (
        read_table(tmp_path / name / "predictions.parquet", PREDICTIONS).to_pylist()
        for name in ("plain", "fitted")
    )
    said = "the bundle was fitted to exams of GE, and this is none"
    foreign = 0
    for was, row in zip(before, after, strict=True):
        is_foreign = row["reason"] is None and row["maker"] != "ge"
        foreign += is_foreign
        assert (said in (row["detail"] or "")) == is_foreign
        assert was | {"detail": None} == row | {"detail": None}
    assert 0 < foreign < len(after)
    assert problems == plain + foreign
    assert f"; {foreign} scored that are not of the maker" in capsys.readouterr().out


def test_a_prior_without_an_image_that_can_be_used_takes_no_place(programme, tmp_path):
    """Its months stay 0, as in training, where such an exam is no prior."""
    source = shutil.copytree(programme / "dicom", tmp_path / "source")
    exams, _ = find_exams(scan(source, None, b"k" * 32), PriorSettings(), StandInSettings())
    exam = next(exam for exam in exams if exam.priors)
    prior, months = exam.priors[0]

    def seen() -> list[float]:
        recipe = RecipeSettings(height=64, width=32)
        assembled = Assembler(source, recipe, GreyStandard(), 1, align=False).assemble(exam)
        assert assembled.inputs is not None
        return assembled.inputs["months"][0].tolist()

    assert seen() == [0, pytest.approx(months)]
    for row in prior.chosen.values():
        path = source / row["path"]
        path.write_bytes(path.read_bytes()[:-300])
    assert seen() == [0, 0]
