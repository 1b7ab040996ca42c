"""Files: what has no header, and whether the pixels behind a header are all there."""

import io
from pathlib import Path

import pytest
from made_files import WHOLE, dicom
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
)

from mim.dicom import reading
from mim.dicom.elements import text
from mim.dicom.parse import Header, IrregularError
from mim.dicom.pixels import PixelError, read_image
from mim.dicom.reading import HeaderError, read_header
from mim.vocab import Reason

FRAGMENTS = [bytes([number]) * 50 for number in range(3)]
ENCAPSULATED = dicom(JPEGLosslessSV1, PixelData=encapsulate(FRAGMENTS))
END = len(ENCAPSULATED) - 8
FIRST_ITEM = ENCAPSULATED.index(b"\xe0\x7f\x10\x00") + 12


def outcome(folder: Path, content: bytes) -> tuple[Reason | None, str]:
    """The reason why the file is no image, whether its header could be read or not; and the words."""
    (folder / "file").write_bytes(content)
    try:
        _, problem = read_header(folder / "file")
    except HeaderError as error:
        problem = error
    return (problem.reason, str(problem)) if problem else (None, "")


def pixels(content: bytes, change: bytes) -> bytes:
    """The encapsulated file with its first bytes of pixels changed."""
    return content[:FIRST_ITEM] + change + content[FIRST_ITEM + len(change) :]


PIXELS = [
    # what the file is, its bytes, reason, words
    ("native", WHOLE, None, ""),
    ("implicit", dicom(ImplicitVRLittleEndian), None, ""),
    ("big endian", dicom(ExplicitVRBigEndian), None, ""),
    ("deflated", dicom(DeflatedExplicitVRLittleEndian), None, ""),
    ("encapsulated", ENCAPSULATED, None, ""),
    ("without pixels", dicom(PixelData=None), Reason.NO_PIXELS, "never written"),
    ("empty pixels", dicom(PixelData=b""), Reason.NO_PIXELS, "empty"),
    ("cut", WHOLE[:-1], Reason.DAMAGED_PIXELS, "95 of 96"),
    ("cut, implicit", dicom(ImplicitVRLittleEndian)[:-40], Reason.DAMAGED_PIXELS, "56 of 96"),
    ("cut, big endian", dicom(ExplicitVRBigEndian)[:-40], Reason.DAMAGED_PIXELS, "56 of 96"),
    ("more rows than pixels", dicom(Rows=9), Reason.DAMAGED_PIXELS, "96 of 108"),
    ("more frames than pixels", dicom(NumberOfFrames=2), Reason.DAMAGED_PIXELS, "96 of 192"),
    ("fewer rows than pixels", dicom(Rows=7), None, ""),
    ("one bit per pixel", dicom(BitsAllocated=1, Rows=9, PixelData=bytes(8)), None, ""),
    ("no Rows", dicom(Rows=None), None, ""),
    ("implicit, more rows", dicom(ImplicitVRLittleEndian, Rows=9), Reason.DAMAGED_PIXELS, "of 108"),
    ("big endian, more rows", dicom(ExplicitVRBigEndian, Rows=9), Reason.DAMAGED_PIXELS, "of 108"),
    (
        "colour has ways to be shorter",
        dicom(Rows=16, SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL_422"),
        None,
        "",
    ),
    (
        "an end of item where pixels should be",
        WHOLE[: WHOLE.index(b"\xe0\x7f\x10\x00")] + b"\xfe\xff\x0d\xe0" + bytes(40),
        Reason.NO_PIXELS,
        "where the header ends",
    ),
    ("a delivery still packed", b"PK\x03\x04" + WHOLE, Reason.UNREADABLE, "zip archive"),
    ("a DICOM file whose preamble looks packed", b"PK\x03\x04" + WHOLE[4:], None, ""),
    ("cut in the length of Pixel Data", WHOLE[: -96 - 1], Reason.UNREADABLE, "parsed"),
    ("cut in the tag of Pixel Data", WHOLE[: -96 - 9], Reason.UNREADABLE, "cut within"),
    ("without the last delimiter", ENCAPSULATED[:END], None, ""),
    ("cut in the last fragment", ENCAPSULATED[: END - 1], Reason.DAMAGED_PIXELS, "item 3 runs"),
    ("no items", pixels(ENCAPSULATED, bytes(8)), Reason.DAMAGED_PIXELS, "neither an item"),
    (
        "a fragment that says it is longer",
        pixels(ENCAPSULATED, ENCAPSULATED[FIRST_ITEM : FIRST_ITEM + 4] + b"\xff\0\0\0"),
        Reason.DAMAGED_PIXELS,
        "item",
    ),
]


@pytest.mark.parametrize(
    ("content", "reason", "words"), [case[1:] for case in PIXELS], ids=[case[0] for case in PIXELS]
)
def test_pixels_that_are_not_all_there(
    content: bytes, reason: Reason | None, words: str, tmp_path: Path
) -> None:
    found, said = outcome(tmp_path, content)
    assert found == reason
    assert words in said


@pytest.mark.parametrize("content", [WHOLE, dicom(ImplicitVRLittleEndian), ENCAPSULATED])
def test_a_cut_file_is_no_image_and_says_nothing_of_the_woman(
    content: bytes, tmp_path: Path
) -> None:
    between = [FIRST_ITEM + 20 + 58 * number for number in (1, 2, 3)]
    for length in range(0, len(content), 10):
        reason, words = outcome(tmp_path, content[:length])
        assert reason or (content is ENCAPSULATED and length in between)
        assert "Nordmann" not in words


@pytest.mark.parametrize("content", [WHOLE, dicom(ImplicitVRLittleEndian), ENCAPSULATED])
def test_pydicom_alone_gives_the_same_reasons(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise IrregularError

    lengths = range(1, len(content), 19)
    ours = [outcome(tmp_path, content[:length])[0] for length in lengths]
    monkeypatch.setattr(reading, "parse", refuse)
    assert [outcome(tmp_path, content[:length])[0] for length in lengths] == ours


def test_what_is_in_order_needs_no_pydicom(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(WHOLE)
    header, _ = read_header(tmp_path / "file")
    assert isinstance(header, Header)
    assert text(header, "PatientID") == "Kari^Nordmann"


@pytest.mark.parametrize("name", ["folder", "nowhere"])
def test_what_cannot_be_opened_is_unreadable(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(HeaderError, match="cannot be opened") as caught:
        read_header(tmp_path / name)
    assert caught.value.reason == Reason.UNREADABLE
    assert name not in str(caught.value)


def test_a_bounded_file_reads_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    file = reading.Bounded(io.FileIO(tmp_path / "file"), 10)
    assert (file.read(3), file.read(2**40), file.read(5)) == (b"012", b"3456789", b"")
    file.seek(8)
    assert file.read() == b"89"


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_hole_of_zeros_is_not_walked_through(syntax: str, tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.write(dicom(syntax)[:-150])
        file.truncate(1 << 33)
    with pytest.raises(HeaderError, match="zeros") as caught:
        read_header(tmp_path / "file")
    assert caught.value.reason == Reason.UNREADABLE
    with pytest.raises(PixelError, match="zeros") as refused:
        read_image(tmp_path / "file")
    assert refused.value.reason == Reason.UNREADABLE
