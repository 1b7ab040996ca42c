"""Harmonisation undoes makers' tone curves, keeps order and background, and never fails."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom import dcmread
from scipy.ndimage import gaussian_filter
from skimage.exposure import match_histograms

from mim.data.cache import Cache
from mim.errors import InputError
from mim.image.greys import (
    DARKEST,
    SHARES,
    WHITE,
    GreyStandard,
    Jitter,
    fixed_standard,
    harmonise,
    learn_standard,
    tissue_quantiles,
)
from mim.image.recipe import prepare
from mim.image.settings import Harmonise, RecipeSettings
from mim.vocab import Laterality, View

LEARNING = (Harmonise.landmarks, Harmonise.histogram)
CHANGING = (*LEARNING, Harmonise.tissue)


def breast(seed: int, low: float = 0.15, high: float = 0.8) -> np.ndarray:
    """A textured half disc of 12 significant bits on black."""
    y, x = np.mgrid[:160, :96]
    random = np.random.default_rng(seed).standard_normal(y.shape)
    texture = gaussian_filter(random, 6) * 12 + gaussian_filter(random, 1)
    share = 1 / (1 + np.exp(-texture - 0.5 + x / 96))
    levels = np.round((low + (high - low) * share) * 4095)
    return np.where((x / 90) ** 2 + ((y - 80) / 76) ** 2 < 1, levels, 0).astype(np.uint16) << 4


def standard_of(kind: Harmonise) -> GreyStandard:
    """Learnt from three made-up makers' images."""
    makers = {"ge": (0.3, 0.9), "siemens": (0.1, 0.7), "philips": (0.05, 0.5)}
    images = [(maker, breast(seed, *ends)) for seed, (maker, ends) in enumerate(makers.items())]
    return learn_standard(kind, images, women=3, exams=3)


STANDARDS = {kind: standard_of(kind) for kind in Harmonise}

any_image = arrays(
    np.uint16,
    (9, 7),
    elements=st.sampled_from([0, 0, 16, 4080, 4096, 65520]) | st.integers(0, 65535),
)
any_jitter = st.none() | st.builds(
    Jitter, st.sampled_from(["ge", "siemens", "philips"]), st.floats(0, 1)
)


@given(any_image, st.sampled_from(Harmonise), any_jitter)
def test_what_was_brighter_is_not_darker_and_background_stays(image, kind, jitter):
    before = image.copy()
    done = harmonise(image, STANDARDS[kind], jitter)
    np.testing.assert_array_equal(image, before)
    assert (done.dtype, done.shape) == (np.uint16, image.shape)
    np.testing.assert_array_equal(done == 0, image == 0)
    order = np.argsort(image, axis=None, kind="stable")
    assert (np.diff(done.ravel()[order].astype(int)) >= 0).all()
    if kind is not Harmonise.voi and (image >= DARKEST).any():
        assert DARKEST <= done[done > 0].min() <= done.max() <= WHITE


@given(any_image, st.sampled_from(CHANGING))
def test_a_mapped_image_is_mapped_onto_itself(image, kind):
    once = harmonise(image & 0xFFF0, STANDARDS[kind])
    twice = harmonise(once, STANDARDS[kind])
    # A step of the histogram, stretched where wanted levels of the few pixels lie close together.
    assert np.abs(twice.astype(int) - once).max() <= 64


@given(
    st.integers(0, 2**32 - 1),
    arrays(np.int64, 255, elements=st.integers(1, 15)),
    st.sampled_from(LEARNING),
)
def test_a_makers_tone_curve_is_undone(seed, steps, kind):
    """Any strictly rising curve of 256 levels; between landmarks it is taken for straight."""
    image = (breast(seed % 7) >> 8) << 8
    curve = np.concatenate([[0], steps.cumsum()]).astype(np.uint16) << 4
    curved = curve[image >> 8]
    shares, levels = SHARES[kind], STANDARDS[kind].levels
    plain, bent = (harmonise(one, STANDARDS[kind]) for one in (image, curved))
    of_both = [tissue_quantiles(one, shares) for one in (plain, bent)]
    np.testing.assert_allclose(*of_both, atol=16)
    off = np.abs(plain.astype(int) - bent)[image > 0]
    allowed = 0.015 if kind is Harmonise.landmarks else 0.003
    assert off.mean() <= allowed * WHITE
    assert np.abs(np.median(of_both[0] - levels)) <= 400, "the levels are reached, ties apart"


