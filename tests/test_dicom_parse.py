"""Our own parser of headers: whatever the bytes, elements have the values that pydicom gives them."""

import io
import re
import struct
import tracemalloc
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_files import WHOLE
from pydicom import dcmread
from pydicom.charset import python_encoding
from pydicom.data import get_testdata_files
from pydicom.datadict import dictionary_VR, keyword_dict, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from mim.dicom.elements import Elements, items, quiet, text, texts
from mim.dicom.parse import DEEPEST, KEPT, LONG, SHORT, WINDOW, Header, IrregularError, parse
from mim.dicom.reading import HeaderError, read_header
from mim.vocab import Reason

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
SOURCES = "".join(file.read_text() for file in (ROOT / "mim" / "dicom").glob("*.py"))
ASKED = sorted({*re.findall(r'"([A-Z][A-Za-z0-9]+)"', SOURCES)} & keyword_dict.keys())
"""Every keyword that stands in the room."""

UNDEFINED = 0xFFFFFFFF
PREFIX = bytes(128) + b"DICM"


def by_pydicom(content: bytes) -> Dataset | None:
    """What pydicom reads, or None where it gives up."""
    with quiet():
        try:
            return dcmread(io.BytesIO(content), stop_before_pixels=True, force=True)
        except Exception:
            return None


def by_parser(content: bytes) -> Header:
    return parse(io.BytesIO(content), len(content), content[:WINDOW])[0]


def assert_equal(mine: Elements, theirs: Dataset, asked: list[str]) -> None:
    present = {keyword_for_tag(tag) for tag in theirs.keys()} & keyword_dict.keys()  # noqa: SIM118
    # Items of ours do not know Pixel Representation (0028,0103) of the image around them.
    unclear = set() if asked else {word for word in present if " or " in dictionary_VR(word)}
    for keyword in {*asked, *present} - unclear:
        assert list(texts(mine, keyword)) == list(texts(theirs, keyword)), keyword
        ours, others = items(mine, keyword), items(theirs, keyword)
        assert len(ours) == len(others), keyword
        for our_item, other_item in zip(ours, others, strict=True):
            assert isinstance(other_item, Dataset)
            assert_equal(our_item, other_item, [])


def agree(file: Path, content: bytes) -> None:
    """Values are those of pydicom, and what pydicom cannot read is a HeaderError."""
    file.write_bytes(content)
    expected = by_pydicom(content)
    try:
        header, _ = read_header(file)
    except HeaderError as error:
        known = error.reason == Reason.NOT_DICOM or re.search("cut within|archive", str(error))
        assert known or not expected
    else:
        assert expected is not None
        assert_equal(header, expected, ASKED)
        assert_equal(header.file_meta, expected.file_meta, ["TransferSyntaxUID"])


def test_keywords_are_found() -> None:
    assert {"PatientID", "ViewCodeSequence", "ImagerPixelSpacing"} <= set(ASKED)


FOREIGN = [file for file in map(Path, get_testdata_files()) if file.is_file()]
SMALL = [file for file in FOREIGN if file.stat().st_size < 20_000]


@pytest.mark.parametrize(
    "files", [SMALL, pytest.param(FOREIGN, marks=pytest.mark.slow)], ids=["small", "all"]
)
def test_pydicoms_own_files(files: list[Path], tmp_path: Path) -> None:
    parsed = 0
    for file in files:
        agree(tmp_path / "file", file.read_bytes())
        try:
            with file.open("rb") as opened:
                parse(opened, file.stat().st_size, opened.read(WINDOW))
        except IrregularError:
            continue
        parsed += 1
    assert parsed > 0.6 * len(files)


def test_made_files_of_all_makers(programme: Path, tmp_path: Path) -> None:
    for file in sorted((programme / "dicom").rglob("*.dcm"))[::5]:
        agree(tmp_path / "file", file.read_bytes())
        assert isinstance(read_header(file)[0], Header)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not here")
def test_real_files(tmp_path: Path) -> None:
    for file in [*SHARED.glob("dicom_fodicom/*"), *SHARED.glob("encodings/*")]:
        agree(tmp_path / "file", file.read_bytes())


