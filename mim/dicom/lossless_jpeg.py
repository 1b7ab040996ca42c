"""Whether a lossless JPEG that was decoded was all there, proved by coding its end again."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mim.dicom.streams import Jpeg, StreamError, check_restart_markers

Pixels = NDArray[Any]
Differences = NDArray[np.int32]

TAIL = 64
"""Samples at the end of a lossless JPEG that are coded again; by chance they agree 1 in 2^64 times."""

PREDICTORS: dict[int, Callable[[Differences, Differences, Differences], Differences]] = {
    1: lambda left, above, corner: left,
    2: lambda left, above, corner: above,
    3: lambda left, above, corner: corner,
    4: lambda left, above, corner: left + above - corner,
    5: lambda left, above, corner: left + ((above - corner) >> 1),
    6: lambda left, above, corner: above + ((left - corner) >> 1),
    7: lambda left, above, corner: (left + above) >> 1,
}
"""Prediction of a sample from its neighbours: ISO 10918-1 table H.1."""

HALVING = (5, 6, 7)
"""Predictors that go wrong in libjpeg where differences were taken modulo less than 2^16."""


def check_lossless_end(jpeg: Jpeg, decoded: Pixels) -> None:
    """Refuse a lossless JPEG whose last decoded samples are not what its last bytes hold.

    libjpeg goes on without a word when the data ends too early, or too late. So the last samples of
    the scan, and of each restart interval, are coded again with the stream's own Huffman table: the
    run of equal differences at the end, however long, and ``TAIL`` samples before it. The bits must
    be the last ones there, but for up to seven that fill the last byte. ``decoded`` are the samples
    as libjpeg gives them, before any mask.
    """
    rows, columns = decoded.shape
    if jpeg.predictor not in PREDICTORS or jpeg.shift >= jpeg.frame.bits:
        raise StreamError("a predictor or point transform that does not exist")
    coding = _Coding(jpeg.table, decoded.dtype.itemsize)
    if not jpeg.restart:
        return _check_interval(jpeg, coding, decoded, jpeg.data)
    if jpeg.restart % columns:
        raise StreamError("a restart interval that is no number of rows")
    check_restart_markers(jpeg, rows * columns)
    step = jpeg.restart // columns
    intervals = re.split(rb"\xff[\xd0-\xd7]", jpeg.data)
    for top, data in zip(range(0, rows, step), intervals, strict=True):
        _check_interval(jpeg, coding, decoded[top : top + step], memoryview(data))
    return None


def _check_interval(jpeg: Jpeg, coding: "_Coding", decoded: Pixels, data: memoryview) -> None:
    value, run, before = _last_differences(jpeg, decoded)
    whole = run + before.size == decoded.size
    length = len(coding.one(value) or "")
    raw = _last_bytes(data, (run * length + TAIL * 64) // 8)
    raw, run = _without_repeats(raw, run, length)
    bits = format(int.from_bytes(raw, "big"), f"0{8 * len(raw)}b") if raw else ""
    places = {len(bits) - fill for fill in range(8)}
    places = _stepped(places, bits, [code * run for code in coding.of(value)])
    for difference in before[::-1].tolist():
        places = _stepped(places, bits, coding.of(difference))
    if not places or (whole and 0 not in places):
        raise StreamError("the last samples are not what the stream's last bytes hold")


def _without_repeats(raw: bytes, run: int, length: int) -> tuple[bytes, int]:
    """The same question asked of fewer bytes, where a long run of one code is coded.

    Eight codes of so many bits are as many bytes, which then repeat. If they do, most can go.
    """
    periods = run // 8 - 8
    spare = periods * length
    repeats = np.frombuffer(raw, np.uint8)[-spare - length - 1 : -1]
    if periods < 8 or not np.array_equal(repeats[:-length], repeats[length:]):
        return raw, run
    return raw[: -spare - 1] + raw[-1:], run - 8 * periods


def _stepped(places: set[int], bits: str, codes: list[str]) -> set[int]:
    """Where each code begins that ends at one of the places."""
    return {end - len(code) for end in places for code in codes if bits.endswith(code, 0, end)}


class _Coding:
    """Bits of a difference: Huffman code of its size in bits, then its value; ISO 10918-1 H.1.2.2."""

    def __init__(self, table: bytes, sample_bytes: int) -> None:
        self.wraps = sample_bytes == 1
        self.sizes: dict[int, str] = {}
        code, place = 0, 16
        for length, count in enumerate(table[:16], 1):
            for symbol in table[place : place + count]:
                self.sizes[symbol] = format(code, f"0{length}b")
                code += 1
            place += count
            code <<= 1

    def of(self, difference: int) -> list[str]:
        """Every way to write it; samples of 8 bits do not tell differences 256 apart."""
        ways = range(difference % 256 - 512, 512, 256) if self.wraps else (difference,)
        return [code for way in ways if (code := self.one(way)) is not None]

    def one(self, difference: int) -> str | None:
        """Code and value, where the table has the code."""
        size = abs(difference).bit_length()
        code = self.sizes.get(size)
        if code is None or size in (0, 16):
            return code
        low = difference if difference > 0 else difference + (1 << size) - 1
        return code + format(low, f"0{size}b")


def _last_differences(jpeg: Jpeg, decoded: Pixels) -> tuple[int, int, Differences]:
    """The last difference, how often it stands at the end, and up to ``TAIL`` ones before that."""
    # Below the first of several rows of one value no predictor leaves a difference.
    bottom = len(decoded) - max(0, _rows_alike(decoded) - 1)
    run = (len(decoded) - bottom) * decoded.shape[1]
    value = 0 if run else int(_differences(jpeg, decoded, bottom - 1, bottom)[-1])
    step = 1
    while bottom:
        top = max(0, bottom - step)
        block = _differences(jpeg, decoded, top, bottom)
        other = np.flatnonzero(block != value)
        if other.size:
            run += block.size - 1 - int(other[-1])
            before = block[: int(other[-1]) + 1]
            if before.size < TAIL and top:
                before = np.concatenate((_differences(jpeg, decoded, top - 1, top), before))
            return value, run, before[-TAIL:]
        run += block.size
        bottom, step = top, min(2 * step, 64)
    return value, run, np.empty(0, np.int32)


def _rows_alike(decoded: Pixels) -> int:
    """How many rows at the end hold one value throughout."""
    bottom, step = len(decoded), 1
    while bottom:
        top = max(0, bottom - step)
        other = np.flatnonzero((decoded[top:bottom] != decoded[-1, -1]).any(axis=1))
        if other.size:
            return len(decoded) - top - 1 - int(other[-1])
        bottom, step = top, min(2 * step, 64)
    return len(decoded)


def _differences(jpeg: Jpeg, decoded: Pixels, top: int, bottom: int) -> Differences:
    """Differences to the prediction, rows ``top`` to ``bottom`` of a scan or restart interval."""
    here = decoded[top:bottom].astype(np.int32) >> jpeg.shift
    above = np.empty_like(here)
    above[1:] = here[:-1]
    above[0] = decoded[top - 1].astype(np.int32) >> jpeg.shift if top else 0
    predicted = above.copy()
    predicted[:, 1:] = PREDICTORS[jpeg.predictor](here[:, :-1], above[:, 1:], above[:, :-1])
    if not top:
        predicted[0, 0] = 1 << (jpeg.frame.bits - jpeg.shift - 1)
        predicted[0, 1:] = here[0, :-1]
    difference = (here - predicted) & 0xFFFF
    signed = np.where(difference > 0x8000, difference - 0x10000, difference)
    return signed.astype(np.int32).ravel()


def _last_bytes(data: memoryview, count: int) -> bytes:
    """The last ``count`` bytes of coded data, or all there are, without the stuffed zeros."""
    raw = bytes(data[-2 * count - 2 :]).rstrip(b"\xff")
    return raw.replace(b"\xff\x00", b"\xff")[-count:]
