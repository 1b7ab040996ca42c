"""Anatomical noise: random fields with a power-law spectrum, fixed in millimetres.

The power spectrum of normal mammograms falls about as 1/f^3 (Burgess 1999, doi 10.1117/12.348571;
Burgess, Jacobson and Judy 2001, doi 10.1118/1.1355308). The same seed gives the same field at
every pixel pitch: a finer pitch only adds higher frequencies.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Spectrum = NDArray[np.complex64]

HEIGHT_MM = 320.0
"""Period of a field along the chest wall; half of it towards the nipple."""
EXPONENT = 3.0
"""The power spectrum falls as frequency to this power."""
KNEE = 0.012
"""Cycles per mm below which the spectrum is flat: no structure is larger than the breast."""
COARSEST = 32
"""Rows of the coarsest grid; below its Nyquist frequency, 0.05 per mm, views share structure."""
FINEST = 2048


def grid_rows(pitch_mm: float) -> int:
    """Rows (a power of two) of the field's grid that suits a pixel pitch; columns are half."""
    return int(np.clip(2 ** round(np.log2(HEIGHT_MM / pitch_mm)), 2 * COARSEST, FINEST))


@lru_cache(maxsize=8)
def _amplitude(rows: int) -> Field:
    """Square root of the power spectrum [rows, rows / 4 + 1], for unit variance of the field."""
    step = 1.0 / HEIGHT_MM
    along = np.fft.fftfreq(rows, 1.0 / rows).astype(np.float32)[:, None] * step
    across = np.arange(rows // 4 + 1, dtype=np.float32)[None, :] * 2 * step
    amplitude = (along**2 + across**2 + KNEE**2) ** (-EXPONENT / 4)
    amplitude[0, 0] = 0.0
    return (amplitude / _norm(rows)).astype(np.float32)


@lru_cache(maxsize=8)
def _norm(rows: int) -> float:
    """What gives unit variance after irfft2, for white coefficients of variance 1 + 1."""
    reference = FINEST // 2
    along = np.fft.fftfreq(reference, 1.0 / reference)[:, None] / HEIGHT_MM
    across = np.fft.fftfreq(reference // 2, 2.0 / reference)[None, :] * 2 / HEIGHT_MM
    power = (along**2 + across**2 + KNEE**2) ** (-EXPONENT / 2)
    power[0, 0] = 0.0
    return float(np.sqrt(2.0 * power.sum())) / (rows * rows / 2)


def white_spectrum(seed: list[int], rows: int) -> Spectrum:
    """White complex coefficients [rows, rows / 4 + 1], drawn octave by octave.

    Each octave has a stream of its own, so the coefficients of a coarse grid are found again in
    every finer one.
    """
    white = np.zeros((rows, rows // 4 + 1), np.complex64)
    size = COARSEST
    while size <= rows:
        octave = np.random.default_rng([*seed, size]).standard_normal(
            (size, size // 4 + 1, 2), np.float32
        )
        drawn = octave.view(np.complex64)[..., 0]
        inner = size // 2 if size > COARSEST else 0
        if inner:
            _place(drawn, _block(white, inner))
        _place(white, drawn)
        size *= 2
    return white


def _block(white: Spectrum, size: int) -> Spectrum:
    """The coefficients of the coarser grid of ``size`` rows; its Nyquist terms are left out."""
    half = size // 2
    rows = np.concatenate([white[:half], white[-half:]])
    return rows[:, : size // 4 + 1].copy()


def _place(target: Spectrum, block: Spectrum) -> None:
    half, width = block.shape[0] // 2, block.shape[1]
    target[:half, :width] = block[:half]
    target[-half:, :width] = block[half:]


def mix(first: Spectrum, second: Spectrum, share: float) -> Spectrum:
    """Coefficients that correlate with ``first`` by sqrt(1 - share^2); variance is kept."""
    mixed: Spectrum = np.float32(np.sqrt(1 - share**2)) * first + np.float32(share) * second
    return mixed


def share_structure(own: Spectrum, common: Spectrum, share: float) -> Spectrum:
    """``own`` whose larger structures, as far as the coarser ``common`` goes, follow it in part."""
    shared = own.copy()
    _place(shared, mix(_block(own, common.shape[0]), common, share))
    return shared


def power_law_noise(white: Spectrum) -> Field:
    """The field [rows, rows / 2] of white coefficients: mean 0, variance about 1, periodic.

    Its samples lie HEIGHT_MM / rows apart in both directions.
    """
    rows = white.shape[0]
    field = np.fft.irfft2(white * _amplitude(rows), s=(rows, rows // 2), axes=(0, 1))
    return field.astype(np.float32, copy=False)


def ducts(seed: list[int], nipple_mm: float, rows: int) -> Field:
    """Ducts that run from the nipple into the gland, as a field like the noise's, 0 to 1.

    The nipple lies at ``nipple_mm`` from the chest wall, half way down the field.
    """
    rng = np.random.default_rng(seed)
    spacing = HEIGHT_MM / rows
    canvas = np.zeros((rows, rows // 2), np.uint8)
    start = np.array([nipple_mm - 2.0, HEIGHT_MM / 2])
    for angle in rng.normal(0.0, 0.45, 9):
        _branch(canvas, rng, start, float(angle), nipple_mm, spacing, depth=0)
    blurred = cv2.GaussianBlur(canvas, (0, 0), max(0.5, 0.35 / spacing))
    return blurred.astype(np.float32) / 255.0


def _branch(
    canvas: NDArray[np.uint8],
    rng: np.random.Generator,
    start: NDArray[np.float64],
    angle: float,
    nipple_mm: float,
    spacing: float,
    depth: int,
) -> None:
    length = nipple_mm * rng.uniform(0.2, 0.4) / (1 + 0.5 * depth)
    steps = np.linspace(0, 1, 8)
    turned = angle + rng.normal(0, 0.35) * steps
    path = start + np.cumsum(
        np.stack([-np.cos(turned), np.sin(turned)], 1) * length / len(steps), axis=0
    )
    points = np.round((np.vstack([start, path]) / spacing) * 16).astype(np.int32)
    width = max(1, round(1.2 / spacing / (1 + depth)))
    brightness = int(255 / (1 + depth) * min(1.0, 1.2 / spacing / (1 + depth) / width))
    cv2.polylines(canvas, [points], False, brightness, width, cv2.LINE_AA, shift=4)
    if depth < 2:
        for turn in (-0.35, 0.3):
            new = float(turned[-1] + turn + rng.normal(0, 0.15))
            _branch(canvas, rng, path[-1], new, nipple_mm, spacing, depth + 1)
