"""Thousands of damaged files: none kills, none hangs, none that is cut passes for an image.

Damage that changes the picture and is not noticed is counted, and may not become more. The table that
is printed (``pytest -m slow -s``) stands in docs/decoding.md.
"""

import io
import multiprocessing
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from pixel_files import (
    BIG_ENDIAN,
    CODINGS,
    DEFLATED,
    IMPLICIT,
    NATIVE,
    RLE,
    native_bytes,
    planted,
    write_dicom,
)

from mim.dicom.decoders import DECODERS

SEED = 20250
ROUNDS = 40
"""Mutants of each coding by each mutation."""

ROWS, COLUMNS = 48, 40
LIMIT_S = 10.0
PROCESSES = 2


class Base(NamedTuple):
    """An undamaged file with its parts."""

    name: str
    syntax: str
    bits: int
    pixels: np.ndarray
    stream: bytes
    file: bytes

    @property
    def native(self) -> bool:
        return self.syntax in NATIVE

    @property
    def start(self) -> int:
        """Where the value of Pixel Data begins."""
        if self.syntax == DEFLATED:
            return self.file.index(self.syntax.encode()) + 30
        tag = b"\x7f\xe0\x00\x10" if self.syntax == BIG_ENDIAN else b"\xe0\x7f\x10\x00"
        return self.file.rindex(tag) + (8 if self.syntax == IMPLICIT else 12)

    def rebuilt(self, stream: bytes | None = None, **changes: object) -> bytes:
        """The file with another stream or header, and everything around them as it should be."""
        fragments = changes.pop("fragments", 1)
        dataset = {"PhotometricInterpretation": "MONOCHROME2", **changes}
        stream = self.stream if stream is None else stream
        return written(self.syntax, self.pixels, self.bits, stream, fragments, **dataset)


def written(syntax, pixels, bits, stream, fragments=1, **changes) -> bytes:
    file = io.BytesIO()
    write_dicom(file, syntax, pixels, bits, stream, fragments, **changes)
    return file.getvalue()


def base(name: str) -> Base:
    coding = CODINGS[name]
    pixels = planted(ROWS, COLUMNS, coding.bits)
    stream = coding.encode(pixels) if coding.encode else native_bytes(pixels, coding.syntax)
    file = written(coding.syntax, pixels, coding.bits, stream)
    return Base(name, coding.syntax, coding.bits, pixels, stream, file)


Random = np.random.Generator


def cut_file(base: Base, random: Random) -> bytes:
    return base.file[: random.integers(len(base.file) - 1)]


def cut_pixels(base: Base, random: Random) -> bytes:
    """The file ends within its pixels; a missing delimiter alone is no cut, and is not made here."""
    last = len(base.file) - (1 if base.native else 9 + len(base.stream) % 2)
    return base.file[: random.integers(base.start, last)]


def cut_and_wrapped(base: Base, random: Random) -> bytes:
    """By two bytes at least where there is no end marker: one comes back as the pad byte."""
    end = len(base.stream) - (base.native or base.syntax == RLE)
    return base.rebuilt(base.stream[: random.integers(1, end)])


def cut_with_a_forged_end(base: Base, random: Random) -> bytes:
    cut = base.stream[: random.integers(2, len(base.stream) - 2)]
    forged = b"" if base.native or base.syntax == RLE else b"\xff\xd9"
    return base.rebuilt(cut + forged)


