"""What an image is like: grey levels, share, fine detail, against numbers that were planted."""

import numpy as np
import pytest

from mim.image.looks import Looks, looks, mean_looks
from mim.image.phantom import phantom
from mim.image.recipe import prepare_stored
from mim.image.settings import RecipeSettings
from mim.schemas.scores import INPUT_MEASURES
from mim.vocab import Laterality, View

WHITE = 65535
ROWS, COLUMNS = 512, 256


def breast(noise: float, low: float = 0.2, high: float = 0.8) -> np.ndarray:
    """A block that covers half the picture, its grey rising evenly from ``low`` to ``high``."""
    random = np.random.default_rng(3)
    grey = np.zeros((ROWS, COLUMNS))
    rise = np.linspace(low, high, COLUMNS // 2)
    grey[:, : COLUMNS // 2] = rise + random.normal(0, noise, (ROWS, COLUMNS // 2))
    return np.asarray(np.clip(grey, 0, 1) * 4095, np.uint16) << 4


def test_grey_levels_and_share_are_those_that_were_drawn():
    found = looks(breast(0))
    assert (found.dark_grey, found.middle_grey, found.bright_grey) == pytest.approx(
        (0.23, 0.5, 0.77), abs=0.01
    )
    assert found.breast_share == 0.5


@pytest.mark.parametrize("noise", [0.005, 0.01, 0.03])
def test_fine_detail_is_the_noise_that_was_added_whatever_the_slope(noise):
    for low, high in ((0.5, 0.5), (0.3, 0.7)):
        assert looks(breast(noise, low, high)).fine_detail == pytest.approx(noise, rel=0.02)


def test_percentiles_are_numpys():
    pixels = prepare_stored(phantom(), Laterality.RIGHT, View.CC, RecipeSettings(256, 128)).pixels
    found = looks(pixels)
    inside = pixels[::2, ::2][pixels[::2, ::2] > 0] / 65520
    assert found[:3] == pytest.approx(np.percentile(inside, [5, 50, 95]), abs=2e-3)
    assert found.breast_share == pytest.approx((pixels > 0).mean(), abs=1e-9)


def test_an_exam_has_the_means_of_its_images_that_show_anything():
    first, second, black = breast(0.01), breast(0.03), np.zeros((ROWS, COLUMNS), np.uint16)
    assert looks(black) is None
    assert mean_looks([black]) is None
    assert mean_looks([]) is None
    wanted = np.mean([looks(first), looks(second)], axis=0)
    assert mean_looks([first, black, second]) == pytest.approx(wanted)


def test_each_measure_has_a_column():
    names = [column.name for column in INPUT_MEASURES]
    assert names == [*Looks._fields, "spacing_mm"]
