"""Guards that look into JPEG, JPEG-LS and RLE: whose picture is it, and is it all there?

Decoders fill what is missing with grey, and most of them say nothing. What a stream itself can prove
at little cost is proved here and in ``lossless_jpeg`` and ``codestreams``. ``docs/decoding.md`` says
what is left.
"""

import struct
from itertools import pairwise
from typing import NamedTuple

import numpy as np

PADDING = 4096
"""Most zero bytes that may follow the end marker; behind them, or instead, 16 bytes of anything."""

JPEG_LOSSY = (0xC0, 0xC1)
JPEG_LOSSLESS = 0xC3
JPEG_LS = 0xF7
FRAMES = {*range(0xC0, 0xD0), JPEG_LS} - {0xC4, 0xC8, 0xCC}
"""Markers that begin a frame header: ISO 10918-1 table B.1, ISO 14495-1 C.1."""

HUFFMAN_TABLES, RESTART_INTERVAL, SCAN = 0xC4, 0xDD, 0xDA


class StreamError(Exception):
    """The stream is damaged or incomplete; the message says where, and quotes no value of a woman."""


class Frame(NamedTuple):
    """The picture as the stream's own header describes it; ``bits`` is the sample precision."""

    rows: int
    columns: int
    components: int
    bits: int
    signed: bool = False


class Jpeg(NamedTuple):
    """Header of a JPEG or JPEG-LS stream with one scan.

    ``process`` is the second byte of its frame marker. ``table`` is the Huffman table of the first
    component: number of codes of each length 1 to 16, then the symbols. ``predictor`` and
    ``shift`` are Ss and Al of the scan, ``restart`` the restart interval in MCUs, ``data`` the
    entropy-coded bytes.
    """

    frame: Frame
    process: int
    table: bytes
    predictor: int
    shift: int
    restart: int
    data: memoryview


def end_marker(stream: bytearray) -> int:
    """Position of the end marker FFD9 of all JPEG families (ISO 10918-1 B.1.1.3, 15444-1 A.4.4).

    It may be followed by zeros (see ``PADDING``) and by 16 bytes of anything. Within the coded data
    of any family the two bytes cannot occur.

    Raises:
        StreamError: there is none.
    """
    last = bytes(stream[-PADDING:]).rstrip(b"\0")
    found = last.rfind(b"\xff\xd9", max(0, len(last) - 18))
    if found < 0:
        raise StreamError("the stream ends without its end marker FFD9")
    return max(0, len(stream) - PADDING) + found


def read_jpeg(stream: bytearray) -> Jpeg:
    """Header of a JPEG (ISO 10918-1 annex B) or JPEG-LS (ISO 14495-1 annex C) stream.

    Raises:
        StreamError: the markers do not lead from the start over a frame and a scan to the end.
    """
    end = end_marker(stream)
    if stream[:2] != b"\xff\xd8":
        raise StreamError("the stream is no JPEG: it does not begin with FFD8")
    frame, process, restart = None, 0, 0
    tables: dict[int, bytes] = {}
    at = 2
    while at + 4 <= end:
        prefix, marker, length = struct.unpack_from(">BBH", stream, at)
        if marker == 0xFF:  # a fill byte before a marker, B.1.1.2
            at += 1
            continue
        body = stream[at + 4 : at + 2 + length]
        at += 2 + length
        if prefix != 0xFF or at > end:
            break
        if marker in FRAMES:
            frame, process = _jpeg_frame(body), marker
        elif marker == HUFFMAN_TABLES:
            tables |= _huffman_tables(body)
        elif marker == RESTART_INTERVAL:
            restart = int.from_bytes(body[:2], "big")
        elif marker == SCAN:
            return _scan(body, frame, process, tables, restart, memoryview(stream)[at:end])
    raise StreamError("the stream's header is damaged or cut")


def _jpeg_frame(body: bytearray) -> Frame:
    if len(body) < 6:
        raise StreamError("the stream's frame header is too short")
    bits, rows, columns, components = struct.unpack_from(">BHHB", body)
    return Frame(rows, columns, components, bits)


def _huffman_tables(body: bytearray) -> dict[int, bytes]:
    tables, at = {}, 0
    while at < len(body):
        end = at + 17 + sum(body[at + 1 : at + 17])
        if end > len(body):
            raise StreamError("a Huffman table of the stream is too short")
        tables[body[at]] = bytes(body[at + 1 : end])
        at = end
    return tables


def _scan(
    body: bytearray,
    frame: Frame | None,
    process: int,
    tables: dict[int, bytes],
    restart: int,
    data: memoryview,
) -> Jpeg:
    if frame is None or len(body) < 6 or len(body) != 4 + 2 * body[0]:
        raise StreamError("the stream's scan header is damaged or has no frame")
    table = tables.get(body[2] >> 4, b"")
    return Jpeg(frame, process, table, body[-3], body[-1] & 15, restart, data)


def check_restart_markers(jpeg: Jpeg, units: int) -> None:
    """Refuse a scan of ``units`` MCUs without exactly the restart markers that it needs, in order.

    Any other marker within the scan is damage as well: decoders stop there and fill up with grey.
    """
    data = np.frombuffer(jpeg.data, np.uint8)
    behind = data[np.flatnonzero(data[:-1] == 0xFF) + 1]
    markers = behind[(behind != 0) & (behind != 0xFF)]
    needed = -(-units // jpeg.restart) - 1 if jpeg.restart else 0
    if not np.array_equal(markers, 0xD0 + np.arange(needed) % 8):
        raise StreamError(f"{len(markers)} markers within the scan, where {needed} belong")


def check_run_lengths(frame: bytearray, sample_bytes: int) -> None:
    """Refuse RLE whose table of segments (PS3.5 annex G.5) cannot be that of the header.

    One segment per byte of a sample, the first at byte 64, rising, within the frame.
    """
    if len(frame) < 64:
        raise StreamError("the RLE header is cut")
    count, *offsets = struct.unpack_from("<16I", frame)
    if count != sample_bytes:
        raise StreamError(f"{count} RLE segments for samples of {sample_bytes} bytes")
    used = [*offsets[:count], len(frame)]
    if used[0] != 64 or any(later <= earlier for earlier, later in pairwise(used)):
        raise StreamError("the offsets of the RLE segments are not in order")
