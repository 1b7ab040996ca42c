"""What compressed streams say of themselves, and what is not noticed when part of one is gone."""

import struct

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pixel_files import jpeg_2000, libjpeg, lossless_jpeg, planted, run_lengths, tiled_jpeg_2000

from mim.dicom.codestreams import codestream, read_jpeg_2000
from mim.dicom.lossless_jpeg import check_lossless_end
from mim.dicom.streams import (
    JPEG_LOSSLESS,
    JPEG_LS,
    Frame,
    StreamError,
    check_restart_markers,
    check_run_lengths,
    end_marker,
    read_jpeg,
)

PIXELS = planted(61, 43)
LOSSLESS = libjpeg(12, lossless=True, predictor=6)(PIXELS)
WAVELET = jpeg_2000(PIXELS)


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">HH", marker, len(body) + 2) + body


def test_a_lossless_jpeg_says_its_size_and_predictor():
    jpeg = read_jpeg(bytearray(LOSSLESS))
    assert jpeg.frame == Frame(rows=61, columns=43, components=1, bits=12)
    assert (jpeg.process, jpeg.predictor, jpeg.shift, jpeg.restart) == (JPEG_LOSSLESS, 6, 0, 0)
    assert bytes(jpeg.data) == LOSSLESS[LOSSLESS.index(b"\xff\xda") + 10 : -2]


def test_restart_interval_and_point_transform_are_read():
    jpeg = read_jpeg(bytearray(lossless_jpeg(PIXELS, shift=2, restart_rows=5)))
    assert (jpeg.shift, jpeg.restart) == (2, 5 * 43)


def test_a_jpeg_ls_says_its_size():
    jpeg = read_jpeg(bytearray(imagecodecs.jpegls_encode(PIXELS)))
    assert jpeg.frame == Frame(rows=61, columns=43, components=1, bits=16)
    assert jpeg.process == JPEG_LS


def test_a_colour_jpeg_says_three_components():
    colour = np.zeros((16, 24, 3), np.uint8)
    jpeg = read_jpeg(bytearray(imagecodecs.jpeg8_encode(colour)))
    assert jpeg.frame == Frame(rows=16, columns=24, components=3, bits=8)


def test_comments_application_data_and_fill_bytes_are_passed_over():
    more = segment(0xFFFE, b"\xff\xd9 not the end") + segment(0xFFE1, bytes(300)) + b"\xff\xff"
    jpeg = read_jpeg(bytearray(LOSSLESS[:2] + more + LOSSLESS[2:]))
    assert jpeg == read_jpeg(bytearray(LOSSLESS))


@pytest.mark.parametrize(
    ("stream", "match"),
    [
        (b"\xff\xd8\xff\xd9", "damaged or cut"),
        (b"GIF89a\xff\xd9", "no JPEG"),
        (LOSSLESS[:40] + b"\xff\xd9", "damaged or cut"),
        (LOSSLESS.replace(b"\xff\xc3", b"\xff\xe3"), "no frame"),
        (LOSSLESS[:2] + segment(0xFFC3, b"\x0c\0"), "end marker"),
        (LOSSLESS[:2] + segment(0xFFC3, b"\x0c\0") + LOSSLESS[2:], "too short"),
        (LOSSLESS[:2] + segment(0xFFC4, b"\0" + bytes([255] * 16)) + LOSSLESS[2:], "Huffman"),
        (LOSSLESS[:-2], "end marker"),
        (LOSSLESS[:2] + b"\xfe\xed\0\4ab" + LOSSLESS[2:], "damaged or cut"),
    ],
)
def test_a_jpeg_without_its_parts_is_refused(stream, match):
    with pytest.raises(StreamError, match=match):
        read_jpeg(bytearray(stream))


@pytest.mark.parametrize(
    ("after", "found"),
    [
        (b"", True),
        (b"\0", True),
        (b"\xff", True),
        (bytes(4000), True),
        (b" " * 16, True),
        (b" " * 17, False),
        (bytes(5000), False),
        (b"\xff\xd8" * 9, False),
    ],
)
def test_the_end_marker_may_be_followed_by_padding_only(after, found):
    stream = bytearray(b"\1" * 9000 + b"\xff\xd9" + after)
    if found:
        assert end_marker(stream) == 9000
    else:
        with pytest.raises(StreamError, match="FFD9"):
            end_marker(stream)


def check(stream: bytes) -> np.ndarray:
    """Decode a lossless JPEG by libjpeg, then look at its end."""
    jpeg = read_jpeg(bytearray(stream))
    decoded = imagecodecs.jpeg8_decode(stream)
    check_lossless_end(jpeg, decoded)
    return decoded


def black_below(kind: str) -> np.ndarray:
    """Pictures whose end decoders are good at making up: rows without change."""
    pixels = planted(26, 20)
    if kind == "black":
        pixels[14:] = 0
    elif kind == "white":
        pixels[14:] = 4095
    elif kind == "grey as libjpeg fills":
        pixels[14:] = 2048
    elif kind == "flat":
        pixels[:] = 700
    return pixels


