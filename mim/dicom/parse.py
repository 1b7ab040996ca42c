"""A small strict parser of headers, many times as fast as pydicom.

It knows explicit and implicit VR little endian (PS3.5 section 7 and Annex A) in files of PS3.10
section 7.1, and takes nothing that is out of order: what it does not take is ``IrregularError``,
and pydicom, which forgives much, must read it. What it takes, it reads as pydicom does.
"""

import struct
from collections.abc import Sequence as Items
from functools import lru_cache
from typing import BinaryIO

from pydicom.charset import STAND_ALONE_ENCODINGS, convert_encodings, python_encoding
from pydicom.datadict import dictionary_VR, keyword_dict
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

WINDOW = 1 << 14
"""Bytes read at first: the headers of most mammograms fit in."""

KEPT = 1 << 20
"""Longest value that is kept. Hologic's private volumes hold hundreds of MB before Pixel Data."""

DEEPEST = 16
"""Sequences within sequences; deeper ones are left to pydicom."""

SHORT_TEXT = 64
"""Texts up to this many bytes come again in file after file, and are kept decoded."""

PREFIX_END = 132
META = range(0x00020000, 0x00030000)
AFTER_META = range(0x00030000, 0x100000000)
PIXEL_DATA = (0x7FE00008, 0x7FE00009, 0x7FE00010)
"""Float, Double Float and plain Pixel Data (7FE0,0010)."""

ITEM = 0xFFFEE000
ITEM_DELIMITATION = 0xFFFEE00D
ITEM_ENDS = (ITEM_DELIMITATION,)
SEQUENCE_DELIMITATION = 0xFFFEE0DD
CHARACTER_SET = 0x00080005
TRANSFER_SYNTAX = 0x00020010
UNDEFINED = 0xFFFFFFFF

SHORT = frozenset(vr.encode() for vr in EXPLICIT_VR_LENGTH_16)
LONG = frozenset(vr.encode() for vr in EXPLICIT_VR_LENGTH_32)
"""VRs with 2 and with 4 bytes of length: 8 and 12 bytes before the value, PS3.5 section 7.1.2."""

SPLIT_TEXT = frozenset(
    (b"AE", b"AS", b"CS", b"DA", b"DS", b"DT", b"TM", b"UI", b"SH", b"LO", b"UC")
)
"""VRs whose values are text between backslashes, PS3.5 section 6.2; and IS, whose are looked at."""

LOCAL_TEXT = frozenset((b"SH", b"LO", b"UC", b"ST", b"LT", b"UT"))
"""VRs that Specific Character Set rules."""

explicit_element = struct.Struct("<HH2sH").unpack_from
implicit_element = struct.Struct("<HHI").unpack_from
long_length = struct.Struct("<I").unpack_from

Places = dict[int, tuple[bytes, int, int]]
"""Tag to VR (empty in implicit VR), place of the value in the bytes of the header, and length."""

NOWHERE = (b"", 0, 0)


class IrregularError(Exception):
    """Bytes that this parser leaves to pydicom."""


class Header:
    """Elements of a data set or of a sequence item, decoded when they are asked for.

    ``sequences`` has those whose length is undefined, ``places`` all other elements but those longer
    than ``KEPT``, which count as missing.
    """

    __slots__ = ("_dataset", "_source", "encodings", "explicit", "file_meta", "places", "sequences")

    def __init__(self, source: "Source", explicit: bool, encodings: list[str]) -> None:
        self.explicit = explicit
        self.encodings = encodings
        self.places: Places = {}
        self.sequences: dict[int, list[Header]] = {}
        self.file_meta: Header | None = None
        self._source = source
        self._dataset: Dataset | None = None

    def texts(self, keyword: str) -> Items[str] | None:
        """The element's values as text without padding and empty ones; none where it is missing.

        None: the element is not of the common kinds, and ``dataset`` must be asked.
        """
        tag = keyword_dict.get(keyword, 0)
        vr, start, length = self.places.get(tag, NOWHERE)
        if not length:
            return ()
        value = self._source.data[start : start + length]
        if not vr or vr == b"UN":
            vr = _meant_vr(tag, vr, length)
        if vr in SPLIT_TEXT:
            texts = _short_texts(value) if length <= SHORT_TEXT else _ascii_texts(value)
            if texts is not None:
                return texts
        return _other_texts(value, vr, self.encodings)

    def items(self, keyword: str) -> "list[Header] | None":
        """Items of a sequence; [] where the element is missing. None as in ``texts``."""
        tag = keyword_dict.get(keyword, 0)
        if tag in self.sequences:
            return self.sequences[tag]
        vr, start, length = self.places.get(tag, NOWHERE)
        if not length:
            return []
        if _meant_vr(tag, vr, length) != b"SQ":
            return None
        source = Source(self._source.data, len(self._source.data))
        try:
            return _items(source, start, start + length, self.explicit, self.encodings, 1)[0]
        except IrregularError:
            return None

    @property
    def dataset(self) -> Dataset:
        """The same elements as a data set of pydicom."""
        if self._dataset is None:
            elements: dict[BaseTag, DataElement | RawDataElement] = {}
            for tag, (vr, start, length) in self.places.items():
                value = self._source.data[start : start + length]
                elements[BaseTag(tag)] = RawDataElement(
                    BaseTag(tag), vr.decode() or None, length, value, start, not self.explicit, True
                )
            for tag, items in self.sequences.items():
                sequence = Sequence([item.dataset for item in items])
                elements[BaseTag(tag)] = DataElement(BaseTag(tag), "SQ", sequence)
            self._dataset = Dataset(elements, parent_encoding=self.encodings)
            self._dataset.set_original_encoding(not self.explicit, True, self.encodings)
        return self._dataset


