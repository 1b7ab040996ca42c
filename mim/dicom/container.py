"""The items that hold compressed pixels: encapsulated Pixel Data, DICOM PS3.5 A.4."""

import struct
from typing import BinaryIO, NamedTuple

ITEM = (0xFFFE, 0xE000)
SEQUENCE_DELIMITATION = (0xFFFE, 0xE0DD)
ITEM_HEADER = struct.Struct("<HHI")


class ContainerError(Exception):
    """The items do not lead to an end; the message says where, and quotes no value."""


class Container(NamedTuple):
    """Where the parts of encapsulated Pixel Data lie: (position in the file, bytes) of each."""

    offset_table: tuple[int, int]
    fragments: list[tuple[int, int]]
    delimited: bool
    """Whether a Sequence Delimitation Item follows. Without one, a file that was cut between two
    fragments looks like one that is whole: only the compressed stream can tell."""


def walk(file: BinaryIO, start: int, size: int) -> Container:
    """Find the items of encapsulated Pixel Data without reading what they hold.

    ``start`` is the position of the first item, which is the Basic Offset Table; ``size`` is that of
    the file. Writers that leave out the Sequence Delimitation Item exist: it may lack where the last
    fragment ends exactly at the end of the file. Its length is not looked at.

    Raises:
        ContainerError: an item runs past the end of the file or has no length, something else stands
            where an item should, or there is no fragment.
    """
    found: list[tuple[int, int]] = []
    delimited = False
    at = start
    while at != size:
        file.seek(at)
        header = file.read(ITEM_HEADER.size)
        if len(header) < ITEM_HEADER.size:
            raise ContainerError(f"item {len(found)} is cut within its header")
        group, element, length = ITEM_HEADER.unpack(header)
        if (group, element) == SEQUENCE_DELIMITATION:
            delimited = True
            break
        if (group, element) != ITEM:
            raise ContainerError(f"neither an item nor the end follows item {len(found) - 1}")
        at += ITEM_HEADER.size
        if length > size - at:
            raise ContainerError(f"item {len(found)} runs past the end of the file")
        found.append((at, length))
        at += length
    if len(found) < 2:
        raise ContainerError("no fragment")
    return Container(found[0], found[1:], delimited)


def fragments(file: BinaryIO, start: int, size: int) -> list[tuple[int, int]]:
    """Position in the file and bytes of each fragment after the Basic Offset Table; see ``walk``."""
    return walk(file, start, size).fragments
