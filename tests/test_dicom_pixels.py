"""Every transfer syntax gives back the planted pixels; nothing that is damaged gives any."""

import importlib.util
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pixel_files import (
    BIG_ENDIAN,
    CODINGS,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    NATIVE,
    RLE,
    header,
    jpeg_2000,
    libjpeg,
    lossless_jpeg,
    native_bytes,
    planted,
    run_lengths,
    write_coding,
    write_dicom,
)
from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import pixel_array
from pydicom.uid import UID

from mim.dicom.decoders import DECODERS
from mim.dicom.pixels import PixelError, read_image
from mim.vocab import Reason

LOSSLESS = [name for name, coding in CODINGS.items() if coding.lossless]
COMPRESSED = [name for name, coding in CODINGS.items() if coding.encode]


def refused(path: Path, match: str | None = None) -> Reason:
    with pytest.raises(PixelError, match=match) as caught:
        read_image(path)
    return caught.value.reason


@pytest.mark.parametrize("name", LOSSLESS)
def test_planted_pixels_come_back_bit_for_bit(tmp_path, name):
    pixels = planted(bits=CODINGS[name].bits)
    found = read_image(write_coding(tmp_path / "a.dcm", name, pixels))
    np.testing.assert_array_equal(found.pixels, pixels)
    assert found.pixels.dtype == pixels.dtype
    assert "PixelData" not in found.dataset


def test_the_codings_of_these_tests_are_all_of_the_table():
    assert {coding.syntax for coding in CODINGS.values()} == set(DECODERS)
    assert all(UID(syntax).is_transfer_syntax for syntax in DECODERS)


def test_the_documentation_has_the_table_of_decoders():
    page = (Path(__file__).resolve().parents[1] / "docs" / "decoding.md").read_text()
    for syntax, decoder in DECODERS.items():
        rows = [
            line for line in page.splitlines() if f"| {decoder.library} | {decoder.why} |" in line
        ]
        assert len(rows) == 1
        assert (syntax.removeprefix("1.2.840.10008.1.2") or "(none)") in rows[0]


def other_decoders(path: Path, syntax: str) -> dict[str, np.ndarray]:
    """What other libraries make of a file."""
    dataset = dcmread(path)
    if syntax in NATIVE:
        return {"pydicom": dataset.pixel_array}
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    shape = dataset.Rows, dataset.Columns
    if syntax == RLE:
        from rle.utils import decode_frame

        found = np.frombuffer(
            decode_frame(frame, shape[0] * shape[1], dataset.BitsAllocated, "<"),
            f"<u{dataset.BitsAllocated // 8}",
        )
        return {"pylibjpeg-rle": found.reshape(shape)}
    if syntax in (JPEG + "90", JPEG + "91", JPEG + "201", JPEG + "202", JPEG + "203"):
        from openjpeg.utils import decode

        return {"pylibjpeg-openjpeg": decode(frame)}
    found = {"gdcm": pixel_array(dataset, decoding_plugin="gdcm")}
    if syntax == JPEG + "80":
        found["pyjpegls"] = pixel_array(dataset, decoding_plugin="pyjpegls")
    return found


@pytest.mark.parametrize("name", LOSSLESS)
def test_another_library_decodes_the_same(tmp_path, name):
    path = write_coding(tmp_path / "a.dcm", name, planted(64, 52, CODINGS[name].bits))
    found = read_image(path).pixels
    others = other_decoders(path, CODINGS[name].syntax)
    assert others
    for other in others.values():
        np.testing.assert_array_equal(found, other)


FULL_SIZE = [name for name in LOSSLESS if name not in ("JPEG lossless, restarts",)]


