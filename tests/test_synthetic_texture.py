"""Anatomical noise: its spectrum is measured here with other means than it was made with."""

import itertools

import numpy as np
import pytest

from mim.synthetic.texture import (
    COARSEST,
    HEIGHT_MM,
    ducts,
    grid_rows,
    mix,
    power_law_noise,
    share_structure,
    white_spectrum,
)


def radial_slope(field, spacing_mm, low, high):
    """Slope of log power against log frequency (1/mm), windowed patches, averaged over angles."""
    size = 128
    window = np.outer(np.hanning(size), np.hanning(size))
    power = np.zeros((size, size))
    for row in range(0, field.shape[0] - size + 1, size // 2):
        for column in range(0, field.shape[1] - size + 1, size // 2):
            patch = field[row : row + size, column : column + size].astype(np.float64)
            power += np.abs(np.fft.fft2((patch - patch.mean()) * window)) ** 2
    frequency = np.fft.fftfreq(size, spacing_mm)
    radius = np.hypot(*np.meshgrid(frequency, frequency))
    edges = np.geomspace(low, high, 13)
    bins = [(radius >= a) & (radius < b) for a, b in itertools.pairwise(edges)]
    means = np.array([power[b].mean() for b in bins])
    centres = np.array([radius[b].mean() for b in bins])
    return np.polyfit(np.log(centres), np.log(means), 1)[0]


def test_the_power_spectrum_falls_with_the_third_power_of_frequency():
    slopes = [
        radial_slope(power_law_noise(white_spectrum([seed], 512)), HEIGHT_MM / 512, 0.06, 0.5)
        for seed in range(4)
    ]
    # Burgess 2001 finds 2.8 to 3.0 on mammograms.
    assert np.mean(slopes) == pytest.approx(-3.0, abs=0.15)


def test_the_field_has_mean_zero_and_unit_variance():
    fields = [power_law_noise(white_spectrum([7, seed], 256)) for seed in range(12)]
    assert abs(np.mean(fields)) < 1e-6
    assert np.var(fields) == pytest.approx(1.0, abs=0.15)


def test_a_finer_grid_adds_detail_to_the_same_field():
    coarse = power_law_noise(white_spectrum([3], 256))
    fine = power_law_noise(white_spectrum([3], 1024))[::4, ::4]
    assert np.corrcoef(coarse.ravel(), fine.ravel())[0, 1] > 0.97
    assert np.std(coarse - fine) < 0.25


def test_other_seeds_give_other_fields():
    first, second = (power_law_noise(white_spectrum([seed], 256)) for seed in (1, 2))
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.3


@pytest.mark.parametrize("share", [0.25, 0.8])
def test_mixing_keeps_the_variance(share):
    one, other = white_spectrum([1], 256), white_spectrum([2], 256)
    mixed = mix(one, other, share)
    assert np.var(mixed) == pytest.approx(np.var(one), rel=0.02)
    correlation = np.vdot(one, mixed).real / np.vdot(one, one).real
    assert correlation == pytest.approx(np.sqrt(1 - share**2), abs=0.02)


def test_shared_structure_touches_low_frequencies_alone():
    own, common = white_spectrum([1], 256), white_spectrum([9], COARSEST)
    shared = share_structure(own, common, 0.5)
    changed = shared != own
    rows, columns = np.nonzero(changed)
    assert changed.any()
    assert columns.max() <= COARSEST // 4
    assert np.minimum(rows, 256 - rows).max() <= COARSEST // 2


@pytest.mark.parametrize(
    ("pitch_mm", "rows"),
    [(0.05, 2048), (0.1, 2048), (0.56, 512), (0.8, 512), (3.2, 128), (50.0, 64)],
)
def test_the_grid_suits_the_pitch(pitch_mm, rows):
    assert grid_rows(pitch_mm) == rows


def test_ducts_begin_at_the_nipple_and_stay_in_front_of_it():
    field = ducts([5], 90.0, 512)
    spacing = HEIGHT_MM / 512
    at_nipple = field[256 - 8 : 256 + 8, int(80 / spacing) : int(90 / spacing)]
    assert at_nipple.max() > 0.5
    assert field[:, int(96 / spacing) :].max() == 0
