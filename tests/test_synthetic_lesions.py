"""Lesions: growth, place and shape."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mim.synthetic.anatomy import Breast
from mim.synthetic.lesions import CANCER_KINDS, Lesion, LesionKind, Place, draw, place_in
from mim.vocab import Laterality, View

BREAST = Breast(Laterality.LEFT, 95.0, 85.0, 52.0, 0.15, 55.0, 2.1)
FOUND = date(2016, 6, 1)


def lesion(kind=LesionKind.SPICULATED_MASS, doubling=200.0, contrast=1.0):
    malignant = doubling is not None
    place = Place(40.0, 10.0, 5.0)
    return Lesion(Laterality.LEFT, kind, malignant, place, 16.0, contrast, (1, 2), FOUND, doubling)


def test_volume_doubles_in_the_doubling_time():
    grows = lesion(doubling=200.0)
    half_volume = grows.size_on(FOUND - timedelta(days=200))
    assert grows.size_on(FOUND) == 16.0
    assert (16.0 / half_volume) ** 3 == pytest.approx(2.0)


def test_what_is_benign_stays():
    stays = lesion(LesionKind.SMOOTH_MASS, doubling=None)
    assert stays.size_on(FOUND - timedelta(days=3000)) == stays.size_on(FOUND) == 16.0
    assert stays.visible_on(FOUND - timedelta(days=3000))


def test_a_cancer_is_not_there_before_it_is_large_enough():
    grows = lesion(doubling=100.0)
    assert grows.visible_on(FOUND)
    assert not grows.visible_on(FOUND - timedelta(days=1460))


@given(st.integers(0, 10_000), st.sampled_from([60.0, 95.0, 135.0]))
def test_places_lie_in_the_breast_and_both_views_agree_on_the_depth(seed, depth_mm):
    breast = Breast(Laterality.LEFT, depth_mm, 0.85 * depth_mm, 52.0, 0.15, 50.0, 2.1)
    place = place_in(breast, np.random.default_rng(seed))
    (u_cc, v_cc), (u_mlo, _) = place.seen(breast, View.CC), place.seen(breast, View.MLO)
    assert u_cc == u_mlo == breast.depth_mm - place.depth_mm
    # At least 5 mm of the half-axes away from the skin.
    shrunk = (u_cc / (depth_mm - 5)) ** 2 + (v_cc / (breast.half_width_mm - 5)) ** 2
    assert shrunk < 1


@pytest.mark.parametrize("kind", list(LesionKind))
def test_the_mask_holds_what_attenuates(kind):
    patch = draw(lesion(kind), View.CC, 12.0, 0.2)
    added = np.abs(patch.solid_mm) + patch.calcium_mm
    centre = added.shape[0] // 2
    assert added[patch.mask].sum() > 0.7 * added.sum() or kind is LesionKind.DISTORTION
    assert patch.mask[centre - 20 : centre + 21, centre - 20 : centre + 21].any()
    assert not patch.mask[0].any()
    assert added[0].max() < 0.15 * added.max()


def test_specks_keep_their_volume_of_calcium_at_every_pitch():
    volumes = [
        draw(lesion(LesionKind.CALCIFICATIONS), View.CC, 12.0, pitch).calcium_mm.sum() * pitch**2
        for pitch in (0.07, 0.3, 0.8)
    ]
    assert volumes == pytest.approx([volumes[0]] * 3, rel=0.06)


def test_a_coarse_calcification_has_the_volume_of_its_ball():
    patch = draw(lesion(LesionKind.COARSE_CALCIFICATION), View.CC, 3.0, 0.1)
    assert patch.calcium_mm.sum() * 0.1**2 == pytest.approx(np.pi / 6 * 3.0**3, rel=0.02)


def test_a_spiculated_mass_reaches_further_than_a_smooth_one():
    reach = {}
    for kind in (LesionKind.SPICULATED_MASS, LesionKind.SMOOTH_MASS):
        patch = draw(lesion(kind), View.CC, 14.0, 0.2)
        axis = (np.arange(patch.solid_mm.shape[0]) - patch.solid_mm.shape[0] // 2) * 0.2
        radius = np.hypot(*np.meshgrid(axis, axis))
        reach[kind] = patch.solid_mm[(radius > 8.5) & (radius < 9.5)].max()
    assert reach[LesionKind.SMOOTH_MASS] == 0
    assert reach[LesionKind.SPICULATED_MASS] > 1.0


def test_contrast_scales_solid_tissue():
    faint, strong = (draw(lesion(contrast=c), View.MLO, 12.0, 0.5).solid_mm for c in (0.5, 1.0))
    assert 2 * faint == pytest.approx(strong)


def test_masses_are_the_most_frequent_cancers():
    assert sum(CANCER_KINDS.values()) == pytest.approx(1.0)
    assert CANCER_KINDS[LesionKind.SPICULATED_MASS] > 0.55