def length(value: bytes, given: int | None) -> int:
    return len(value) if given is None else given


def element(tag: int, vr: bytes, value: bytes, given: int | None = None) -> bytes:
    """An element as it lies in a file; implicit VR where ``vr`` is empty."""
    start = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if not vr:
        return start + struct.pack("<I", length(value, given)) + value
    if vr in LONG:
        return start + vr + struct.pack("<HI", 0, length(value, given)) + value
    return start + vr + struct.pack("<H", length(value, given) & 0xFFFF) + value


def sequence(tag: int, vr: bytes, contents: list[bytes], defined: bool) -> bytes:
    if defined:
        return element(tag, vr, b"".join(element(0xFFFEE000, b"", one) for one in contents))
    end_of_item, end = element(0xFFFEE00D, b"", b""), element(0xFFFEE0DD, b"", b"")
    parts = [element(0xFFFEE000, b"", one + end_of_item, UNDEFINED) for one in contents]
    return element(tag, vr, b"".join(parts) + end, UNDEFINED)


def file_of(*elements: bytes, syntax: str = ExplicitVRLittleEndian) -> bytes:
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    return PREFIX + element(0x00020010, b"UI", uid) + b"".join(elements)


KEYWORDS = """ImageType SOPClassUID StudyDate StudyTime Manufacturer InstitutionAddress PatientName
SeriesDescription PatientAge PatientComments KVP NumberOfFrames Rows PixelPaddingValue WindowCenter
PixelRepresentation DetectorTemperature ReferencedSOPClassUID FrameLaterality LUTData"""
NESTED = ["AnatomicRegionSequence", "ViewCodeSequence", "ViewModifierCodeSequence"]
VALUES = (
    b"L|MLO\\ID| a b \0|52Y|20200131|2020.01.31|1.5\\-2|0.07\\x|12|007|1.0|NaN|1e999|x|\\|a\\b||\0"
    b"|\x1b$B;3\x1b(B|Vol\xe5|a=b^c|a\nb|+1|+|99999999999999999999|\x01\0|\x01\0\xff\xff|\x01\0\x02"
).split(b"|")
CHARSETS = [
    b"ISO_IR 100",
    b"ISO_IR 192 ",
    b"",
    b"\\ISO 2022 IR 87",
    b"GBK\\ISO_IR 100",
    b"nonsense",
]
ALL_VRS = sorted(SHORT | LONG)


def made(rng: Random, explicit: bool, depth: int = 0) -> bytes:
    """A data set of ordinary, wrong, private and nested elements; now and then out of order."""
    parts: dict[int, bytes] = {}
    for keyword in rng.sample(KEYWORDS.split(), rng.randrange(7)):
        vr = dictionary_VR(keyword)[:2].encode() if rng.random() < 0.7 else rng.choice(ALL_VRS)
        value = rng.choice(VALUES) if rng.random() < 0.8 else rng.randbytes(rng.randrange(9))
        tag = keyword_dict[keyword]
        parts[tag] = element(tag, vr if explicit else b"", value)
    if rng.random() < 0.4:
        tag = 0x00190000 + rng.randrange(0x10, 0x1100)
        parts[tag] = element(tag, rng.choice(ALL_VRS) if explicit else b"", rng.choice(VALUES))
    if rng.random() < 0.4:
        vr = rng.choice([b"CS", b"CS", b"UN", b"LO"]) if explicit else b""
        parts[0x00080005] = element(0x00080005, vr, rng.choice(CHARSETS))
    for keyword in rng.sample([*NESTED, "private"], rng.randrange(3) if depth < 3 else 0):
        tag = keyword_dict.get(keyword, 0x00191001)
        vr = rng.choice([b"SQ", b"SQ", b"UN"]) if explicit else b""
        contents = [made(rng, explicit and vr == b"SQ", depth + 1) for _ in range(rng.randrange(3))]
        parts[tag] = sequence(tag, vr, contents, rng.random() < 0.5)
    order = sorted(parts) if rng.random() < 0.95 else list(parts)
    return b"".join(parts[tag] for tag in order)