@pytest.fixture(scope="module")
def full_size() -> np.ndarray:
    """4096 x 3328, twelve bits: body with a detector's noise, air masked to 0."""
    random = np.random.default_rng(1)
    down = np.linspace(-1, 1, 4096, dtype=np.float32)[:, None]
    across = np.linspace(0, 1, 3328, dtype=np.float32)[None]
    radius = (down / 0.95) ** 2 + (across / 0.8) ** 2
    body = 1200 + 1500 * np.sqrt(np.clip(1 - radius, 0, 1)) + 120 * np.sin(40 * across + 13 * down)
    noise = 18 * random.standard_normal(radius.shape, dtype=np.float32)
    return np.clip(np.where(radius < 1, body + noise, 0), 0, 4095).astype(np.uint16)


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL_SIZE)
def test_another_library_decodes_the_same_at_full_size(tmp_path, full_size, name):
    bits = CODINGS[name].bits
    if bits == 8:
        pixels = (full_size >> 4).astype(np.uint8)
    else:
        pixels = full_size << (bits - 12) | full_size & ((1 << (bits - 12)) - 1)
    path = write_coding(tmp_path / "a.dcm", name, pixels)
    found = read_image(path).pixels
    np.testing.assert_array_equal(found, pixels)
    for other in other_decoders(path, CODINGS[name].syntax).values():
        np.testing.assert_array_equal(found, other)


@pytest.mark.parametrize(
    ("predictor", "shift", "restart_rows", "bits", "modulo"),
    [
        *((predictor, 0, 0, 12, False) for predictor in range(1, 8)),
        *((predictor, 0, 7, 8, False) for predictor in range(1, 8)),
        (1, 3, 0, 12, False),
        (6, 2, 9, 16, False),
        (1, 0, 0, 12, True),
        (4, 0, 7, 12, True),
        (2, 0, 0, 8, True),
    ],
)
def test_lossless_jpeg_as_libjpeg_never_writes_it(
    tmp_path, predictor, shift, restart_rows, bits, modulo
):
    pixels = planted(32, 24, bits) >> shift << shift
    stream = lossless_jpeg(pixels, bits, predictor, shift, restart_rows, modulo)
    path = write_dicom(tmp_path / "a.dcm", JPEG + "57", pixels, bits, stream)
    np.testing.assert_array_equal(read_image(path).pixels, pixels)


def test_a_halving_predictor_with_differences_modulo_is_refused(tmp_path):
    """libjpeg halves the bits above the precision too, and no other free decoder does better."""
    pixels = planted()
    stream = lossless_jpeg(pixels, predictor=7, modulo=True)
    path = write_dicom(tmp_path / "a.dcm", JPEG + "57", pixels, 12, stream)
    assert refused(path, "modulo") is Reason.DAMAGED_PIXELS


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_frame_in_many_fragments_is_joined(tmp_path, name):
    pixels = planted(bits=CODINGS[name].bits)
    whole = read_image(write_coding(tmp_path / "a.dcm", name, pixels)).pixels
    path = write_coding(tmp_path / "b.dcm", name, pixels, fragments=5)
    np.testing.assert_array_equal(read_image(path).pixels, whole)


def test_a_wrong_offset_table_is_not_asked(tmp_path):
    path = write_coding(tmp_path / "a.dcm", "JPEG-LS", planted(bits=16), fragments=3)
    whole = path.read_bytes()
    table = b"\xfe\xff\x00\xe0\x04\x00\x00\x00\x00\x00\x00\x00"
    assert whole.count(table) == 1
    path.write_bytes(whole.replace(table, table[:8] + b"\x34\x12\x00\x00"))
    np.testing.assert_array_equal(read_image(path).pixels, planted(bits=16))


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_file_without_its_delimiter_is_read_if_the_stream_is_whole(tmp_path, name):
    pixels = planted(bits=CODINGS[name].bits)
    path = write_coding(tmp_path / "a.dcm", name, pixels)
    whole = read_image(path).pixels
    assert path.read_bytes()[-8:] == b"\xfe\xff\xdd\xe0\0\0\0\0"
    path.write_bytes(path.read_bytes()[:-8])
    np.testing.assert_array_equal(read_image(path).pixels, whole)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.97])
@pytest.mark.parametrize("name", CODINGS)
def test_a_cut_file_gives_no_picture(tmp_path, name, share):
    path = write_coding(tmp_path / "a.dcm", name, planted(bits=CODINGS[name].bits))
    whole = path.read_bytes()
    start = len(whole) // 8
    path.write_bytes(whole[: start + int((len(whole) - start) * share)])
    assert refused(path) in (Reason.DAMAGED_PIXELS, Reason.NO_PIXELS, Reason.UNREADABLE)


