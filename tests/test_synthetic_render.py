"""Pictures: what truth says about them is found again in their pixels."""

from dataclasses import replace
from datetime import date

import cv2
import numpy as np
import pytest

from mim.synthetic import makers, texture
from mim.synthetic.anatomy import Breast, Position, Projection
from mim.synthetic.lesions import Lesion, LesionKind, Place
from mim.synthetic.render import Scene, expose, for_presentation, for_processing
from mim.vocab import Laterality, View

BREAST = Breast(Laterality.LEFT, 95.0, 85.0, 52.0, 0.15, 55.0, 2.1)
MASS = Lesion(
    Laterality.LEFT, LesionKind.SPICULATED_MASS, True, Place(45.0, 8.0, 5.0), 14.0, 1.5, (5,),
    date(2016, 1, 1), 200.0,
)  # fmt: skip


def taken(view, device=makers.ESSENTIAL, position=None, lesions=(), breast=BREAST, shrink=8):
    """An exposure, and its pixels for presentation."""
    scene = Scene(breast, view, position or Position(), lesions, [4])
    rows = texture.grid_rows(device.pitch_mm * shrink)
    white = texture.white_spectrum([2, view is View.CC], rows)
    exposure = expose(scene, white, texture.ducts([3], breast.depth_mm, rows), device, shrink)
    shape = (device.rows // shrink, device.columns // shrink)
    return exposure, for_presentation(exposure, device, shape)


def on_field(mask, exposure, shape):
    field = np.zeros(shape, mask.dtype)
    box = exposure.box
    field[box.row : box.row + box.rows, box.column : box.column + box.columns] = mask
    return field


def test_the_lesion_mask_lies_where_the_image_changes():
    without = taken(View.CC)[1].astype(float)
    exposure, pixels = taken(View.CC, lesions=[(MASS, 14.0)])
    mask = on_field(exposure.mask, exposure, pixels.shape) == 1
    change = np.abs(pixels - without)
    far = cv2.dilate(mask.astype(np.uint8), np.ones((31, 31))) == 0
    assert mask.sum() * 0.8**2 > np.pi * 5**2
    assert change[mask].mean() > 100
    middles = [np.argwhere(m).mean(0) for m in (mask, change > 0.5 * change.max())]
    assert middles[0] == pytest.approx(middles[1], abs=2.0)
    assert change[far].max() < 10


def test_the_lesion_is_brighter_than_what_is_around():
    exposure, pixels = taken(View.MLO, lesions=[(MASS, 14.0)])
    mask = on_field(exposure.mask, exposure, pixels.shape) == 1
    ring = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9))) > mask
    assert pixels[mask].mean() > pixels[ring].mean() + pixels[ring].std()


def test_both_views_show_the_lesion_at_the_same_distance_from_the_nipple():
    depths, heights = [], []
    for view in (View.CC, View.MLO):
        exposure, pixels = taken(view, lesions=[(MASS, 14.0)])
        rows, columns = np.nonzero(on_field(exposure.mask, exposure, pixels.shape))
        depths.append(exposure.projection.nipple[0] - (columns.mean() + 0.5) * 0.8)
        heights.append(exposure.projection.nipple[1] - (rows.mean() + 0.5) * 0.8)
    assert depths == pytest.approx([45.0, 45.0], abs=2.0)
    # Outwards is up in CC (8 mm); the oblique view mixes outwards and upwards (5 mm).
    assert heights == pytest.approx([8.0, 0.8 * 5 + 0.45 * 8], abs=2.0)


@pytest.mark.parametrize("rotation", [-8.0, 0.0, 8.0])
def test_the_nipple_is_the_farthest_point_from_the_chest_wall(rotation):
    exposure, pixels = taken(View.CC, position=Position(rotation_deg=rotation, shift_mm=6.0))
    rows, columns = np.nonzero(pixels > 0)
    along = np.deg2rad(rotation)
    reach = columns * np.cos(along) + rows * np.sin(along)
    tip = np.argmax(reach)
    x, y = exposure.projection.nipple
    assert ((columns[tip] + 0.5) * 0.8, (rows[tip] + 0.5) * 0.8) == pytest.approx((x, y), abs=6.0)