@pytest.mark.parametrize("restart_rows", [0, 5])
@pytest.mark.parametrize("kind", ["noise", "black", "white", "grey as libjpeg fills", "flat"])
def test_no_cut_with_a_forged_end_marker_changes_a_lossless_picture_unnoticed(kind, restart_rows):
    pixels = black_below(kind)
    stream = lossless_jpeg(pixels, restart_rows=restart_rows)
    np.testing.assert_array_equal(check(stream), pixels)
    start = len(stream) - 2 - len(read_jpeg(bytearray(stream)).data)
    for cut in range(start + 1, len(stream) - 2):
        try:
            found = check(stream[:cut] + b"\xff\xd9")
        except (StreamError, imagecodecs.Jpeg8Error):
            continue
        np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("end", [0, 1, 7, 128, 255])
def test_long_runs_at_the_end_are_known_again(bits, end):
    """Long enough to be looked at as bytes that repeat."""
    pixels = planted(80, 23, bits)
    pixels[9:] = end
    stream = lossless_jpeg(pixels, bits)
    np.testing.assert_array_equal(check(stream), pixels)
    for lost in (1, 9, 300):
        with pytest.raises(StreamError, match="last samples"):
            check(stream[: -2 - lost] + b"\xff\xd9")
    with pytest.raises(StreamError, match="last samples"):
        check(stream[:-70] + b"\x55" + stream[-69:])


@given(
    predictor=st.integers(1, 7),
    bits=st.sampled_from([8, 10, 12, 16]),
    restart_rows=st.sampled_from([0, 0, 4]),
    lost=st.integers(1, 400),
    seed=st.integers(0, 50),
)
def test_bytes_lost_at_the_end_of_a_lossless_picture_are_noticed(
    predictor, bits, restart_rows, lost, seed
):
    pixels = planted(13, 11, bits, seed)
    stream = lossless_jpeg(pixels, bits, predictor, restart_rows=restart_rows)
    np.testing.assert_array_equal(check(stream), pixels)
    start = len(stream) - 2 - len(read_jpeg(bytearray(stream)).data)
    cut = stream[: max(start + 1, len(stream) - 2 - lost)] + b"\xff\xd9"
    try:
        found = check(cut)
    except (StreamError, imagecodecs.Jpeg8Error):
        return
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize(("bits", "levels"), [(8, (0, 255)), (16, (0, 0x8000)), (16, (7, 0xFFFF))])
def test_the_largest_differences_are_coded_again_as_they_were(predictor, bits, levels):
    random = np.random.default_rng(3)
    pixels = random.choice(levels, (13, 11)).astype(np.uint8 if bits == 8 else np.uint16)
    found = check(lossless_jpeg(pixels, bits, predictor))
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("predictor", range(1, 5))
def test_differences_modulo_256_are_known_again_though_eight_bits_do_not_show_them(predictor):
    pixels = np.random.default_rng(3).choice([0, 255], (13, 11)).astype(np.uint8)
    found = check(lossless_jpeg(pixels, 8, predictor, modulo=True))
    np.testing.assert_array_equal(found, pixels)


def test_a_flat_picture_with_data_for_more_rows_is_noticed():
    """At 2048 of 12 bits every difference is 0, and so is every bit of the data."""
    stream = lossless_jpeg(np.full((26, 20), 2048, np.uint16))
    rows = struct.pack(">BH", 12, 26)
    assert stream.count(rows) == 1
    with pytest.raises(StreamError, match="last samples"):
        check(stream.replace(rows, struct.pack(">BH", 12, 20)))


def test_bytes_too_many_before_the_end_of_a_lossless_picture_are_noticed():
    with pytest.raises(StreamError, match="last samples"):
        check(LOSSLESS[:-2] + b"\x2a\x2a\xff\xd9")


def test_fill_bytes_before_the_end_marker_are_no_data():
    np.testing.assert_array_equal(check(LOSSLESS[:-2] + b"\xff\xff\xff\xd9"), PIXELS)


def test_an_interval_in_the_middle_that_lost_bytes_is_noticed():
    stream = lossless_jpeg(PIXELS, restart_rows=7)
    second = stream.index(b"\xff\xd1")
    check(stream)
    with pytest.raises(StreamError, match="last samples"):
        check(stream[: second - 30] + stream[second:])


def test_restart_markers_must_be_all_there_and_in_order():
    stream = bytearray(lossless_jpeg(PIXELS, restart_rows=7))
    jpeg = read_jpeg(stream)
    check_restart_markers(jpeg, 61 * 43)
    with pytest.raises(StreamError, match="8 markers within the scan, where 9 belong"):
        check_restart_markers(jpeg, 70 * 43)
    swapped = read_jpeg(bytearray(bytes(stream).replace(b"\xff\xd1", b"\xff\xd4")))
    with pytest.raises(StreamError, match="markers"):
        check_restart_markers(swapped, 61 * 43)


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(PIXELS, id="unsigned"),
        pytest.param(PIXELS.astype(np.int16) - 2048, id="signed"),
    ],
)
def test_a_jpeg_2000_says_its_size_and_sign(pixels):
    stream = bytearray(jpeg_2000(pixels))
    signed = pixels.dtype.kind == "i"
    wavelet = read_jpeg_2000(stream)
    assert wavelet.frame == Frame(rows=61, columns=43, components=1, bits=12, signed=signed)
    assert wavelet.reversible
    assert stream[wavelet.end :] == b"\xff\xd9"


