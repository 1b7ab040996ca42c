"""A folder and its registry under pseudonyms: nothing lost, nothing changed, nothing told."""

import csv
import hashlib
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import UID
from scanner import identifiers, traces

from mim.cohort.build import write_cohort
from mim.cohort.settings import CohortSettings
from mim.dicom.pseudonym import pseudonym
from mim.dicom.tree import Found
from mim.errors import InputError
from mim.ingest.index import write_index
from mim.ingest.settings import IndexSettings
from mim.pseudonyms.aliases import Aliases
from mim.pseudonyms.copies import UNFINISHED, Batch, copy_batch
from mim.pseudonyms.pseudonymise import pseudonymise_folder
from mim.pseudonyms.settings import PseudonymiseSettings
from mim.pseudonyms.tables import cover_registry
from mim.schemas.registry import REGISTRY
from mim.vocab import Reason, Unsafe
from mim.workers.settings import WorkersSettings

KEY = bytes(range(32))
ALIASES = Aliases(KEY, 365)
SERIAL = WorkersSettings(workers=1)


def key_file(folder: Path, key: bytes = KEY) -> Path:
    path = folder / f"{key[0]}.key"
    path.write_text(key.hex())
    return path


@pytest.fixture(scope="module")
def shared(programme: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programme under pseudonyms."""
    folder = tmp_path_factory.mktemp("shared")
    out = folder / "copy"
    left = pseudonymise_folder(
        programme / "dicom",
        out,
        key_file(folder),
        programme / "registry",
        PseudonymiseSettings(),
        SERIAL,
    )
    assert left == pq.read_table(out / "not_copied.parquet").num_rows
    return out


def images(folder: Path) -> list[Path]:
    return sorted((folder / "dicom").rglob("*.dcm"))


def copy_of(original: Dataset, out: Path) -> Path:
    """Where the copy of a file must lie, by the key alone."""
    names = (
        pseudonym(kind, original[keyword].value, KEY)
        for kind, keyword in (
            ("woman", "PatientID"),
            ("exam", "StudyInstanceUID"),
            ("image", "SOPInstanceUID"),
        )
    )
    return out / "dicom" / Path(*names).with_suffix(".dcm")


def test_the_whole_programme_is_copied_but_letters_on_the_breast(
    programme: Path, shared: Path
) -> None:
    targets = {copy_of(dcmread(path), shared): path for path in images(programme)}
    copied = set(images(shared))
    assert copied <= targets.keys()
    left = {
        path.relative_to(programme / "dicom") for at, path in targets.items() if at not in copied
    }
    rows = pq.read_table(shared / "not_copied.parquet").to_pylist()
    assert {row["file"]: row["reason"] for row in rows} == {
        pseudonym("path", path.as_posix(), KEY): Unsafe.BURNT_IN for path in left
    }
    spots = (dcmread(programme / "dicom" / path, stop_before_pixels=True) for path in left)
    assert all(float(spot.EstimatedRadiographicMagnificationFactor) > 1.5 for spot in spots)
    beside = {path.name for path in shared.iterdir()}
    assert beside == {"dicom", "registry", "not_copied.parquet", "pseudonymised.json"}


def test_no_identifier_of_the_programme_is_in_the_copy(programme: Path, shared: Path) -> None:
    assert traces(shared, identifiers(programme)) == set()
    assert traces(programme, identifiers(programme))


def test_pixels_are_the_very_bytes_unless_letters_were_burnt_in(
    programme: Path, shared: Path
) -> None:
    seen = Counter[tuple[str, bool]]()
    for path in images(programme):
        before = dcmread(path)
        if not copy_of(before, shared).exists():
            continue
        after = dcmread(copy_of(before, shared))
        lettered = before.BurnedInAnnotation == "YES"
        seen[before.file_meta.TransferSyntaxUID, lettered] += 1
        assert (after.PixelData == before.PixelData) is not lettered
        assert after.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID or lettered
        assert after.BurnedInAnnotation == "NO"
    assert len({syntax for syntax, _ in seen}) >= 3
    assert {lettered for _, lettered in seen} == {True, False}


def test_blanked_pixels_differ_outside_the_breast_alone(programme: Path, shared: Path) -> None:
    before = next(
        dataset
        for path in images(programme)
        if (dataset := dcmread(path)).BurnedInAnnotation == "YES"
    )
    after = dcmread(copy_of(before, shared))
    changed = before.pixel_array != after.pixel_array
    assert 0 < changed.mean() < 0.03
    rows, columns = np.nonzero(changed)
    assert np.unique(after.pixel_array[rows, columns]).size <= 3


def test_the_same_key_gives_the_same_files_and_another_key_no_name_in_common(
    programme: Path, shared: Path, tmp_path: Path
) -> None:
    woman = next((programme / "dicom").rglob("*.dcm")).parent.parent
    for name, key in (("again", KEY), ("other", KEY[::-1])):
        out = tmp_path / name
        pseudonymise_folder(
            woman, out, key_file(tmp_path, key), None, PseudonymiseSettings(), SERIAL
        )
    again = {path.relative_to(tmp_path / "again"): path for path in images(tmp_path / "again")}
    assert again
    for place, path in again.items():
        assert path.read_bytes() == (shared / place).read_bytes()
    names = [
        {part for path in images(tmp_path / name) for part in path.relative_to(tmp_path).parts[2:]}
        for name in ("again", "other")
    ]
    assert not names[0] & names[1]


def cohort_of(folder: Path, out: Path) -> tuple[list[tuple[object, ...]], list[int]]:
    """What matters of the exams, breasts and images of the cohort of a folder, and ages; sorted."""
    settings = IndexSettings(pictures=0)
    write_index(folder / "dicom", out / "index", settings, SERIAL)
    write_cohort(out / "index", folder / "registry", out / "cohort", CohortSettings())
    exams = pl.read_parquet(out / "cohort" / "exams.parquet")
    count = pl.read_parquet(out / "cohort" / "images.parquet").group_by("exam").len()
    columns = (
        "maker",
        "left_outcome",
        "right_outcome",
        "recalled",
        "density",
        "months_before",
        "joined_by",
        "len",
    )
    kept = exams.join(count, on="exam").select(columns).rows()
    for name in ("density", "quality", "decisions", "cancers", "lesions"):
        labels = pl.read_parquet(out / "cohort" / f"{name}.parquet")
        kept += labels.drop("exam", "image", strict=False).rows()
    return sorted(kept, key=str), sorted(exams["age_years"])


def test_the_cohort_is_the_same(programme: Path, shared: Path, tmp_path: Path) -> None:
    original, ages = cohort_of(programme, tmp_path / "original")
    copied, moved_ages = cohort_of(shared, tmp_path / "shared")
    assert len(original) > 10
    assert any(len(row) == 8 and row[5] for row in original), "an exam with a prior"
    assert copied == original
    assert all(age - 1 <= moved <= age for age, moved in zip(ages, moved_ages, strict=True))


def test_it_goes_on_where_it_stopped(programme: Path, shared: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    shutil.copytree(shared, out)
    lost, *others = images(out)
    whole = lost.read_bytes()
    lost.unlink()
    (out / "unfinished").mkdir()
    (out / "unfinished" / "0.1.dcm").write_bytes(whole[:1000])
    stamps = [path.stat().st_mtime_ns for path in others]
    pseudonymise_folder(
        programme / "dicom", out, key_file(tmp_path), None, PseudonymiseSettings(), SERIAL
    )
    assert lost.read_bytes() == whole
    assert [path.stat().st_mtime_ns for path in others] == stamps
    assert not (out / "unfinished").exists()


@pytest.mark.slow
def test_two_processes_copy_the_same(programme: Path, shared: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    pseudonymise_folder(
        programme / "dicom",
        out,
        key_file(tmp_path),
        programme / "registry",
        PseudonymiseSettings(),
        WorkersSettings(workers=2),
    )
    copied = {path.relative_to(out): path.read_bytes() for path in images(out)}
    assert copied == {path.relative_to(shared): path.read_bytes() for path in images(shared)}


@pytest.fixture(scope="module")
def mammogram(programme: Path) -> Path:
    """An uncompressed image without burnt-in letters."""
    for path in images(programme):
        dataset = dcmread(path, stop_before_pixels=True)
        if (
            dataset.BurnedInAnnotation == "NO"
            and not dataset.file_meta.TransferSyntaxUID.is_compressed
        ):
            return path
    raise AssertionError


def changed(path: Path, to: Path, **elements: object) -> None:
    """A copy of a file with elements changed; None takes one away."""
    dataset = dcmread(path)
    for keyword, value in elements.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(to)


@pytest.mark.parametrize(
    ("syntax", "meta"),
    [("", True), ("", False), (".1", True), (".1", False), (".1.99", True), (".2", True)],
    ids=["implicit", "bare implicit", "explicit", "bare explicit", "deflated", "big endian"],
)
def test_pixels_of_any_encoding_stay(
    syntax: str, meta: bool, mammogram: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    dataset = dcmread(mammogram)
    list(dataset.iterall())  # bytes become values, which any encoding can hold
    values, little = np.frombuffer(dataset.PixelData, "<u2"), syntax != ".2"
    dataset["PixelData"].value = values.astype("<u2" if little else ">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = UID(f"1.2.840.10008.1.2{syntax}")
    if not meta:
        del dataset.file_meta, dataset.preamble
    encoding = {} if meta else {"implicit_vr": not syntax, "little_endian": True}
    dcmwrite(source / "image", dataset, enforce_file_format=meta, **encoding)
    assert (
        pseudonymise_folder(source, out, key_file(tmp_path), None, PseudonymiseSettings(), SERIAL)
        == 0
    )
    after = dcmread(copy_of(dataset, out))
    assert after.file_meta.TransferSyntaxUID == f"1.2.840.10008.1.2{syntax}"
    assert after.PixelData == dataset.PixelData


def spoil(mammogram: Path, source: Path) -> dict[str, str]:
    """A delivery with one file of each kind that stays behind; path to reason."""
    (source / "notes.txt").write_text("Kari Hansen came late")
    shutil.copy(str(get_testdata_file("DICOMDIR")), source / "DICOMDIR")
    shutil.copy(str(get_testdata_file("reportsi.dcm")), source / "report")
    changed(mammogram, source / "capture", SamplesPerPixel=3, PhotometricInterpretation="RGB")
    (source / "cut").write_bytes(mammogram.read_bytes()[:-5000])
    changed(mammogram, source / "no patient", PatientID=None)
    changed(mammogram, source / "no study", StudyInstanceUID="")
    changed(mammogram, source / "no image", SOPInstanceUID=None)
    changed(mammogram, source / "phantom", QualityControlImage="YES")
    changed(mammogram, source / "letters", BurnedInAnnotation="YES", SOPInstanceUID="1.2.1")
    overlay = dcmread(mammogram)
    overlay.add_new(0x60000100, "US", 16)
    overlay.add_new(0x60000102, "US", 15)
    overlay.SOPInstanceUID = "1.2.2"
    overlay.save_as(source / "overlay")
    comment = dcmread(mammogram)
    comment.PatientName, comment.SOPInstanceUID = "Hansen-Planted^Kari", "1.2.3"
    comment.PixelData += b"HANSEN-PLANTED"
    comment.save_as(source / "comment")
    return {
        "notes.txt": Reason.NOT_DICOM,
        "DICOMDIR": Reason.NO_PIXELS,
        "report": Reason.NO_PIXELS,
        "capture": Reason.SECONDARY_CAPTURE,
        "cut": Reason.DAMAGED_PIXELS,
        "no patient": Unsafe.NO_IDENTIFIER,
        "no study": Unsafe.NO_IDENTIFIER,
        "no image": Unsafe.NO_IDENTIFIER,
        "phantom": Reason.NOT_MAMMOGRAM,
        "letters": Unsafe.BURNT_IN,
        "overlay": Unsafe.BURNT_IN,
        "comment": Unsafe.NAMED_IN_PIXELS,
    }


def test_every_file_left_behind_has_a_reason(mammogram: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    reasons = spoil(mammogram, source)
    shutil.copy(mammogram, source / "good")
    shutil.copy(mammogram, source / "good again")
    reasons["good again"] = Reason.DUPLICATE_IMAGE
    left = pseudonymise_folder(
        source, out, key_file(tmp_path), None, PseudonymiseSettings(), SERIAL
    )
    rows = pq.read_table(out / "not_copied.parquet").to_pylist()
    found = {row["file"]: row["reason"] for row in rows}
    assert found == {pseudonym("path", path, KEY): reason for path, reason in reasons.items()}
    assert left == len(reasons)
    assert images(out) == [copy_of(dcmread(mammogram), out)]
    assert not any(re.search("hansen|kari", str(row).lower()) for row in rows)


def test_a_file_that_kills_its_process_is_left_behind_alone(
    mammogram: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    (out / UNFINISHED).mkdir(parents=True)
    source.mkdir()
    shutil.copy(mammogram, source / "a")
    shutil.copy(mammogram, source / "b")
    batch = Batch(source, out, key_file(tmp_path), 365, (Found("a"), Found("b")), 0)
    killed, copied = copy_batch(batch.without("0"))
    assert killed.reason == Reason.DECODER_DIED
    assert copied.fresh
    assert not batch.in_hand.exists()


def test_what_cannot_work_is_said_before_anything_is_written(
    mammogram: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    settings = PseudonymiseSettings()
    key = key_file(tmp_path)
    with pytest.raises(InputError, match="holds no file"):
        pseudonymise_folder(source, out, key, None, settings, SERIAL)
    shutil.copy(mammogram, source)
    for where, at, file in (
        (source / "gone", out, key),
        (source, tmp_path, key),
        (source, out, out / "key"),
    ):
        with pytest.raises(InputError, match="no such folder|keep it apart"):
            pseudonymise_folder(where, at, file, None, settings, SERIAL)
    assert not out.exists()
    pseudonymise_folder(source, out, key, None, settings, SERIAL)
    with pytest.raises(InputError, match="another key"):
        pseudonymise_folder(source, out, key_file(tmp_path, KEY[::-1]), None, settings, SERIAL)
    with pytest.raises(InputError, match="another shift_days"):
        pseudonymise_folder(source, out, key, None, PseudonymiseSettings(shift_days=10), SERIAL)


def registry(folder: Path, **tables: str) -> Path:
    folder.mkdir()
    needed = {
        "exams": "exam_id,woman_id,exam_date\nA1,17026012345,2015-06-10\nA2,17026012345,2017-06-09\n",
        "cancers": "woman_id,diagnosis_date,breast\n17026012345,2017-07-01,L\n",
    }
    for name, text in {**needed, **tables}.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_registry_and_images_agree_on_every_name(tmp_path: Path) -> None:
    cover_registry(registry(tmp_path / "registry"), tmp_path / "out", ALIASES)
    exams = read(tmp_path / "out" / "exams.csv")
    cancer = read(tmp_path / "out" / "cancers.csv")[0]
    assert {row["exam_id"] for row in exams} == {ALIASES.exam("A1"), ALIASES.exam("A2")}
    assert {row["woman_id"] for row in (*exams, cancer)} == {ALIASES.woman("17026012345")}
    moved = sorted(np.datetime64(row["exam_date"]) for row in exams)
    assert moved[1] - moved[0] == np.datetime64("2017-06-09") - np.datetime64("2015-06-10")
    assert np.datetime64("2015-06-10") - moved[0] == ALIASES.days("17026012345")
    assert np.datetime64(cancer["diagnosis_date"]) - moved[1] == np.timedelta64(22, "D")


def test_every_date_of_a_woman_moves_by_her_days(tmp_path: Path) -> None:
    days = {
        "women": ("followup_end", "emigration_date", "death_date"),
        "exams": ("exam_date",),
        "cancers": ("diagnosis_date",),
    }
    dated = {
        (schema.name, column.name)
        for schema in REGISTRY
        for column in schema.columns
        if column.type == pa.date32()
    }
    assert dated == {(name, column) for name, columns in days.items() for column in columns}
    women = "woman_id,followup_end,emigration_date,death_date\n17026012345,2020-01-31,,2019-12-31\n"
    cover_registry(registry(tmp_path / "registry", women=women), tmp_path / "out", ALIASES)
    for name, columns in days.items():
        before, after = (read(tmp_path / part / f"{name}.csv") for part in ("registry", "out"))
        for column in columns:
            moved = sorted(
                str(np.datetime64(row[column]) - ALIASES.days("17026012345")) if row[column] else ""
                for row in before
            )
            assert sorted(row[column] for row in after) == moved


def test_outcomes_and_risk_factors_keep_all_but_the_name_of_the_exam(tmp_path: Path) -> None:
    tables = {
        "outcomes": "exam_id,breast,outcome,years_to_cancer,years_followed\n"
        "A1,L,later cancer,2.25,3\nA1,R,unknown,,\n",
        "risk_factors": "exam_id,height_cm,weight_kg,children,postmenopausal,hormone_therapy,"
        "family_history,earlier_biopsy\nA2,168.5,70,2,true,false,,\n",
        "cancers": "woman_id,diagnosis_date,breast,grade,found_by\n17026012345,2017-07-01,,3,symptoms\n",
        "exams": "exam_id,woman_id,exam_date,given_split\nA1,17026012345,,train\n",
    }
    cover_registry(registry(tmp_path / "registry", **tables), tmp_path / "out", ALIASES)
    outcomes = read(tmp_path / "out" / "outcomes.csv")
    assert [tuple(row.values()) for row in outcomes] == [
        (ALIASES.exam("A1"), "L", "later cancer", "2.25", "3"),
        (ALIASES.exam("A1"), "R", "unknown", "", ""),
    ]
    (asked,) = read(tmp_path / "out" / "risk_factors.csv")
    assert tuple(asked.values()) == (
        ALIASES.exam("A2"),
        "168.5",
        "70",
        "2",
        "true",
        "false",
        "",
        "",
    )
    (cancer,) = read(tmp_path / "out" / "cancers.csv")
    assert (cancer["breast"], cancer["grade"], cancer["found_by"]) == ("", "3", "symptoms")
    (exam,) = read(tmp_path / "out" / "exams.csv")
    assert (exam["exam_date"], exam["given_split"]) == ("", "train")


def test_labels_of_breasts_and_images_keep_all_but_the_names(tmp_path: Path) -> None:
    tables = {
        "density": "exam_id,breast,density,percent\nA1,L,,12.25\nA1,R,d,\n",
        "quality": "exam_id,breast,view,grade,blurred\nA1,L,CC,P,false\nA1,L,MLO,,\n",
        "landmarks": "sop_uid,nipple_x,nipple_y,nipple_visible\n1.2.3,-0.25,1700,true\n",
        "lesions": "sop_uid,x,y,width,height,kind,malignant\n1.2.3,-0.5,17,8,9.5,mass,true\n"
        "1.2.3,3,4,5,6,,\n",
        "readings": "exam_id,reader,breast,score,reading\nA1,Hansen,L,3,2\n",
        "scores": "exam_id,model,breast,score\nA1,product 1,,7\nA1,product 2,L,0.25\n",
    }
    cover_registry(registry(tmp_path / "registry", **tables), tmp_path / "out", ALIASES)
    covered = {name: read(tmp_path / "out" / f"{name}.csv") for name in tables}
    exam = ALIASES.exam("A1")
    assert [tuple(row.values()) for row in covered["density"]] == [
        (exam, "L", "", "12.25"),
        (exam, "R", "d", ""),
    ]
    assert [tuple(row.values()) for row in covered["quality"]] == [
        (exam, "L", "CC", "P", "false"),
        (exam, "L", "MLO", "", ""),
    ]
    assert [tuple(row.values()) for row in covered["landmarks"]] == [
        (ALIASES.uid("1.2.3"), "-0.25", "1700", "true")
    ]
    assert [tuple(row.values()) for row in covered["lesions"]] == [
        (ALIASES.uid("1.2.3"), "-0.5", "17", "8", "9.5", "mass", "true"),
        (ALIASES.uid("1.2.3"), "3", "4", "5", "6", "", ""),
    ]
    assert [tuple(row.values()) for row in covered["readings"]] == [
        (exam, ALIASES.other("reader", "Hansen"), "L", "3", "2")
    ]
    assert [tuple(row.values()) for row in covered["scores"]] == [
        (exam, "product 1", "", "7"),
        (exam, "product 2", "L", "0.25"),
    ]


def test_unknown_columns_and_tables_are_dropped_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = {
        "women": "woman_id,birth_year,name\n17026012345,1960,Kari Hansen\n",
        "addresses": "woman_id,street\n17026012345,Storgata 1\n",
    }
    cover_registry(registry(tmp_path / "registry", **tables), tmp_path / "out", ALIASES)
    said = capsys.readouterr().out
    assert "columns dropped: name" in said
    assert "addresses.csv: no table of the registry, dropped" in said
    women = read(tmp_path / "out" / "women.csv")
    assert women == [{"woman_id": ALIASES.woman("17026012345"), "birth_year": "1960"}]
    assert not (tmp_path / "out" / "addresses.csv").exists()


def test_a_parquet_table_stays_parquet(tmp_path: Path) -> None:
    folder = registry(tmp_path / "registry")
    columns = {"woman_id": [17026012345], "birth_year": [1960]}
    pq.write_table(pa.table(columns), folder / "women.parquet")
    cover_registry(folder, tmp_path / "out", ALIASES)
    women = pq.read_table(tmp_path / "out" / "women.parquet").to_pylist()
    assert women == [{"woman_id": ALIASES.woman("17026012345"), "birth_year": 1960}]


@pytest.mark.parametrize(
    ("table", "text", "message"),
    [
        ("exams", "exam_id,woman_id\nA1,1\n", "column 'exam_date'"),
        ("exams", "exam_id,woman_id,exam_date\nA1,1,Hansen\n", "a day as YYYY-MM-DD"),
        ("exams", "exam_id,woman_id,exam_date\nA1,1,2015-02-30\n", "a day as YYYY-MM-DD"),
        ("exams", "exam_id,woman_id,exam_date\nA1,,2015-02-03\n", "no woman_id"),
        ("cancers", "woman_id,diagnosis_date,breast\n1,2015-02-03,Hansen\n", "one of L, R"),
        ("women", "woman_id,birth_year\n1,Hansen\n", "int32"),
        ("women", "woman_id\n1,2,3\n", "cannot be read"),
    ],
)
def test_a_wrong_table_is_refused_without_quoting_it(
    table: str, text: str, message: str, tmp_path: Path
) -> None:
    folder = registry(tmp_path / "registry", **{table: text})
    with pytest.raises(InputError, match=message) as refused:
        cover_registry(folder, tmp_path / "out", ALIASES)
    assert "Hansen" not in str(refused.value)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    folder = registry(tmp_path / "registry")
    (folder / "exams.csv").unlink()
    with pytest.raises(InputError, match="the table 'exams' is missing"):
        cover_registry(folder, tmp_path / "out", ALIASES)


def test_an_accession_number_fits_its_element() -> None:
    name = hashlib.blake2b(b"accession\x00A1", key=KEY, digest_size=10).hexdigest()[:16]
    assert ALIASES.exam("A1") == name