@pytest.mark.parametrize("forged", [b"", b"\xff\xd9"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.995])
@pytest.mark.parametrize("name", COMPRESSED)
def test_a_cut_stream_that_was_wrapped_again_gives_no_picture(tmp_path, name, share, forged):
    """Items and delimiter are whole; the stream's own end is missing, or was put back."""
    coding = CODINGS[name]
    pixels = planted(bits=coding.bits)
    stream = coding.encode(pixels)
    cut = stream[: int((len(stream) - 2) * share)] + forged
    path = write_dicom(tmp_path / "a.dcm", coding.syntax, pixels, coding.bits, cut)
    assert refused(path) is Reason.DAMAGED_PIXELS


def test_restart_markers_that_are_gone_give_no_picture(tmp_path):
    """Cut between two restart intervals, a stream is whole but for their number."""
    pixels = planted(bits=8)
    stream = CODINGS["JPEG, restarts"].encode(pixels)
    path = write_dicom(tmp_path / "a.dcm", JPEG + "50", pixels, 8, stream)
    assert read_image(path).pixels.shape == pixels.shape
    cut = stream[: stream.index(b"\xff\xd4")] + b"\xff\xd9"
    write_dicom(path, JPEG + "50", pixels, 8, cut)
    assert refused(path, "4 markers within the scan, where 7 belong") is Reason.DAMAGED_PIXELS


def test_run_lengths_that_do_not_begin_behind_their_header_give_no_picture(tmp_path):
    frame = bytearray(run_lengths(planted()))
    frame[4] += 2
    path = write_dicom(tmp_path / "a.dcm", RLE, planted(), 12, bytes(frame))
    assert refused(path, "not in order") is Reason.DAMAGED_PIXELS


@pytest.mark.parametrize(
    ("behind", "reads"), [(b"", True), (b"crc size", True), (bytes(11), False)]
)
def test_a_deflated_data_set_ends_with_the_file_or_a_check_value(tmp_path, behind, reads):
    path = write_coding(tmp_path / "a.dcm", "deflated", planted())
    path.write_bytes(path.read_bytes() + behind)
    if reads:
        np.testing.assert_array_equal(read_image(path).pixels, planted())
    else:
        assert refused(path, "deflated") is Reason.DAMAGED_PIXELS


def test_a_comment_before_the_end_of_jpeg_2000_does_no_harm(tmp_path):
    """As in 966.dcm of pylibjpeg-data, at which OpenJPEG gives up."""
    stream = jpeg_2000(planted())[:-2] + b"\xff\x64\0\x0b\0\1PADDING\xff\xd9"
    path = write_dicom(tmp_path / "a.dcm", JPEG + "90", planted(), 12, stream)
    np.testing.assert_array_equal(read_image(path).pixels, planted())


def test_a_stream_in_the_boxes_of_a_jp2_file_is_read(tmp_path):
    stream = bytes(imagecodecs.jpeg2k_encode(planted(), level=0, codecformat="jp2"))
    path = write_dicom(tmp_path / "a.dcm", JPEG + "90", planted(), 12, stream)
    np.testing.assert_array_equal(read_image(path).pixels, planted())


def test_how_much_of_a_cut_file_is_there_is_said(tmp_path):
    path = write_coding(tmp_path / "a.dcm", "explicit", planted())
    path.write_bytes(path.read_bytes()[:-100])
    refused(path, "5146 of 5246 bytes of pixels")


@pytest.mark.parametrize("change", [{"Rows": 60}, {"Rows": 67}, {"Columns": 42}, {"Columns": 50}])
@pytest.mark.parametrize("name", CODINGS)
def test_a_header_that_lies_about_the_size_gives_no_picture(tmp_path, name, change):
    pixels = planted(bits=CODINGS[name].bits)
    path = write_coding(tmp_path / "a.dcm", name, pixels, **change)
    told = "RLE" not in name and name in COMPRESSED
    assert refused(path, "the header says" if told else None) is Reason.DAMAGED_PIXELS