@given(st.integers(0, 2**32))
@settings(max_examples=300)
def test_any_data_set(seed: int) -> None:
    rng = Random(seed)
    explicit = seed % 2 == 0
    pixels = element(0x7FE00010, b"OW" if explicit else b"", bytes(4)) if seed % 3 else b""
    syntax = ExplicitVRLittleEndian if explicit else ImplicitVRLittleEndian
    whole = file_of(made(rng, explicit), pixels, syntax=syntax)
    try:
        header = by_parser(whole)
    except IrregularError:
        return
    expected = by_pydicom(whole)
    assert expected is not None
    assert {*header.places, *header.sequences} == set(expected.keys())
    assert_equal(header, expected, ASKED)


def damaged(rng: Random, content: bytes) -> bytes:
    """The content with bytes changed, lost, put in or cut off behind the prefix."""
    result = bytearray(content)
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(PREFIX), len(result))
        match rng.randrange(12):
            case 0:
                del result[place : place + rng.randrange(1, 9)]
            case 1:
                result[place:place] = rng.randbytes(rng.randrange(1, 9))
            case 2:
                result[place : place + 4] = struct.pack(
                    "<I", rng.choice((UNDEFINED, 0xFFFFFFF0, 8, 0))
                )
            case _:
                result[place] = rng.choice((0, 0xFF, rng.randrange(256)))
        if len(result) <= len(PREFIX):
            break
    return bytes(
        result[: rng.randrange(len(PREFIX), len(result) + 1)] if rng.random() < 0.2 else result
    )


def fuzzed(seed: int) -> bytes:
    rng = Random(seed)
    match rng.randrange(8):
        case 0:
            return rng.randbytes(rng.randrange(400))
        case 1:
            return PREFIX + rng.randbytes(rng.randrange(200))
        case 2:
            return b"\x08\x00\x05\x00CS" + rng.randbytes(rng.randrange(200))
        case 3 | 4:
            return damaged(rng, WHOLE)
    explicit = rng.random() < 0.6
    syntax = ExplicitVRLittleEndian if explicit else ImplicitVRLittleEndian
    return damaged(rng, file_of(made(rng, explicit), syntax=syntax))


@pytest.fixture(scope="module")
def spare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parse") / "file"


@given(st.integers(0, 2**32))
@settings(max_examples=250)
def test_any_bytes(spare: Path, seed: int) -> None:
    agree(spare, fuzzed(seed))


@pytest.mark.slow
def test_many_bytes(spare: Path) -> None:
    for seed in range(40_000):
        agree(spare, fuzzed(seed))


MODALITY = element(0x00080060, b"CS", b"MG")
ROWS = element(0x00280010, b"US", b"\x08\0")
CODE = element(0x00080100, b"SH", b"R-10226 ")
ITEM_END = element(0xFFFEE00D, b"", b"")
VIEW = sequence(0x00540220, b"SQ", [CODE], defined=False)

TAKEN = {
    "undefined sequence": VIEW,
    "defined sequence": sequence(0x00540220, b"SQ", [CODE], defined=True),
    "implicit VR in UN": sequence(
        0x00540220, b"UN", [element(0x00080100, b"", b"R-10226 ")], defined=False
    ),
    "implicit VR in UN of known length": sequence(
        0x00540220, b"UN", [element(0x00080100, b"", b"R-10226 ")], defined=True
    ),
    "an item of VR UN": sequence(
        0x00540220, b"SQ", [element(0x00080100, b"UN", b"R-10226 ")], defined=False
    ),
}


@pytest.mark.parametrize("view", TAKEN.values(), ids=TAKEN.keys())
def test_what_the_parser_reads_without_pydicom(view: bytes) -> None:
    header = by_parser(file_of(MODALITY, ROWS, view))
    (code,) = header.items("ViewCodeSequence") or []
    assert code.texts("CodeValue") == ("R-10226",)


