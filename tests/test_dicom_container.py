"""Encapsulated Pixel Data: its items are found, and what does not end is refused."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import encapsulate, generate_fragments

from mim.dicom.container import ContainerError, fragments, walk

BEFORE = b"before"
END = bytes.fromhex("FEFFDDE0 00000000")

# PS3.5 Table A.4-1: an empty Basic Offset Table and a frame in three fragments.
TABLE_A4_1 = (
    bytes.fromhex("FEFF00E0 00000000")
    + bytes.fromhex("FEFF00E0 C8040000")
    + bytes(0x4C8)
    + bytes.fromhex("FEFF00E0 4A060000")
    + bytes(0x64A)
    + bytes.fromhex("FEFF00E0 28060000")
    + bytes(0x628)
    + END
)


def item(content: bytes, length: int | None = None) -> bytes:
    size = len(content) if length is None else length
    return bytes.fromhex("FEFF00E0") + struct.pack("<I", size) + content


def found(items: bytes) -> list[tuple[int, int]]:
    content = BEFORE + items
    return fragments(io.BytesIO(content), len(BEFORE), len(content))


def test_the_standards_example() -> None:
    places = found(TABLE_A4_1)
    assert [length for _, length in places] == [0x4C8, 0x64A, 0x628]
    assert places[0][0] == len(BEFORE) + 16


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=5), st.booleans())
def test_fragments_are_those_of_pydicom(frames: list[bytes], has_table: bool) -> None:
    items = encapsulate(frames, has_bot=has_table) + END
    content = BEFORE + items
    read = [content[start : start + length] for start, length in found(items)]
    assert read == list(generate_fragments(items))[1:]
    container = walk(io.BytesIO(content), len(BEFORE), len(content))
    assert container.offset_table == (len(BEFORE) + 8, 4 * len(frames) * has_table)


@given(st.integers(0, len(TABLE_A4_1)))
def test_a_cut_is_seen_unless_between_fragments(end: int) -> None:
    """Where the last of the fragments that are left ends with the file, ``delimited`` tells."""
    between = {16 + 0x4C8, 24 + 0x4C8 + 0x64A, 32 + 0x4C8 + 0x64A + 0x628}
    content = io.BytesIO(TABLE_A4_1[:end])
    if end in between or end == len(TABLE_A4_1):
        assert walk(content, 0, end).delimited == (end == len(TABLE_A4_1))
    else:
        with pytest.raises(ContainerError):
            fragments(content, 0, end)


ODDITIES = [
    # items, lengths of the fragments
    (item(b"") + item(b"odd") + item(b"even") + END, [3, 4]),
    (item(b"") + item(b"") + item(b"ab") + END, [0, 2]),
    (item(b"") + item(b"ab") + END + b"padding", [2]),
    (item(b"") + item(b"ab") + bytes.fromhex("FEFFDDE0 02000000"), [2]),
    (item(b"") + item(b"ab"), [2]),
]


@pytest.mark.parametrize(("items", "lengths"), ODDITIES)
def test_oddities_that_harm_nothing(items: bytes, lengths: list[int]) -> None:
    assert [length for _, length in found(items)] == lengths


BROKEN = [
    # items, words of the message
    (b"", "no fragment"),
    (END, "no fragment"),
    (item(b"") + END, "no fragment"),
    (item(b"") + item(b"ab", 3), "item 1 runs past the end"),
    (item(b"", 0xFFFFFFFF) + item(b"ab") + END, "item 0 runs past the end"),
    (item(b"") + item(b"ab", 0xFFFFFFFE) + END, "item 1 runs past the end"),
    (item(b"") + item(b"ab") + bytes(8), "follows item 1"),
    (item(b"") + item(b"ab", 1) + END, "follows item 1"),
    (item(b"") + item(b"ab") + END[:5], "item 2 is cut within its header"),
]


@pytest.mark.parametrize(("items", "words"), BROKEN)
def test_what_does_not_end_is_refused(items: bytes, words: str) -> None:
    with pytest.raises(ContainerError, match=words):
        found(items)