@pytest.mark.parametrize(
    ("spare", "reads"), [(0, True), (1, True), (2, True), (84, True), (86, False), (9999, False)]
)
def test_uncompressed_pixels_may_be_longer_by_less_than_a_line(tmp_path, spare, reads):
    pixels = planted()
    data = native_bytes(pixels, EXPLICIT) + b"\7" * spare
    path = write_dicom(tmp_path / "a.dcm", EXPLICIT, pixels, 12, data)
    if reads:
        np.testing.assert_array_equal(read_image(path).pixels, pixels)
    else:
        assert refused(path, "bytes more than") is Reason.DAMAGED_PIXELS


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize("missing", [1, 2, 500])
def test_uncompressed_pixels_that_are_too_few_give_no_picture(tmp_path, syntax, missing):
    pixels = planted(60)
    path = write_dicom(
        tmp_path / "a.dcm", syntax, pixels, 12, native_bytes(pixels, syntax)[: -missing - 1]
    )
    assert refused(path) is Reason.DAMAGED_PIXELS


@pytest.mark.parametrize("name", COMPRESSED)
def test_compressed_pixels_that_are_not_wrapped_give_no_picture(tmp_path, name):
    """A file whose pixels were decompressed but whose syntax still says otherwise."""
    pixels = planted(bits=CODINGS[name].bits)
    path = write_dicom(tmp_path / "a.dcm", EXPLICIT, pixels, CODINGS[name].bits, None)
    syntax = CODINGS[name].syntax.encode()
    syntax += b"\0" * (len(syntax) % 2)
    old = b"UI\x14\0" + EXPLICIT.encode() + b"\0"
    assert path.read_bytes().count(old) == 1
    new = b"UI" + len(syntax).to_bytes(2, "little") + syntax
    path.write_bytes(path.read_bytes().replace(old, new))
    assert refused(path) is Reason.DAMAGED_PIXELS


@pytest.mark.parametrize("vr", ["OB", "OW"])
@pytest.mark.parametrize("columns", [43, 44])
def test_eight_bits_in_big_endian_words_are_swapped_in_pairs(tmp_path, vr, columns):
    """PS3.5 A.3: OW is a string of 16-bit words, whatever lies in them."""
    pixels = planted(61, columns, 8)
    data = native_bytes(pixels, BIG_ENDIAN)
    data += b"\0" * (len(data) % 2)
    if vr == "OW":
        data = np.frombuffer(data, np.uint16).byteswap().tobytes()
    path = write_dicom(tmp_path / "a.dcm", BIG_ENDIAN, pixels, 8, data, vr=vr)
    found = read_image(path).pixels
    np.testing.assert_array_equal(found, pixels)
    np.testing.assert_array_equal(found, dcmread(path).pixel_array)


SIGNED = {
    EXPLICIT: None,
    BIG_ENDIAN: None,
    DEFLATED: None,
    RLE: run_lengths,
    JPEG + "70": libjpeg(12, lossless=True),
    JPEG + "80": lambda a: bytes(imagecodecs.jpegls_encode(a)),
    JPEG + "90": jpeg_2000,
    JPEG + "201": lambda a: bytes(imagecodecs.htj2k_encode(a)),
}


@pytest.mark.parametrize("syntax", SIGNED)
@pytest.mark.parametrize("extended", [False, True])
def test_signed_values_keep_their_sign(tmp_path, syntax, extended):
    """Twelve bits; the bits above hold zeros or repeat the sign, as far as the stream has them."""
    signed = planted().astype(np.int16) - 2048
    stored = signed.view(np.uint16) if extended else (signed & 0x0FFF).view(np.uint16)
    if extended and syntax in (JPEG + "70", JPEG + "90"):
        pytest.skip("the stream has twelve bits")
    stream = SIGNED[syntax](stored) if SIGNED[syntax] else None
    path = write_dicom(tmp_path / "a.dcm", syntax, stored, 12, stream, PixelRepresentation=1)
    found = read_image(path).pixels
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, signed)