LEFT = {
    "out of order": [ROWS, MODALITY],
    "out of order at the start": [MODALITY, element(0x00080005, b"CS", b"ISO_IR 100"), ROWS],
    "twice": [MODALITY, ROWS, ROWS],
    "twice, also as a sequence": [MODALITY, VIEW, sequence(0x00540220, b"SQ", [], defined=True)],
    "unknown VR": [MODALITY, element(0x00280010, b"US", b"\x08\0").replace(b"US", b"XY")],
    "a command": [element(0x00000002, b"UI", b"1.2"), MODALITY],
    "meta among others": [MODALITY, element(0x00020010, b"UI", b"1.2.840.10008.1.2 ")],
    "nothing": [],
    "past the end": [MODALITY, element(0x00280010, b"US", b"", 2)],
    "a delimiter outside": [MODALITY, ITEM_END],
    "a wrong delimiter": [MODALITY, VIEW.replace(ITEM_END, ITEM_END[:4] + b"\x02\0\0\0ab")],
    "no delimiter": [MODALITY, VIEW[:-8]],
    "no item": [MODALITY, VIEW.replace(b"\xfe\xff\0\xe0", b"\xfe\xff\1\xe0")],
    "an item that ends within an element": [
        element(0x00540220, b"SQ", element(0xFFFEE000, b"", CODE, len(CODE) - 2), UNDEFINED)
    ],
    "an item that ends early": [
        element(0x00540220, b"SQ", element(0xFFFEE000, b"", CODE + ITEM_END + CODE), UNDEFINED)
    ],
    "bytes without a length": [MODALITY, element(0x00191010, b"OB", b"ab", UNDEFINED)],
}


@pytest.mark.parametrize("parts", LEFT.values(), ids=LEFT.keys())
def test_what_is_out_of_order_is_left_to_pydicom(parts: list[bytes], spare: Path) -> None:
    content = file_of(*parts)
    with pytest.raises(IrregularError):
        by_parser(content)
    agree(spare, content)


def test_explicit_vr_that_calls_itself_implicit(spare: Path) -> None:
    """Read as a length, the VR and length of Modality lead to the end of this very file."""
    misread = 8 + int.from_bytes(MODALITY[4:8], "little")
    room = misread - len(MODALITY + ROWS) - 12
    pixels = element(0x7FE00010, b"OW", bytes(room))
    agree(spare, file_of(MODALITY, ROWS, pixels, syntax=ImplicitVRLittleEndian))
    assert text(read_header(spare)[0], "Rows") == "8"


def test_printable_ascii_is_the_same_in_all_encodings() -> None:
    ascii_text = bytes(range(0x20, 0x7F))
    assert {ascii_text.decode(codec) for codec in python_encoding.values()} == {ascii_text.decode()}


LOCAL = [
    # Specific Character Set, its name in Python, a text
    ("ISO_IR 100", "latin-1", "Brystsenter Tromsø"),
    ("ISO_IR 192", "utf-8", "Brystsenter Tromsø"),
    ("ISO_IR 144", "iso8859-5", "Центр"),
    ("GB18030", "gb18030", "乳腺中心"),
    ("\\ISO 2022 IR 87", "iso2022-jp", "乳房センター"),
    ("ISO 2022 IR 6\\ISO 2022 IR 87", "iso2022-jp", "乳房センター"),
]


@pytest.mark.parametrize(("charset", "codec", "written"), LOCAL)
@pytest.mark.parametrize("undefined", [True, False])
def test_local_text_also_within_sequences(
    charset: str, codec: str, written: str, undefined: bool
) -> None:
    meaning = element(0x00080104, b"LO", written.encode(codec))
    header = by_parser(
        file_of(
            element(0x00080005, b"CS", charset.encode()),
            element(0x0008103E, b"LO", written.encode(codec)),
            sequence(0x00082218, b"SQ", [meaning], not undefined),
        )
    )
    assert text(header, "SeriesDescription") == written
    assert [text(one, "CodeMeaning") for one in items(header, "AnatomicRegionSequence")] == [
        written
    ]


@pytest.mark.parametrize(
    "charset", ["ISO_IR 999", "ISO_IR 192\\ISO_IR 100", "ISO-IR 100", "utf-16", "cp037"]
)
def test_other_character_sets_are_left_to_pydicom(charset: str, spare: Path) -> None:
    """Python knows encodings in which even a code string would be something else."""
    content = file_of(
        element(0x00080005, b"CS", charset.encode()), element(0x0008103E, b"LO", b"Troms\xf8")
    )
    agree(spare, content)
    with pytest.raises(IrregularError):
        by_parser(content)