def lost_fragment(base: Base, random: Random) -> bytes:
    size = int(random.integers(8, max(9, len(base.stream) // 2)))
    parts = [base.stream[at : at + size] for at in range(0, len(base.stream), size)]
    del parts[random.integers(len(parts))]
    return base.rebuilt(b"".join(parts) or b"\0")


def flipped(data: bytes, random: Random, low: int, high: int, count: int = 1) -> bytes:
    changed = bytearray(data)
    for place in random.integers(low, max(high, low + 1), count):
        changed[place] ^= 1 << random.integers(8)
    return bytes(changed)


def bit_in_dicom_header(base: Base, random: Random) -> bytes:
    return flipped(base.file, random, 128, base.start)


def bit_in_stream_header(base: Base, random: Random) -> bytes:
    return base.rebuilt(flipped(base.stream, random, 0, min(120, len(base.stream))))


def bit_in_stream(base: Base, random: Random) -> bytes:
    return flipped(base.file, random, base.start, len(base.file))


def many_bits_in_stream(base: Base, random: Random) -> bytes:
    return flipped(base.file, random, base.start, len(base.file), int(random.integers(2, 40)))


def bytes_lost_or_doubled(base: Base, random: Random) -> bytes:
    at = int(random.integers(len(base.stream)))
    size = int(random.integers(1, 9))
    if random.random() < 0.5:
        return base.rebuilt(base.stream[:at] + base.stream[at + size :] or b"\0")
    return base.rebuilt(base.stream[: at + size] + base.stream[at:])


def zeroed_block(base: Base, random: Random) -> bytes:
    at = int(random.integers(len(base.stream)))
    size = int(random.integers(4, 600))
    kept = base.stream[at + size :]
    zeros = min(size, len(base.stream) - at)
    return base.rebuilt(base.stream[:at] + bytes(zeros) + kept)


def zeroed_to_the_end(base: Base, random: Random) -> bytes:
    at = int(random.integers(base.start, len(base.file) - 1))
    return base.file[:at] + bytes(len(base.file) - at)


def wrong_rows_or_columns(base: Base, random: Random) -> bytes:
    rows, columns = base.pixels.shape
    change = int(random.choice([-8, -2, -1, 1, 2, 8, 500, 30000]))
    shapes = [(rows + change, columns), (rows, columns + change), (columns, rows), (2 * rows, 20)]
    rows, columns = shapes[random.integers(len(shapes))]
    return base.rebuilt(Rows=max(1, rows), Columns=max(1, columns))


def wrong_bits(base: Base, random: Random) -> bytes:
    change = int(random.choice([-4, -2, -1, 1, 2, 4, 8]))
    allocated = 8 * base.pixels.itemsize
    stored = min(max(1, base.bits + change), allocated)
    other = 24 - allocated
    return base.rebuilt(
        **[
            {"BitsStored": stored},
            {"BitsStored": stored, "HighBit": stored - 1},
            {"HighBit": min(max(0, base.bits - 1 + change), 15)},
            {"BitsAllocated": other, "BitsStored": min(base.bits, other), "HighBit": other - 1},
        ][random.integers(4)]
    )


def wrong_lengths(base: Base, random: Random) -> bytes:
    """The length of Pixel Data or of an item, or that of any element before."""
    file = bytearray(base.file)
    places = [base.start - 4] * 4
    places += [] if base.native else [base.start + 4, base.start + 12]
    places += [found.start() + 6 for found in re.finditer(rb"[\x08\x28]\0..(US|UI|CS)", base.file)]
    at = int(places[random.integers(len(places))])
    length = struct.unpack_from("<H", file, at)[0]
    change = int(random.choice([-length, -2, -1, 1, 2, 40, 3000]))
    struct.pack_into("<H", file, at, (length + change) % 65536)
    return bytes(file)


def text_or_noise(base: Base, random: Random) -> bytes:
    noise = random.bytes(random.integers(1, 4000))
    text = b"Rows and Columns 48 x 40. " * int(random.integers(1, 200))
    files = [text, noise, bytes(128) + b"DICM" + text, bytes(128) + b"DICM" + noise, b""]
    pick = int(random.integers(7))
    return files[pick] if pick < 5 else base.rebuilt(text if pick == 5 else noise)


def other_syntax(base: Base, random: Random) -> bytes:
    """Only the UID changes; the group length before it is then wrong as well."""
    syntax = str(random.choice(sorted(set(DECODERS) - {base.syntax}))).encode()
    at = base.file.index(b"\x02\x00\x10\x00UI") + 8
    end = at + base.file[at - 2]
    syntax += b"\0" * (len(syntax) % 2)
    return base.file[: at - 2] + struct.pack("<H", len(syntax)) + syntax + base.file[end:]


def stream_of_another(base: Base, random: Random) -> bytes:
    other = BASES[str(random.choice(sorted(set(CODINGS) - {base.name})))]
    return base.rebuilt(other.stream)


MUTATIONS: dict[str, Callable[[Base, Random], bytes]] = {
    "file cut anywhere": cut_file,
    "file cut in the pixels": cut_pixels,
    "stream cut and wrapped again": cut_and_wrapped,
    "stream cut, end marker forged": cut_with_a_forged_end,
    "fragment lost": lost_fragment,
    "zeros to the end": zeroed_to_the_end,
    "zeroed block": zeroed_block,
    "bytes lost or doubled": bytes_lost_or_doubled,
    "bit in the DICOM header": bit_in_dicom_header,
    "bit in the stream's start": bit_in_stream_header,
    "bit in the pixels": bit_in_stream,
    "2 to 40 bits in the pixels": many_bits_in_stream,
    "wrong rows or columns": wrong_rows_or_columns,
    "wrong bits": wrong_bits,
    "wrong lengths": wrong_lengths,
    "text or noise": text_or_noise,
    "other transfer syntax": other_syntax,
    "stream of another image": stream_of_another,
}

TRUNCATIONS = (
    "file cut anywhere",
    "file cut in the pixels",
    "stream cut and wrapped again",
    "stream cut, end marker forged",
)

BASES: dict[str, Base] = {}

CASES = [
    (name, mutation, number)
    for name in CODINGS
    for mutation in MUTATIONS
    for number in range(ROUNDS)
]


def work(cases: list[int], results: Connection, folder: str) -> None:
    """Decode mutants one by one and say of each what became of it; runs in a process of its own."""
    from mim.dicom.pixels import PixelError, read_image

    BASES.update({name: base(name) for name in CODINGS})
    path = Path(folder) / f"{multiprocessing.current_process().pid}.dcm"
    whole = {}
    for name, undamaged in BASES.items():
        path.write_bytes(undamaged.file)
        whole[name] = read_image(path).pixels
    results.send("ready")
    for case in cases:
        name, mutation, _ = CASES[case]
        random = np.random.default_rng([SEED, case])
        path.write_bytes(MUTATIONS[mutation](BASES[name], random))
        try:
            found = read_image(path).pixels
            outcome = "same" if np.array_equal(found, whole[name]) else "changed"
        except PixelError:
            outcome = "refused"
        except BaseException as error:
            outcome = f"raised {type(error).__name__}"
        results.send(outcome)
    path.unlink()


def outcomes(cases: list[int], folder: Path) -> Iterator[tuple[int, str]]:
    """Each case with its outcome; a process that dies or hangs is the fault of the case in hand."""
    context = multiprocessing.get_context("spawn")
    while cases:
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(cases, there, str(folder)))
        process.start()
        there.close()
        done = -1
        try:
            while done < len(cases) and here.poll(60.0 if done < 0 else LIMIT_S):
                outcome = here.recv()
                if done >= 0:
                    yield cases[done], outcome
                done += 1
                if done == len(cases):
                    break
        except EOFError:
            pass
        died = not process.is_alive()
        if done < len(cases):
            process.kill()
            yield cases[max(done, 0)], "died" if died else "hung"
        process.join()
        cases = cases[max(done, 0) + 1 :]


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Counter[tuple[str, str, str]]:
    """Number of mutants by coding, mutation and outcome."""
    folder = tmp_path_factory.mktemp("mutants")
    shares = [list(range(len(CASES)))[part::PROCESSES] for part in range(PROCESSES)]
    with ThreadPoolExecutor(PROCESSES) as pool:
        found = pool.map(lambda share: list(outcomes(share, folder)), shares)
        return Counter((*CASES[case][:2], outcome) for share in found for case, outcome in share)


def markdown(table: Counter[tuple[str, str, str]]) -> str:
    """Mutants whose picture changed unnoticed, of each coding by each mutation that has any."""
    changed = {key[:2]: count for key, count in table.items() if key[2] == "changed"}
    columns = [name for name in MUTATIONS if any(key[1] == name for key in changed)]
    rows = [["coding", *columns], ["---", *["--:"] * len(columns)]]
    for name in CODINGS:
        rows.append([name, *(str(changed.get((name, column), 0)) for column in columns)])
    lines = [f"n = {len(CASES)}, {ROUNDS} in each cell; seed {SEED}", ""]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def documented() -> Counter[tuple[str, str]]:
    """The table of docs/decoding.md; what has no column there is never unnoticed."""
    page = (Path(__file__).resolve().parents[1] / "docs" / "decoding.md").read_text()
    assert f"n = {len(CASES)}, {ROUNDS} in each cell; seed {SEED}\n" in page
    lines = page[page.index("| coding |") :].split("\n\n")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    assert [row[0] for row in rows[2:]] == list(CODINGS)
    columns = rows[0][1:]
    assert set(columns) < set(MUTATIONS)
    return Counter(
        {
            (row[0], column): int(cell)
            for row in rows[2:]
            for column, cell in zip(columns, row[1:], strict=True)
        }
    )


@pytest.mark.slow
def test_no_mutant_kills_hangs_or_raises_anything_else(table):
    print("\n" + markdown(table))
    assert sum(table.values()) == len(CASES) >= 10_000
    fine = ("same", "changed", "refused")
    assert not {key: count for key, count in table.items() if key[2] not in fine}


@pytest.mark.slow
def test_no_picture_that_is_cut_passes_for_one(table):
    assert not {
        key: count for key, count in table.items() if key[1] in TRUNCATIONS and key[2] == "changed"
    }


@pytest.mark.slow
def test_no_more_goes_unnoticed_than_the_documentation_says(table):
    known = documented()
    more = {
        key: count
        for key, count in table.items()
        if key[2] == "changed" and count > known[key[0], key[1]]
    }
    assert not more


@pytest.mark.slow
def test_every_kind_of_damage_does_damage(table):
    """A mutation that is refused or changes something in most of its mutants tests something."""
    for mutation in MUTATIONS:
        same = sum(table[name, mutation, "same"] for name in CODINGS)
        assert same < 0.6 * ROUNDS * len(CODINGS), mutation