@given(st.integers(0, 6), st.floats(0.3, 1.0), st.floats(0, 0.2))
def test_a_window_is_undone_by_two_percentiles(seed, slope, offset):
    image = breast(seed)
    levels = np.round((image / 16) * slope + offset * 4095).astype(np.uint16) << 4
    windowed = np.where(image > 0, levels, 0).astype(np.uint16)
    standard = fixed_standard(Harmonise.tissue)
    plain, other = (harmonise(one, standard).astype(int) for one in (image, windowed))
    # Half a step of 16, as much stretched as the window was narrow, and the ends' own half steps.
    assert np.abs(plain - other).max() <= 6 * 16 / slope
    found = tissue_quantiles(other.astype(np.uint16), SHARES[Harmonise.tissue])
    np.testing.assert_allclose(found, standard.levels, atol=16)


@pytest.mark.parametrize(("low", "high"), [(0.05, 0.4), (0.1, 0.7), (0.4, 0.95)])
def test_histograms_are_matched_as_by_scikit_image(low, high):
    image, reference = breast(11, low, high), breast(12)
    standard = learn_standard(Harmonise.histogram, [("ge", reference)], 1, 1)
    found = harmonise(image, standard)[image > 0].astype(np.float64)
    wanted = match_histograms(image[image > 0], reference[reference > 0])
    assert np.abs(found - wanted).mean() < 0.001 * WHITE
    assert np.abs(found - wanted).max() < 0.01 * WHITE
    before = np.abs(image[image > 0] - wanted).mean()
    assert before > 0.02 * WHITE


def test_a_standard_by_hand():
    """Eleven landmarks of two images of 100 pixels with the levels 1 to 100, and twice those."""
    ramp = (np.arange(1, 101, dtype=np.uint16) << 4).reshape(10, 10)
    images = [("ge", ramp), ("philips", 2 * ramp), ("philips", np.zeros_like(ramp))]
    standard = learn_standard(Harmonise.landmarks, images, women=2, exams=3)
    percents = np.array([1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99])
    assert standard.levels == tuple(16 * 1.5 * percents)
    assert standard.makers == {"ge": tuple(16 * percents), "philips": tuple(32 * percents)}
    assert standard.learnt_on == {
        "women": 2,
        "exams": 3,
        "images": 2,
        "images_by_maker": {"ge": 1, "philips": 1},
    }
    np.testing.assert_array_equal(harmonise(ramp, standard), ramp * 1.5)
    np.testing.assert_array_equal(harmonise(2 * ramp, standard), ramp * 1.5)
    half = harmonise(ramp, standard, Jitter("philips", 0.5))
    np.testing.assert_array_equal(half, ramp * 1.75)
    as_it_is = replace(standard, kind=Harmonise.voi, levels=())
    np.testing.assert_array_equal(harmonise(ramp, as_it_is, Jitter("philips", 0.25)), ramp * 1.25)
    assert harmonise(ramp, as_it_is) is ramp


def test_landmarks_as_numpy_has_them():
    """Of uneven makers, as docs/recipe.md says: percentiles, their mean, lines between, slope beyond."""
    percents = [1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99]
    ends = [("ge", 0.3, 0.9), ("ge", 0.4, 0.7), ("siemens", 0.1, 0.6), ("philips", 0.05, 0.95)]
    images = [(maker, breast(seed, low, high)) for seed, (maker, low, high) in enumerate(ends)]
    standard = learn_standard(Harmonise.landmarks, images, women=4, exams=4)

    def landmarks(image):
        return np.percentile(image[image > 0], percents, method="inverted_cdf").astype(float)

    levels = np.mean([landmarks(image) for _, image in images], axis=0)
    np.testing.assert_allclose(standard.levels, levels, atol=0.5)
    of_ge = np.mean([landmarks(image) for _, image in images[:2]], axis=0)
    np.testing.assert_allclose(standard.makers["ge"], of_ge, atol=0.5)
    image = breast(9, 0.02, 0.8)
    tissue = image[image > 0].astype(float)
    own = landmarks(image)
    slope = (levels[-1] - levels[0]) / (own[-1] - own[0])
    beyond = np.minimum(tissue - own[0], 0) + np.maximum(tissue - own[-1], 0)
    wanted = (np.interp(tissue, own, levels) + slope * beyond).clip(16, 65520)
    assert (beyond != 0).mean() > 0.01
    assert np.abs(harmonise(image, standard)[image > 0] - wanted).max() <= 1


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.37, 0.5, 0.9, 0.9999, 1.0])
def test_quantiles_are_those_of_numpy(share):
    image = breast(3)
    [found] = tissue_quantiles(image, np.array([share]))
    assert found == np.quantile(image[image > 0], share, method="inverted_cdf")


