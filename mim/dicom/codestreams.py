"""Guards that look into JPEG 2000 and HTJ2K codestreams, ISO 15444-1 annex A: whole and consistent."""

import struct
from typing import NamedTuple

from mim.dicom.streams import Frame, StreamError, end_marker

SIZE, TILE_PART = 0xFF51, 0xFF90
"""Markers of ISO 15444-1 A.2."""

TRANSFORM = {0xFF52: 9, 0xFF53: 6}
"""Where COD and COC (of fewer than 257 components) name the wavelet; 1 is the reversible one."""


def codestream(stream: bytearray) -> bytearray:
    """The codestream, taken out of the boxes of a JP2 file (ISO 15444-1 annex I) if it lies in one.

    DICOM wants it without them (PS3.5 A.4.4); some writers leave them on.
    """
    at = 0 if stream[4:8] == b"jP  " else len(stream)
    while at + 16 <= len(stream):
        length, kind, longer = struct.unpack_from(">I4sQ", stream, at)
        head, length = (16, longer) if length == 1 else (8, length or len(stream) - at)
        if kind == b"jp2c":
            return stream[at + head : at + length]
        if length < head:
            break
        at += length
    return stream


class Wavelet(NamedTuple):
    """Header of a JPEG 2000 or HTJ2K codestream; ``end`` is where its last tile-part ends."""

    frame: Frame
    reversible: bool
    end: int


def read_jpeg_2000(stream: bytearray) -> Wavelet:
    """Header of a codestream, ISO 15444-1 annex A, once its tile-parts are seen to be all there.

    The lengths (Psot, A.4.2) must lead from the first tile-part to the end marker, or to comments
    before it, and each tile must have its parts. A length of 0 means up to the end, and then a cut
    does not show here.

    Raises:
        StreamError: they do not, or the size or the coding style lacks.
    """
    end = end_marker(stream)
    if stream[:4] != b"\xff\x4f\xff\x51":
        raise StreamError("the stream is no JPEG 2000 codestream: it does not begin with FF4F FF51")
    frame, tiles, transforms = None, 0, set[int]()
    at = 2
    while at + 12 <= end:
        marker, length = struct.unpack_from(">HH", stream, at)
        if marker == TILE_PART or marker >> 8 != 0xFF:
            break
        body = stream[at + 4 : at + 2 + length]
        if marker == SIZE:
            frame, tiles = _size(body)
        elif marker in TRANSFORM:
            transforms.update(body[TRANSFORM[marker] : TRANSFORM[marker] + 1])
        at += 2 + length
    if frame is None or not transforms:
        raise StreamError("the stream's header is damaged or cut")
    return Wavelet(frame, transforms == {1}, _behind_tile_parts(stream, at, end, tiles))


def _behind_tile_parts(stream: bytearray, at: int, end: int, tiles: int) -> int:
    parts: dict[int, int] = {}
    promised: dict[int, int] = {}
    while at + 12 <= end and stream[at : at + 2] == TILE_PART.to_bytes(2, "big"):
        tile, psot, _, count = struct.unpack_from(">HIBB", stream, at + 4)
        parts[tile] = parts.get(tile, 0) + 1
        promised[tile] = max(count, promised.get(tile, 0))
        at = at + max(psot, 12) if psot else end
    if bytes(stream[at : at + 2]) not in (b"\xff\xd9", b"\xff\x64"):
        raise StreamError("the lengths of the tile-parts do not lead to the stream's end")
    if len(parts) != tiles or any(tile >= tiles for tile in parts):
        raise StreamError(f"{len(parts)} of {tiles} tiles in the stream")
    if any(parts[tile] < promised[tile] for tile in parts):
        raise StreamError("a tile has fewer parts than it says")
    return at


def _size(body: bytearray) -> tuple[Frame, int]:
    """Frame and number of tiles from SIZ, ISO 15444-1 A.5.1, checked by the rules of B.2 and B.3."""
    if len(body) < 39:
        raise StreamError("the stream's size marker is too short")
    right, bottom, left, top, *tiling, components = struct.unpack_from(">8IH", body, 2)
    width, height, from_left, from_top = tiling
    lies = right > left >= from_left and bottom > top >= from_top
    covered = from_left + width > left and from_top + height > top
    if not (lies and covered and body[37] == body[38] == 1):
        raise StreamError("the stream's picture and its tiles do not fit together")
    tiles = -(-(right - from_left) // width) * -(-(bottom - from_top) // height)
    depth = body[36]
    frame = Frame(bottom - top, right - left, components, (depth & 127) + 1, depth > 127)
    return frame, tiles