@pytest.mark.parametrize("name", ["JPEG 2000", "HTJ2K"])
def test_a_signed_stream_under_either_header_is_what_the_header_says(tmp_path, name):
    """Pixel Representation decides; pydicom does the same."""
    signed = planted(bits=16).view(np.int16)
    encode = {"JPEG 2000": lambda a: jpeg_2000(a, 16), "HTJ2K": imagecodecs.htj2k_encode}[name]
    stream = bytes(encode(signed))
    for representation, expected in ((1, signed), (0, signed.view(np.uint16))):
        path = write_dicom(
            tmp_path / "a.dcm",
            CODINGS[name].syntax,
            signed,
            16,
            stream,
            PixelRepresentation=representation,
        )
        np.testing.assert_array_equal(read_image(path).pixels, expected)


@pytest.mark.parametrize("stored", [12, 16])
def test_a_signed_stream_of_twelve_bits_keeps_its_sign(tmp_path, stored):
    signed = planted().astype(np.int16) - 2048
    path = tmp_path / "a.dcm"
    for representation, expected in ((1, signed), (0, (signed & 0x0FFF).view(np.uint16))):
        write_dicom(
            path, JPEG + "90", signed, stored, jpeg_2000(signed), PixelRepresentation=representation
        )
        np.testing.assert_array_equal(read_image(path).pixels, expected)


def test_a_stream_with_more_bits_than_are_allocated_gives_no_picture(tmp_path):
    pixels = planted(bits=8)
    stream = bytes(imagecodecs.htj2k_encode(pixels.astype(np.uint16)))
    path = write_dicom(tmp_path / "a.dcm", JPEG + "201", pixels, 8, stream)
    assert refused(path, "8 are allocated") is Reason.DAMAGED_PIXELS


def test_lossy_htj2k_under_a_lossless_syntax_is_refused(tmp_path):
    """OpenJPH may die of it where it is damaged."""
    pixels = planted(bits=16)
    stream = CODINGS["HTJ2K lossy"].encode(pixels)
    path = write_dicom(tmp_path / "a.dcm", JPEG + "202", pixels, 16, stream)
    assert refused(path, "lossy") is Reason.DAMAGED_PIXELS


@pytest.mark.parametrize("name", ["JPEG 2000", "JPEG lossless SV1", "JPEG-LS", "HTJ2K", "RLE"])
@pytest.mark.parametrize("stored", [10, 14])
def test_a_stream_may_have_other_bits_than_the_header_if_the_values_fit(tmp_path, name, stored):
    pixels = planted(bits=10)
    path = write_coding(tmp_path / "a.dcm", name, pixels, BitsStored=stored, HighBit=stored - 1)
    np.testing.assert_array_equal(read_image(path).pixels, pixels)


@pytest.mark.parametrize("name", ["JPEG 2000", "JPEG lossless SV1", "JPEG-LS", "HTJ2K", "RLE"])
def test_a_stream_with_more_bits_than_the_header_says_gives_no_picture(tmp_path, name):
    path = write_coding(tmp_path / "a.dcm", name, planted(), BitsStored=10, HighBit=9)
    assert refused(path, "10 bits") is Reason.DAMAGED_PIXELS


@pytest.mark.parametrize("syntax", [IMPLICIT, BIG_ENDIAN])
def test_an_overlay_above_bits_stored_is_dropped(tmp_path, syntax):
    overlay = np.zeros((61, 43), np.uint16)
    overlay[20:30, 10:20] = 0xA000
    path = write_dicom(tmp_path / "a.dcm", syntax, planted() | overlay, 12, None)
    np.testing.assert_array_equal(read_image(path).pixels, planted())


@pytest.mark.parametrize("signed", [False, True])
def test_bits_stored_that_cuts_the_values_gives_no_picture(tmp_path, signed):
    smooth = np.add.outer(np.arange(61) * 30, np.arange(43) * 40).astype(np.int16)
    smooth = (smooth - 1700 if signed else smooth).view(np.uint16)
    path = write_dicom(
        tmp_path / "a.dcm", EXPLICIT, smooth, 10, None, PixelRepresentation=int(signed)
    )
    assert refused(path, "10 bits") is Reason.DAMAGED_PIXELS