@pytest.mark.parametrize("kind", CHANGING)
def test_degenerate_breasts_come_out_sensibly(kind):
    standard = STANDARDS[kind]
    low, high = standard.levels[0], standard.levels[-1]
    nothing = np.zeros((8, 8), np.uint16)
    assert harmonise(nothing, standard) is nothing
    constant = np.full((8, 8), 4096, np.uint16)
    [level] = np.unique(harmonise(constant, standard))
    assert low < level < high
    single = nothing.copy()
    single[3, 3] = 65520
    assert harmonise(single, standard)[3, 3] == level
    saturated = breast(5)
    saturated[:, :40] = np.where(saturated[:, :40] > 0, 65520, 0)
    done = harmonise(saturated, standard)
    white = done[saturated == 65520]
    assert np.ptp(white) == 0
    assert white[0] == done.max() > done[(saturated > 0) & (saturated < 65520)].max()
    assert low < white[0] <= high


def test_no_tissue_teaches_nothing():
    with pytest.raises(InputError, match=r"data\.harmonise=landmarks: no training image shows"):
        learn_standard(Harmonise.landmarks, [("ge", np.zeros((4, 4), np.uint16))], 1, 1)


@given(st.sampled_from(CHANGING), st.integers(0, 6))
def test_the_whole_way_to_a_maker_ends_at_its_mean_levels(kind, seed):
    standard, image = STANDARDS[kind], breast(seed)
    for maker, levels in standard.makers.items():
        moved = harmonise(image, standard, Jitter(maker, 1.0))
        found = tissue_quantiles(moved, SHARES[kind])
        # Quantiles of an image that are equal meet in the middle.
        np.testing.assert_allclose(found, levels, atol=0.004 * WHITE)
        np.testing.assert_array_equal(
            harmonise(image, standard, Jitter(maker, 0.0)), harmonise(image, standard)
        )


@pytest.mark.parametrize("kind", Harmonise)
def test_a_standard_is_kept_and_its_change_is_noticed(kind, tmp_path):
    standard = STANDARDS[kind]
    said = json.loads(json.dumps(standard.to_json()))
    assert said == standard.to_json()
    assert GreyStandard.from_json(said, tmp_path) == standard
    said["makers"]["ge"][0] += 1
    with pytest.raises(InputError, match=r"run\.json: greys were changed"):
        GreyStandard.from_json(said, tmp_path / "run.json")


def test_a_file_that_names_no_maker_is_harmonised_alike(programme, tmp_path):
    """One file of each manufacturer, with its names and without."""
    files = {dcmread(path).Manufacturer: path for path in sorted(programme.rglob("*.dcm"))}
    assert len(files) > 3
    for path in files.values():
        dataset = dcmread(path)
        for name in ("Manufacturer", "ManufacturerModelName", "SoftwareVersions"):
            if name in dataset:
                delattr(dataset, name)
        dataset.save_as(tmp_path / "nameless.dcm")
        recipe = RecipeSettings(height=64, width=32)
        named, nameless = (
            harmonise(
                prepare(at, Laterality.RIGHT, View.CC, recipe).pixels,
                STANDARDS[Harmonise.landmarks],
            )
            for at in (path, tmp_path / "nameless.dcm")
        )
        np.testing.assert_array_equal(named, nameless)
        assert named.any()


def test_makers_of_a_made_up_programme_come_closer(cohort, cache):
    """At the 75th percentile of the breast, which is no landmark."""
    opened = Cache(cache)
    rows = pl.read_parquet(cohort / "images.parquet").select("image", "maker").rows()
    images = [(maker, opened.read(image)) for image, maker in rows if image in opened]

    def apart(kind: Harmonise) -> float:
        """Largest difference between makers' mean level, as a share of full scale."""
        standard = fixed_standard(kind)
        if kind in LEARNING:
            standard = learn_standard(kind, images, 1, 1)
        levels = [
            (maker, tissue_quantiles(harmonise(pixels, standard), np.array([0.75]))[0])
            for maker, pixels in images
        ]
        means = pl.DataFrame(levels, ("maker", "level"), orient="row").group_by("maker").mean()
        return np.ptp(means["level"].to_numpy()) / WHITE

    before = apart(Harmonise.voi)
    assert before > 0.1
    assert apart(Harmonise.landmarks) < 0.1 * before
    assert apart(Harmonise.histogram) < 0.02 * before
    assert apart(Harmonise.tissue) < 0.5 * before