def _meant_vr(tag: int, vr: bytes, length: int) -> bytes:
    """The VR; by the dictionary where it is not written, or was unknown to whoever passed it on."""
    unknown = not vr or (vr == b"UN" and length < 0xFFFF)
    return _known_vr(tag) if unknown else vr


@lru_cache(maxsize=4096)
def _known_vr(tag: int) -> bytes:
    """VR by the dictionary of PS3.6; empty where it does not know the tag."""
    try:
        return dictionary_VR(tag).encode()
    except KeyError:
        return b""


def _ascii_texts(value: bytes) -> tuple[str, ...] | None:
    """Values in printable ASCII, which all encodings that ``_encodings`` lets through share."""
    text = value.decode("latin-1").strip(" \0")
    if not (text.isascii() and text.isprintable()):
        return None
    return tuple(part for part in map(str.strip, text.split("\\")) if part)


_short_texts = lru_cache(maxsize=4096)(_ascii_texts)


def _other_texts(value: bytes, vr: bytes, encodings: list[str]) -> Items[str] | None:
    if vr == b"US" and len(value) == 2:
        return (str(value[0] | value[1] << 8),)
    if vr == b"IS":
        texts = _ascii_texts(value)
        return texts if texts is not None and all(map(_is_plain_integer, texts)) else None
    # Code extensions of ISO 2022 switch the encoding within the value, which is left to pydicom.
    if vr not in LOCAL_TEXT or b"\x1b" in value:
        return None
    text = value.decode(encodings[0], "replace")
    found = text.split("\\") if vr in SPLIT_TEXT else [text]
    return [part for part in map(clean, found) if part]


def _is_plain_integer(text: str) -> bool:
    return len(text) < 16 and text.lstrip("+-").isdigit()


def clean(text: str) -> str:
    """Text without padding, and without what cannot be written as UTF-8."""
    return text.strip(" \0\t\r\n").encode("utf-8", "replace").decode("utf-8")


class Source:
    """Bytes of a file from its start, as far as they were needed, but for long values.

    A position is one in the file, a place one in ``data``.
    """

    def __init__(self, data: bytes, size: int, file: BinaryIO | None = None) -> None:
        self.data = data
        self.size = size
        self._file = file
        self._left_out = 0

    def place(self, position: int, length: int) -> int:
        """Place of ``length`` bytes from ``position`` on, which are read if need be.

        Raises:
            IrregularError: they are not there.
        """
        place = position - self._left_out
        if place + length > len(self.data):
            if self._file is None or position + length > self.size:
                raise IrregularError
            if place > len(self.data):
                self._left_out = position - len(self.data)
                place = len(self.data)
            self._file.seek(self._left_out + len(self.data))
            self.data += self._file.read(max(length, len(self.data)))
            if place + length > len(self.data):
                raise IrregularError
        return place

    def element(self, position: int, explicit: bool) -> tuple[int, bytes, int, int]:
        """Tag, VR, length of value and its position; 0 for the position where the VR is unknown."""
        place = self.place(position, 8)
        if not explicit:
            group, number, length = implicit_element(self.data, place)
            return group << 16 | number, b"", length, position + 8
        group, number, vr, length = explicit_element(self.data, place)
        tag = group << 16 | number
        if vr in SHORT:
            return tag, vr, length, position + 8
        if vr not in LONG:
            return tag, vr, length, 0
        place = self.place(position, 12)
        return tag, vr, long_length(self.data, place + 8)[0], position + 12

    def delimiter(self, position: int) -> tuple[int, int]:
        """Tag and length of what is an item or an end."""
        place = self.place(position, 8)
        group, number, length = implicit_element(self.data, place)
        return group << 16 | number, length

    def has_vr(self, position: int) -> bool:
        """Whether an element of explicit VR seems to be at ``position``, as pydicom judges it."""
        place = self.place(position, 8)
        vr = self.data[place + 4 : place + 6]
        return vr.isalpha() and vr.isupper()

    def ordinary(
        self, position: int, limit: int, explicit: bool, last: int, first_end: int, places: Places
    ) -> tuple[int, int]:
        """Take elements as long as nothing is special about them; position and last tag then.

        The rest of the parser could do without: this loop is where the time goes.
        """
        data = self.data
        place = position - self._left_out
        stop = min(limit - self._left_out, len(data))
        vr = b""
        while place <= stop - 12:
            if explicit:
                group, number, vr, length = explicit_element(data, place)
                if vr in SHORT:
                    start = place + 8
                elif vr in LONG:
                    start = place + 12
                    length = long_length(data, place + 8)[0]
                else:
                    break
            else:
                group, number, length = implicit_element(data, place)
                start = place + 8
            tag = group << 16 | number
            if not last < tag < first_end or start + length > stop or tag == CHARACTER_SET:
                break
            places[tag] = (vr, start, length)
            place = start + length
            last = tag
        return place + self._left_out, last