@pytest.mark.parametrize(
    ("stored", "high_bit", "expected"),
    [
        (planted() << 4, 15, planted()),
        (planted() << 2, 13, planted()),
        # High Bit is wrong: values at the bottom have bits where it leaves none.
        (planted(), 15, planted()),
        (planted(), 9, planted()),
        (planted() | 0x1000, 13, None),
    ],
)
def test_values_are_where_high_bit_says_or_where_they_can_only_be(
    tmp_path, stored, high_bit, expected
):
    path = write_dicom(tmp_path / "a.dcm", EXPLICIT, stored, 12, None, HighBit=high_bit)
    if expected is None:
        assert refused(path, "bits are set") is Reason.DAMAGED_PIXELS
    else:
        np.testing.assert_array_equal(read_image(path).pixels, expected)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"NumberOfFrames": 3}, Reason.TOMOSYNTHESIS),
        ({"SamplesPerPixel": 3}, Reason.NOT_MAMMOGRAM),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, Reason.NOT_MAMMOGRAM),
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, Reason.DAMAGED_PIXELS),
        ({"BitsStored": 17}, Reason.DAMAGED_PIXELS),
        ({"Rows": None}, Reason.NO_PIXELS),
    ],
)
def test_what_is_no_single_grey_frame_is_named(tmp_path, changes, reason):
    path = write_dicom(tmp_path / "a.dcm", EXPLICIT, planted(), 12, None, **changes)
    assert refused(path) is reason


def test_an_unknown_syntax_is_named(tmp_path):
    path = write_coding(tmp_path / "a.dcm", "JPEG-LS", planted(bits=16))
    path.write_bytes(path.read_bytes().replace(b".1.2.4.80", b".1.2.4.99"))
    assert refused(path, r"1\.2\.840\.10008\.1\.2\.4\.99") is Reason.UNSUPPORTED_SYNTAX


@pytest.mark.parametrize(
    "content",
    [b"", b"no dicom at all", b"\0" * 128 + b"DICM", b"Rows: 61\nColumns: 43\n" * 500],
)
def test_what_is_no_image_is_no_image(tmp_path, content):
    path = tmp_path / "a.dcm"
    path.write_bytes(content)
    refused(path)


def test_a_missing_file_is_unreadable_and_not_named(tmp_path):
    with pytest.raises(PixelError) as caught:
        read_image(tmp_path / "anna.dcm")
    assert caught.value.reason is Reason.UNREADABLE
    assert "anna" not in caught.value.detail


def test_a_header_without_pixels_has_none(tmp_path):
    dataset = header(EXPLICIT, planted(), 12)
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert refused(tmp_path / "a.dcm") is Reason.NO_PIXELS


def test_damage_that_openjph_meets_is_no_picture_and_nothing_is_printed(tmp_path, capfd):
    """imagecodecs prints the error and returns what it has: without a guard, a picture."""
    pixels = planted(bits=16)
    stream = bytearray(imagecodecs.htj2k_encode(pixels))
    silent = 0
    for place in range(120, len(stream) - 2, 41):
        stream[place] ^= 0xFF
        path = write_dicom(tmp_path / "a.dcm", JPEG + "201", pixels, 16, bytes(stream))
        stream[place] ^= 0xFF
        try:
            read_image(path)
        except PixelError as error:
            silent += "met damage" in error.detail
    assert silent
    assert capfd.readouterr().err == ""


