"""Looks for identifiers in whatever the program wrote: every byte, every packing, every file name."""

import base64
import gzip
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian

PNG = b"\x89PNG\r\n\x1a\n"
DATA_URI = re.compile(rb"base64,([A-Za-z0-9+/]{8,}={0,2})")
DEEPEST = 4


def traces(root: Path, identifiers: Iterable[str]) -> set[tuple[str, str]]:
    """Path below ``root`` and identifier of each trace; in any case of letters."""
    needles = {
        text.encode(encoding, "replace").lower(): identifier
        for identifier in identifiers
        for text in (identifier.lower(), identifier.upper())
        for encoding in ("utf-8", "latin-1")
    }
    pattern = re.compile(_any_of(needles))
    found = set()
    for path in sorted(root.rglob("*")):
        place = str(path.relative_to(root))
        views = [place.encode(), *(unpacked(path.read_bytes()) if path.is_file() else ())]
        for view in views:
            # Without its zeros, UTF-16 of Latin letters is Latin-1.
            for text in (view, view.replace(b"\0", b"")):
                found |= {(place, needles[hit]) for hit in pattern.findall(text.lower())}
    return found


def _any_of(needles: Iterable[bytes]) -> bytes:
    """A pattern that matches the shortest needle at a place; common beginnings are tried once."""
    by_first: dict[bytes, list[bytes]] = {}
    for needle in needles:
        by_first.setdefault(needle[:1], []).append(needle[1:])
    if b"" in by_first:
        return b""
    branches = [re.escape(first) + _any_of(rest) for first, rest in sorted(by_first.items())]
    return branches[0] if len(branches) == 1 else b"(?:" + b"|".join(branches) + b")"


def unpacked(data: bytes, depth: int = 0) -> Iterator[bytes]:
    """The bytes, and what they hold in packed form."""
    yield data
    if depth == DEEPEST:
        return
    for inner in _inside(data):
        yield from unpacked(inner, depth + 1)


def _inside(data: bytes) -> Iterator[bytes]:
    if data[:4] == b"PAR1":
        yield from _parquet(data)
    elif data[:8] == PNG:
        yield from _png(data)
    elif data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)
    elif data[:2] == b"PK" and zipfile.is_zipfile(BytesIO(data)):
        with zipfile.ZipFile(BytesIO(data)) as archive:
            for member in archive.infolist():
                if member.compress_type != zipfile.ZIP_STORED:
                    yield archive.read(member)
    elif data[128:132] == b"DICM":
        yield from _deflated(data)
    else:
        for found in DATA_URI.findall(data):
            yield base64.b64decode(found + b"=" * (-len(found) % 4))


def _parquet(data: bytes) -> Iterator[bytes]:
    table = pq.read_table(pa.BufferReader(data))
    yield str(table.schema.metadata).encode()
    for name in table.column_names:
        yield name.encode()
        for value in table[name].to_pylist():
            yield value if isinstance(value, bytes) else str(value).encode()


def _png(data: bytes) -> Iterator[bytes]:
    at = 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunk = data[at + 8 : at + 8 + length]
        at += length + 12
        if kind in (b"zTXt", b"iTXt"):
            yield from (_inflated(chunk[place:]) for place in _streams(chunk))


def _streams(chunk: bytes) -> list[int]:
    """Places of a chunk where a zlib stream may start (RFC 1950: CMF 0x78)."""
    return [place for place, byte in enumerate(chunk[:200]) if byte == 0x78]


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data)
    except zlib.error:
        return b""


def _deflated(data: bytes) -> Iterator[bytes]:
    dataset = dcmread(BytesIO(data))
    if dataset.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        yield str(dataset).encode()


def identifiers(programme: Path) -> set[str]:
    """Everything in the made-up programme that a hospital or the registry would know her by."""
    found = {"MADE-UP^"}
    for path in (programme / "dicom").rglob("*.dcm"):
        header = dcmread(path, stop_before_pixels=True)
        for keyword in (
            "PatientID",
            "AccessionNumber",
            "StudyInstanceUID",
            "SeriesInstanceUID",
            "SOPInstanceUID",
        ):
            found.add(str(header[keyword].value))
    assert len(found) > 100
    return found