def test_what_is_wrong_is_not_said_in_the_logs(
    spare: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    for content in (
        file_of(element(0x00080005, b"CS", b"ISO_IR 999"), element(0x0008103E, b"LO", b"name")),
        file_of(element(0x00080005, b"CS", b"ISO_IR 192"), element(0x0008103E, b"LO", b"\xe5")),
        file_of(element(0x00280010, b"US", b"odd"), element(0x00281052, b"DS", b"\xff")),
    ):
        agree(spare, content)
    assert (caplog.text, len(recwarn)) == ("", 0)


class Counted(io.BytesIO):
    """A file that knows how much of it was read."""

    bytes_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        self.bytes_read += len(content)
        return content


@pytest.mark.parametrize("defined", [True, False])
def test_long_values_are_passed_over(defined: bool) -> None:
    """Hologic's private volumes lie in sequences before Pixel Data."""
    volume = element(0x7E011012, b"OB", bytes(KEPT + 2))
    file = Counted(
        file_of(
            element(0x00080060, b"CS", b"MG"),
            element(0x00191010, b"OB", bytes(KEPT + 2)),
            element(0x00280010, b"US", b"\x08\0"),
            sequence(0x7E011010, b"SQ", [volume, volume], defined),
            element(0x7E011020, b"LO", b"after it"),
            element(0x7FE00010, b"OW", bytes(8)),
        )
    )
    size = len(file.getvalue())
    header, at = parse(file, size, file.read(WINDOW))
    assert at == size - 20
    assert (text(header, "Modality"), text(header, "Rows")) == ("MG", "8")
    assert {0x00191010, 0x7E011020} & header.places.keys() == {0x7E011020}
    assert file.bytes_read < 0.4 * KEPT


@given(st.integers(0, 3 * WINDOW))
@settings(max_examples=60)
@example(WINDOW - 180)
def test_values_lie_anywhere_about_the_window(size: int) -> None:
    """Padding moves the elements behind it over the end of the window, byte by byte."""
    after = [element(0x00280010, b"US", b"\x08\0"), element(0x00281052, b"DS", b"1.5 ")]
    codes = sequence(0x00540220, b"SQ", [element(0x00080100, b"SH", b"R-10226 ")], size % 2 == 0)
    content = file_of(element(0x00191010, b"OB", bytes(size)), *after, codes)
    header = by_parser(content)
    assert (list(texts(header, "Rows")), list(texts(header, "RescaleIntercept"))) == (
        ["8"],
        ["1.5"],
    )
    assert [text(one, "CodeValue") for one in items(header, "ViewCodeSequence")] == ["R-10226"]


@pytest.mark.parametrize("vr", [b"OB", b"UN", b"SQ", b"UT"])
@pytest.mark.parametrize("given_length", [0xFFFFFFF0, UNDEFINED])
def test_a_monstrous_length_sets_no_memory_aside(vr: bytes, given_length: int, spare: Path) -> None:
    content = file_of(
        element(0x00080060, b"CS", b"MG"), element(0x00191010, vr, b"ab", given_length)
    )
    spare.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(HeaderError):
            read_header(spare)
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("depth", [1, DEEPEST, DEEPEST + 1, 3000])
@pytest.mark.parametrize("defined", [True, False])
def test_nesting_is_followed_as_far_as_it_is_sane(depth: int, defined: bool, spare: Path) -> None:
    content = CODE
    for _ in range(depth):
        content = sequence(0x00540220, b"SQ", [content], defined)
    spare.write_bytes(file_of(content))
    try:
        place, _ = read_header(spare)
    except HeaderError:
        assert depth > 100
        return
    for _ in range(depth):
        (place,) = items(place, "ViewCodeSequence")
    assert text(place, "CodeValue") == "R-10226"
    assert isinstance(read_header(spare)[0], Header) == (defined or depth <= DEEPEST)
