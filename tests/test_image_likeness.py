"""A signature tells copies of one picture from other pictures, whatever was done to the copy."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mim.image.likeness import NO_SIGNATURE, correlation, fine_structure, signature


def breast(seed: int, rows: int = 512) -> np.ndarray:
    """A half disc with structure of several sizes, as if prepared."""
    random = np.random.default_rng(seed)
    down, across = np.mgrid[:rows, : rows // 2] / rows
    structure = np.zeros(down.shape, np.float32)
    for waves in (4, 8, 16, 32):
        noise = random.standard_normal((2 * waves, waves)).astype(np.float32)
        structure += cv2.resize(noise, down.shape[::-1], interpolation=cv2.INTER_CUBIC)
    grey = 30_000 + 4_000 * structure
    inside = (down - 0.5) ** 2 / 0.2 + across**2 / 0.18 < 1
    return np.where(inside, np.clip(grey, 16, 60_000), 0).astype(np.uint16)


def bits_apart(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def correlated(one: np.ndarray, other: np.ndarray) -> float:
    return correlation(fine_structure(one, 2), fine_structure(other, 2))


def jpeg(pixels: np.ndarray) -> np.ndarray:
    coded = cv2.imencode(".jpg", (pixels >> 8).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 60])
    decoded = cv2.imdecode(coded[1], cv2.IMREAD_GRAYSCALE).astype(np.uint16) << 8
    return np.where(pixels > 0, decoded, 0)


def noisy(pixels: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 1500, pixels.shape)
    return np.where(pixels > 0, np.clip(pixels + noise, 1, 65535), 0).astype(np.uint16)


def windowed(pixels: np.ndarray) -> np.ndarray:
    return (65535 * (pixels / 65535) ** 1.4).astype(np.uint16)


def smaller(pixels: np.ndarray) -> np.ndarray:
    return cv2.resize(pixels, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)


def shifted(pixels: np.ndarray) -> np.ndarray:
    return np.roll(pixels, 6, axis=0)


@pytest.mark.parametrize("change", [jpeg, noisy, windowed, smaller, shifted])
@pytest.mark.parametrize("seed", [1, 2])
def test_an_altered_copy_stays_near(change, seed):
    pixels = breast(seed)
    assert bits_apart(signature(pixels), signature(change(pixels))) <= 20
    assert correlated(pixels, change(pixels)) > 0.9


def test_other_breasts_differ_in_about_half_of_all_bits():
    signatures = [signature(breast(seed, 256)) for seed in range(12)]
    apart = [bits_apart(a, b) for at, a in enumerate(signatures) for b in signatures[:at]]
    assert 115 < np.mean(apart) < 141
    assert min(apart) > 80
    assert correlated(breast(1), breast(2)) < 0.4


@given(st.integers(0, 10_000), st.floats(0.2, 1.0), st.integers(0, 5_000))
@settings(max_examples=30)
def test_a_factor_and_an_offset_change_hardly_a_bit(seed, factor, offset):
    pixels = breast(seed, 128)
    changed = np.where(pixels > 0, pixels * factor + offset + 1, 0).astype(np.uint16)
    assert bits_apart(signature(pixels), signature(changed)) <= 4


@pytest.mark.parametrize("value", [0, 16, 30_000, 65_520])
def test_a_picture_without_structure_is_like_nothing(value):
    pixels = np.where(breast(1) > 0, value, 0).astype(np.uint16)
    assert signature(pixels) == NO_SIGNATURE
    assert correlated(pixels, pixels) == 0.0


def test_the_signature_stays_what_it_is():
    """Caches hold it: who changes it raises the recipe's VERSION."""
    down, across = np.mgrid[:256, :128]
    waves = 20_000 + 9_000 * np.sin(down / 9) * np.cos(across / 7 + down / 23)
    pixels = np.where((down - 128) ** 2 + across**2 < 100**2, waves, 0).astype(np.uint16)
    wanted = bytes.fromhex("ef8cc0067116d75dc1c7cbd412015976ed87c3d63214dd5d2e1c642b69fef70d")
    assert bits_apart(signature(pixels), wanted) <= 2, signature(pixels).hex()