def test_the_pectoral_line_parts_muscle_from_breast():
    exposure, pixels = taken(View.MLO)
    x0, y0, x1, y1 = exposure.projection.pectoral_line()
    assert y0 == x1 == 0
    steps = np.linspace(0.1, 0.8, 30)
    sides = []
    for offset in (-8.0, 8.0):
        columns = ((x0 + steps * (x1 - x0) + offset) / 0.8).astype(int)
        rows = ((y0 + steps * (y1 - y0)) / 0.8).astype(int)
        inside = columns >= 0
        sides.append(pixels[rows[inside], columns[inside]].astype(float).mean())
    assert sides[0] > sides[1] + 200


def test_the_pectoral_line_is_where_brightness_falls_most():
    exposure, pixels = taken(View.MLO)
    x0, _, _, y1 = exposure.projection.pectoral_line()
    for share in (0.35, 0.45, 0.55):
        row = pixels[int(share * y1 / 0.8)].astype(float)
        line = x0 * (1 - share) + 3.0  # the edge is convex, the line its chord
        near = np.arange(int(line / 0.8) - 12, int(line / 0.8) + 13)
        smooth = cv2.blur(row[None], (7, 1))[0]
        steepest = near[np.argmin(np.gradient(smooth)[near])]
        assert (steepest + 0.5) * 0.8 == pytest.approx(line, abs=4.0)


def test_a_worse_position_ends_the_muscle_higher():
    good, poor = (
        Projection(BREAST, View.MLO, Position(pectoral_end_mm=end), 300, 240).pectoral_line()
        for end in (10.0, -40.0)
    )
    assert good[3] - poor[3] == pytest.approx(50.0)
    assert Projection(BREAST, View.CC, Position(), 300, 240).pectoral_line() is None


def test_lost_breast_is_lost_at_the_chest_wall():
    whole, cut = (
        taken(View.CC, position=Position(lost_mm=mm))[0].projection.nipple[0] for mm in (0.0, 25.0)
    )
    assert whole - cut == 25.0


@pytest.mark.parametrize("share", [0.05, 0.15, 0.4])
def test_the_glandular_share_is_what_was_asked_for(share):
    exposure, _ = taken(View.CC, breast=replace(BREAST, glandular=share))
    assert exposure.glandular == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("device", makers.DEVICES, ids=lambda d: d.model)
def test_stored_values_keep_to_the_bits_and_the_background(device):
    _, pixels = taken(View.MLO, device, shrink=16)
    assert pixels.shape == (device.rows // 16, device.columns // 16)
    assert pixels.dtype == np.uint16
    assert pixels.max() < 1 << device.bits_stored
    assert (pixels[:, -5:] == device.greys.background).all()
    tissue = pixels[pixels != device.greys.background]
    low, high = sorted((device.greys.dark, device.greys.bright))
    assert np.mean((tissue >= low) & (tissue <= high)) > 0.97
    assert len(np.unique(tissue)) > 200


def test_the_field_of_view_is_the_same_at_every_size():
    small, large = (taken(View.MLO, makers.ESSENTIAL, shrink=s) for s in (12, 4))
    assert small[0].projection.nipple == pytest.approx(large[0].projection.nipple, abs=0.7)
    tile = cv2.resize(large[1], small[1].shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.corrcoef(tile.ravel(), small[1].ravel())[0, 1] > 0.99


def test_quanta_make_thick_tissue_noisier_for_the_detector():
    scene = Scene(BREAST, View.CC, Position(), (), [4])
    rows = texture.grid_rows(0.8)
    white = texture.white_spectrum([2], rows)
    tree = texture.ducts([3], 95.0, rows)
    shots = [
        for_processing(expose(replace(scene, quantum_seed=[s]), white, tree, makers.ESSENTIAL, 8), (382, 299))
        for s in range(12)
    ]  # fmt: skip
    mean, spread = np.mean(shots, 0), np.std(shots, 0)
    relative = spread / mean
    thin = (mean > 6000) & (mean < 12000)
    thick = (mean > 300) & (mean < 2500)
    assert relative[thick].mean() > 1.3 * relative[thin].mean()


@pytest.mark.slow
@pytest.mark.parametrize("device", [makers.DIMENSIONS, makers.MICRODOSE_SI], ids=lambda d: d.model)
def test_a_full_detector_is_rendered(device):
    _, pixels = taken(View.MLO, device, lesions=[(MASS, 14.0)], shrink=1)
    assert pixels.shape == (device.rows, device.columns)