@given(
    name=st.sampled_from(LOSSLESS),
    rows=st.integers(1, 20),
    columns=st.integers(1, 20),
    flat=st.booleans(),
    seed=st.integers(0, 9),
)
def test_any_shape_comes_back(tmp_path_factory, name, rows, columns, flat, seed):
    coding = CODINGS[name]
    random = np.random.default_rng(seed)
    top = 1 if flat else 1 << coding.bits
    pixels = random.integers(0, top, (rows, columns)).astype(planted(1, 1, coding.bits).dtype)
    if flat:
        pixels[rows // 2 :] = (1 << coding.bits) - 1
    path = tmp_path_factory.getbasetemp() / "shape.dcm"
    found = read_image(write_coding(path, name, pixels)).pixels
    np.testing.assert_array_equal(found, pixels)


SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def real_files() -> list[Path]:
    """Files of one grey frame that other people wrote: pydicom's, those of its data package, ours."""
    folders = [SHARED / "encodings", SHARED / "dicom_fodicom"]
    for package, inside in (("data_store", "data"), ("pydicom", "data/test_files")):
        spec = importlib.util.find_spec(package)
        if spec and spec.origin:
            folders.append(Path(spec.origin).parent / inside)
    return sorted({path.name: path for folder in folders for path in folder.glob("*.dcm")}.values())


ONLY_PYDICOM_READS = {"MR_small_padded.dcm"}
"""128 bytes too long, and a line has 128 bytes: either the padding is wrong or the columns are."""

ONLY_WE_READ = {
    "966.dcm": (0, 4095),
    "JPEG-lossy.dcm": (0, 264),
    "JPGExtended.dcm": (0, 264),
    "RG2_JPLY.dcm": (0, 960),
    "RG2_JPLY_fixed.dcm": (0, 960),
}


@pytest.mark.slow
@pytest.mark.parametrize("path", real_files(), ids=lambda path: path.name)
@pytest.mark.filterwarnings("ignore")
def test_real_files_are_read_as_pydicom_reads_them(path):
    dataset = dcmread(path, force=True)
    grey = "MONOCHROME" in str(dataset.get("PhotometricInterpretation", "MONOCHROME"))
    one = (dataset.get("SamplesPerPixel") or 1) == 1
    if not grey or not one or dataset.get("NumberOfFrames") not in (None, 1):
        assert refused(path) in (Reason.TOMOSYNTHESIS, Reason.NOT_MAMMOGRAM, Reason.DAMAGED_PIXELS)
        return
    if dataset.get("BitsAllocated", 8) not in (8, 16):
        assert refused(path) is Reason.DAMAGED_PIXELS
        return
    try:
        expected = dataset.pixel_array
    except Exception:
        expected = None
    if path.name in ONLY_PYDICOM_READS:
        refused(path)
    elif expected is not None:
        np.testing.assert_array_equal(read_image(path).pixels, expected)
    elif span := ONLY_WE_READ.get(path.name):
        found = read_image(path).pixels
        assert (found.min(), found.max()) == span
    else:
        refused(path)


@pytest.mark.slow
@pytest.mark.parametrize("path", real_files(), ids=lambda path: path.name)
@pytest.mark.filterwarnings("ignore")
def test_no_real_stream_that_was_cut_passes_for_an_image(tmp_path, path):
    """Also with the end marker put back; a cut that loses nothing but padding is none."""
    try:
        whole = read_image(path).pixels
    except PixelError:
        pytest.skip("is not read")
    dataset = dcmread(path, force=True)
    syntax = str(dataset.file_meta.get("TransferSyntaxUID", IMPLICIT))
    if syntax in NATIVE:
        pytest.skip("is not compressed")
    frame = b"".join(generate_frames(dataset.PixelData, number_of_frames=1))
    random = np.random.default_rng(8)
    lost = [3, 4, 9, 30, *random.integers(3, max(4, len(frame) - 64), 8)]
    for number, bytes_lost in enumerate(lost):
        forged = b"\xff\xd9" if number % 2 and syntax != RLE else b""
        dataset.PixelData = encapsulate([frame[:-bytes_lost].rstrip(b"\xff\xd9") + forged])
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
        try:
            found = read_image(tmp_path / "a.dcm").pixels
        except PixelError:
            continue
        np.testing.assert_array_equal(found, whole)


def test_the_malformed_process_4_file_is_read_as_the_mended_one():
    """Its scan says Se = 0, and other decoders give up; the mended file differs in that byte only."""
    malformed = SHARED / "encodings" / "RG2_JPLY.dcm"
    if not malformed.exists():
        pytest.skip("no shared files here")
    mended = read_image(malformed.with_name("RG2_JPLY_fixed.dcm")).pixels
    np.testing.assert_array_equal(read_image(malformed).pixels, mended)
    plain = read_image(malformed.with_name("RG2_JPLL.dcm")).pixels
    assert np.abs(mended.astype(int) - plain).mean() < 5
    assert np.corrcoef(mended[::9, ::9].ravel(), plain[::9, ::9].ravel())[0, 1] > 0.99