def parse(file: BinaryIO, size: int, start: bytes) -> tuple[Header, int]:
    """Header of a file whose first bytes are ``start``, and the position of its Pixel Data.

    The position is ``size`` where the header ends with the file.

    Raises:
        IrregularError: pydicom must read it.
    """
    source = Source(start, size, file)
    meta, at = _data_set(source, PREFIX_END, size, True, ["iso8859"], AFTER_META)
    explicit = _is_explicit(meta)
    if not explicit and source.has_vr(at):
        raise IrregularError
    header, at = _data_set(source, at, size, explicit, ["iso8859"], PIXEL_DATA)
    first = min((*header.places, *header.sequences), default=0)
    if min(meta.places) not in META or first not in AFTER_META:
        raise IrregularError
    header.file_meta = meta
    return header, at


def _is_explicit(meta: Header) -> bool:
    vr, _, _ = meta.places.get(TRANSFER_SYNTAX, NOWHERE)
    texts = meta.texts("TransferSyntaxUID") if vr == b"UI" else None
    uid = texts[0] if texts and len(texts) == 1 else ""
    known = uid.startswith(ImplicitVRLittleEndian) and uid.replace(".", "").isdigit()
    if not known or uid in (ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian):
        raise IrregularError
    return uid != ImplicitVRLittleEndian


def _data_set(
    source: Source,
    at: int,
    end: int | None,
    explicit: bool,
    encodings: list[str],
    ends: Items[int],
    depth: int = 0,
) -> tuple[Header, int]:
    """Elements from ``at`` to ``end`` or to the first tag of ``ends``; and where they end."""
    header = Header(source, explicit, encodings)
    limit = source.size if end is None else end
    last = -1
    while True:
        at, last = source.ordinary(at, limit, explicit, last, ends[0], header.places)
        if at == end:
            break
        tag, vr, length, start = source.element(at, explicit)
        if tag in ends:
            break
        if tag <= last or not start:
            raise IrregularError
        last = tag
        if length != UNDEFINED:
            at = start + length
            if at <= limit and length <= KEPT:
                place = source.place(start, length)
                header.places[tag] = (vr, place, length)
                if tag == CHARACTER_SET:
                    header.encodings = _encodings(vr, source.data[place : place + length])
        elif _may_be_sequence(tag, vr):
            items, at = _items(source, start, None, explicit, header.encodings, depth + 1)
            header.sequences[tag] = items
        else:
            raise IrregularError
        if at > limit:
            raise IrregularError
    return header, at


def _items(
    source: Source, at: int, end: int | None, explicit: bool, encodings: list[str], depth: int
) -> tuple[list[Header], int]:
    """Items from ``at`` to ``end`` or to a Sequence Delimitation Item; and where they end."""
    if depth > DEEPEST:
        raise IrregularError
    found = []
    while at != end:
        tag, length = source.delimiter(at)
        at += 8
        if tag == SEQUENCE_DELIMITATION and end is None and not length:
            break
        if tag != ITEM:
            raise IrregularError
        item_end = None if length == UNDEFINED else at + length
        # Items of a sequence of VR UN are in implicit VR, PS3.5 section 6.2.2.
        has_vr = explicit and length != 0 and source.has_vr(at)
        item, at = _data_set(source, at, item_end, has_vr, encodings, ITEM_ENDS, depth)
        if item_end is None and source.delimiter(at) == (ITEM_DELIMITATION, 0):
            at += 8
        found.append(item)
    return found, at


def _may_be_sequence(tag: int, vr: bytes) -> bool:
    return vr in (b"SQ", b"UN") if vr else _known_vr(tag) in (b"SQ", b"")


@lru_cache(maxsize=64)
def _encodings(vr: bytes, value: bytes) -> list[str]:
    """Python's names of the encodings that Specific Character Set (0008,0005) holds, PS3.3 C.12.1."""
    terms = value.decode("latin-1").rstrip(" \0").split("\\")
    alone = len(terms) == 1 or not set(terms) & set(STAND_ALONE_ENCODINGS)
    if vr not in (b"", b"CS", b"UN") or not alone or not set(terms) <= python_encoding.keys():
        raise IrregularError
    return convert_encodings(terms)
