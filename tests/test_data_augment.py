"""Augmentation changes images, and only as it says."""

import numpy as np

from mim.data.augment import make_augment
from mim.data.settings import AugmentSettings


def image() -> np.ndarray:
    random = np.random.default_rng(0)
    picture = np.zeros((96, 48), np.uint16)
    picture[20:80, :30] = random.integers(20000, 50000, (60, 30))
    return picture


def test_the_same_seed_changes_alike_and_another_otherwise():
    augment = make_augment(AugmentSettings(probability=1.0))
    other = make_augment(AugmentSettings(probability=1.0))
    np.testing.assert_array_equal(augment(image(), 5), other(image(), 5))
    assert (augment(image(), 5) != augment(image(), 6)).any()


def test_sixteen_bits_stay_sixteen():
    changed = make_augment(AugmentSettings(probability=1.0))(image(), 1)
    assert changed.dtype == np.uint16
    assert changed.shape == (96, 48)
    assert len(np.unique(changed)) > 1000


def test_black_background_stays_black():
    settings = AugmentSettings(0, 0, 0, brightness=0.3, contrast=0.3, probability=1.0)
    augment = make_augment(settings)
    for seed in range(5):
        changed = augment(image(), seed)
        assert not changed[image() == 0].any()
        assert (changed != image()).any()


def test_nothing_to_change_changes_nothing():
    augment = make_augment(AugmentSettings(0, 0, 0, 0, 0, probability=1.0))
    np.testing.assert_array_equal(augment(image(), 1), image())