def test_a_lossy_jpeg_2000_says_so():
    assert not read_jpeg_2000(bytearray(jpeg_2000(PIXELS, level=60, reversible=False))).reversible


def test_a_jpeg_2000_out_of_its_box_is_the_same():
    boxed = bytearray(imagecodecs.jpeg2k_encode(PIXELS, level=0, codecformat="jp2"))
    assert boxed[4:8] == b"jP  "
    inner = codestream(boxed)
    assert inner[:4] == b"\xff\x4f\xff\x51"
    assert read_jpeg_2000(inner).frame.rows == 61
    np.testing.assert_array_equal(imagecodecs.jpeg2k_decode(bytes(inner)), PIXELS)
    assert codestream(inner) is inner


def test_a_comment_behind_the_last_tile_part_is_not_part_of_the_picture():
    """As in a file of pylibjpeg-data that stops OpenJPEG."""
    stream = bytearray(WAVELET[:-2] + segment(0xFF64, b"\0\1PADDING") + b"\xff\xd9")
    assert read_jpeg_2000(stream).end == len(WAVELET) - 2


@pytest.mark.parametrize("share", [0.4, 0.7, 0.99])
@pytest.mark.parametrize("tiled", [False, True])
def test_a_cut_jpeg_2000_with_a_forged_end_marker_is_noticed(share, tiled):
    stream = tiled_jpeg_2000(planted(61, 43, 8)) if tiled else WAVELET
    cut = bytearray(stream[: int(len(stream) * share)] + b"\xff\xd9")
    with pytest.raises(StreamError):
        read_jpeg_2000(cut)


def parts_of(stream: bytes) -> list[int]:
    """Positions of the tile-parts, and of the end."""
    at = stream.index(b"\xff\x90\x00\x0a")
    places = [at]
    while stream[at : at + 2] == b"\xff\x90":
        at += struct.unpack_from(">I", stream, at + 6)[0]
        places.append(at)
    return places


def test_a_missing_tile_or_part_is_noticed():
    tiles = tiled_jpeg_2000(planted(61, 43, 8))
    places = parts_of(tiles)
    assert len(places) == 5
    with pytest.raises(StreamError, match="3 of 4 tiles"):
        read_jpeg_2000(bytearray(tiles[: places[1]] + tiles[places[2] :]))
    parts = bytes(imagecodecs.htj2k_encode(PIXELS, tilepart=1))
    places = parts_of(parts)
    assert len(places) > 3
    read_jpeg_2000(bytearray(parts))
    with pytest.raises(StreamError, match="fewer parts"):
        read_jpeg_2000(bytearray(parts[: places[1]] + parts[places[2] :]))


def test_a_last_tile_part_without_a_length_goes_to_the_end():
    at = WAVELET.index(b"\xff\x90\x00\x0a")
    stream = bytearray(WAVELET)
    stream[at + 6 : at + 10] = bytes(4)
    assert read_jpeg_2000(stream).end == len(WAVELET) - 2


@pytest.mark.parametrize(
    ("stream", "match"),
    [
        (b"\xff\x4f\xff\x51\xff\xd9", "damaged or cut"),
        (b"\xff\xd8\xff\xd9", "no JPEG 2000"),
        (WAVELET[:4] + b"\0\x10" + WAVELET[6:], "too short"),
        (WAVELET.replace(b"\xff\x52", b"\xff\x64"), "damaged or cut"),
        (WAVELET[:8] + b"\x80" + WAVELET[9:], "of 49941482 tiles"),
        (WAVELET[:8] + bytes(8) + WAVELET[16:], "do not fit"),
        (WAVELET[:24] + bytes(4) + WAVELET[28:], "do not fit"),
        (WAVELET[:43] + b"\2" + WAVELET[44:], "do not fit"),
        # OpenJPH never comes back from a first tile that begins within the picture.
        (WAVELET[:39] + b"\x08" + WAVELET[40:], "do not fit"),
        (WAVELET.replace(b"\xff\x90", b"\xff\x91"), "tile"),
    ],
)
def test_a_jpeg_2000_without_its_parts_is_refused(stream, match):
    with pytest.raises(StreamError, match=match):
        read_jpeg_2000(bytearray(stream))


def test_run_lengths_need_a_segment_for_each_byte_in_order():
    frame = bytearray(run_lengths(PIXELS))
    check_run_lengths(frame, 2)
    second = struct.unpack_from("<I", frame, 8)[0]
    for position, value in ((0, 1), (0, 3), (4, 66), (8, 64), (8, len(frame)), (8, 0)):
        changed = bytearray(frame)
        struct.pack_into("<I", changed, position, value)
        with pytest.raises(StreamError):
            check_run_lengths(changed, 2)
    with pytest.raises(StreamError, match="order"):
        check_run_lengths(frame[:second], 2)
    with pytest.raises(StreamError, match="cut"):
        check_run_lengths(frame[:63], 2)
