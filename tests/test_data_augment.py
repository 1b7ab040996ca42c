"""Augmentation changes images, and only as it says; the device does as the CPU does."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.filters import unsharp_mask

from mim.data.augment import (
    KNOTS,
    LINE,
    STILL,
    Changes,
    draw_changes,
    draw_swap,
    move_landmarks,
    move_points,
)
from mim.data.augment_cpu import augmented_versions, change_image
from mim.data.augment_device import change_batch
from mim.data.settings import AugmentSettings
from mim.synthetic.makers import _line, _logarithm, _logistic, _power

HEIGHT, WIDTH, ASPECT = 96, 48, 2.0
ALWAYS = AugmentSettings(probability=1.0)
NOTHING = AugmentSettings(
    probability=1.0,
    **{
        field.name: 0.0
        for field in fields(AugmentSettings)
        if field.type is float and field.name != "probability"
    },
)


def breast() -> np.ndarray:
    """Texture of 12 bits in 16 on the chest wall, a third of the image black."""
    random = np.random.default_rng(0)
    picture = np.zeros((HEIGHT, WIDTH), np.uint16)
    picture[6:90, :34] = random.integers(1000, 3000, (84, 34)) << 4
    return picture


def changes_of_one(**changed) -> Changes:
    nothing = {"move": STILL, "curve": LINE, "noise_seed": np.int64(1)}
    nothing |= {"noise": np.float32(0), "blur": np.float32(0), "resolution": np.float32(1)}
    nothing |= {"sharpness": np.float32(0), "radius": np.float32(0.005)}
    return Changes(**(nothing | {"cutout": np.zeros(4, np.float32)} | changed))


def on_cpu(image: np.ndarray, changes: Changes) -> np.ndarray:
    out = np.full_like(image, 7)
    change_image(image, changes, out)
    return out


def on_device(image: np.ndarray, changes: Changes) -> np.ndarray:
    tensors = Changes(*(torch.from_numpy(np.asarray(part))[None] for part in changes))
    present = torch.ones(1, dtype=torch.bool)
    return change_batch(torch.from_numpy(image)[None, None], present, tensors)[0, 0].numpy()


both = pytest.mark.parametrize("change", [on_cpu, on_device])


def one_of(drawn: Changes, time: int, view: int) -> Changes:
    return Changes(*(part[time, view] for part in drawn))


def test_the_same_seed_draws_alike_and_another_otherwise():
    style = replace(ALWAYS, tone=1.0, sharpness=1.0)
    one, same, other = (draw_changes(style, seed, 2, ASPECT) for seed in (5, 5, 6))
    for part, again, another in zip(one, same, other, strict=True):
        np.testing.assert_array_equal(part, again)
        assert (part != another).any()


@both
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(change):
    first, second = (one_of(draw_changes(ALWAYS, seed, 1, ASPECT), 0, 0) for seed in (5, 6))
    np.testing.assert_array_equal(change(breast(), first), change(breast(), first))
    assert (change(breast(), first) != change(breast(), second)).mean() > 0.3


@both
@pytest.mark.parametrize("settings", [replace(ALWAYS, probability=0.0), NOTHING])
def test_nothing_asked_for_leaves_the_bytes_as_they_are(change, settings):
    for seed in range(3):
        changes = one_of(draw_changes(settings, seed, 1, ASPECT), 0, 0)
        np.testing.assert_array_equal(change(breast(), changes), breast())


def test_the_share_of_changed_images_is_the_probability():
    settings = AugmentSettings(probability=0.3)
    moves = np.stack([draw_changes(settings, seed, 1, ASPECT).move[0] for seed in range(300)])
    changed = (moves != STILL).any((2, 3))
    assert changed.mean() == pytest.approx(0.3, abs=0.05)
    of_exams = changed.any(axis=1).mean()
    assert of_exams == pytest.approx(1 - 0.7**4, abs=0.08), "views are changed by themselves"


def test_a_setting_changes_its_own_change_only():
    before = draw_changes(ALWAYS, 3, 2, ASPECT)
    for settings, changed in (
        (replace(ALWAYS, blur=0.0, noise=0.5, scale=0.3), {"blur", "noise", "move"}),
        (replace(ALWAYS, tone=1.0), {"curve"}),
        (replace(ALWAYS, sharpness=2.0), {"sharpness"}),
    ):
        after = draw_changes(settings, 3, 2, ASPECT)
        assert changed == {
            name
            for name in Changes._fields
            if (getattr(before, name) != getattr(after, name)).any()
        }


def test_priors_are_moved_as_the_exam_but_shaded_by_themselves():
    together = draw_changes(AugmentSettings(), 3, 3, ASPECT)
    assert (together.move == together.move[:1]).all()
    assert (together.move[0, 0] != together.move[0, 1]).any()
    assert (together.curve[0] != together.curve[1]).any()
    apart = draw_changes(AugmentSettings(same_for_priors=False), 3, 3, ASPECT)
    assert (apart.move[0] != apart.move[1]).any()


def test_sides_are_swapped_as_often_as_asked():
    swaps = [draw_swap(AugmentSettings(swap_sides=0.25), seed) for seed in range(500)]
    assert np.mean(swaps) == pytest.approx(0.25, abs=0.06)
    drawn = [draw_changes(AugmentSettings(), seed, 1, ASPECT).move[0, 0] for seed in range(500)]
    changed = (np.stack(drawn) != STILL).any((1, 2))
    assert abs(np.corrcoef(swaps, changed)[0, 1]) < 0.15, "a swap says nothing of the rest"


@examples(max_examples=40)
@given(
    st.integers(0, 2**31),
    st.floats(0, 2),
    st.floats(0, 2),
    st.floats(0, 2),
    st.floats(0, 1),
)
def test_curves_rise_from_black_to_white(seed, brightness, contrast, curve, tone):
    settings = replace(ALWAYS, brightness=brightness, contrast=contrast, curve=curve, tone=tone)
    curves = draw_changes(settings, seed, 1, ASPECT).curve
    assert curves.shape[-1] == KNOTS
    assert (curves[..., 0] == 0).all()
    np.testing.assert_allclose(curves[..., -1], 1, atol=1e-6)
    assert (np.diff(curves) > 0).all()


@examples(max_examples=40)
@given(st.integers(0, 2**31), st.floats(0, 45), st.floats(0, 0.3), st.floats(0, 0.5))
def test_moves_keep_the_chest_wall_upright_and_covered(seed, degrees, shift, scale):
    settings = replace(ALWAYS, rotation_degrees=degrees, shift=shift, scale=scale)
    for move in draw_changes(settings, seed, 1, ASPECT).move[0]:
        wall = move_points(np.array([[0, 0], [0, 0.5], [0, 1]], np.float32), move)
        assert np.ptp(wall[:, 0]) < 1e-6
        assert wall[0, 0] <= 0, "no gap between the image's edge and the breast"
        assert wall[0, 1] < wall[1, 1] < wall[2, 1], "never upside down"
        assert move[0, 0] > 0, "never mirrored"
        # A step of a pixel away from the wall rises or falls by the tangent of the angle.
        assert abs(move[1, 0] / move[0, 0]) * ASPECT <= np.tan(np.radians(degrees)) + 1e-6


def middle_of(image: np.ndarray) -> np.ndarray:
    """The centre of brightness, in shares."""
    weights = image.astype(np.float64)
    rows, columns = np.indices(image.shape)
    down = (weights * (rows + 0.5)).sum() / weights.sum() / image.shape[0]
    across = (weights * (columns + 0.5)).sum() / weights.sum() / image.shape[1]
    return np.array([across, down])


@both
@pytest.mark.parametrize("seed", range(4))
def test_a_bright_dot_lands_where_points_do(change, seed):
    random = np.random.default_rng(seed)
    turn = random.uniform(-0.3, 0.3)
    linear = random.uniform(0.8, 1.2) * np.array(
        [[np.cos(turn), -2 * np.sin(turn)], [np.sin(turn) / 2, np.cos(turn)]]
    )
    middle = np.array([0.5, 0.5])
    start = middle - linear @ middle + random.uniform(-0.1, 0.1, 2)
    move = np.column_stack([linear, start]).astype(np.float32)
    dot = np.zeros((2 * HEIGHT, 2 * WIDTH))
    dot[80, 55] = 4e6
    dot = gaussian_filter(dot, 2).astype(np.uint16)
    point = middle_of(dot)[None].astype(np.float32)
    there = middle_of(change(dot, changes_of_one(move=move)))
    off = (there - move_points(point, move)[0]) * (dot.shape[1], dot.shape[0])
    assert np.abs(off).max() < 0.02, "pixels"


@both
def test_a_large_image_that_stays_in_place_keeps_its_bytes(change):
    image = np.random.default_rng(1).choice(np.array([0, 65520], np.uint16), (1500, 700))
    cutout = np.array([0, 0, 0.1, 0.1], np.float32)
    changed = change(image, changes_of_one(cutout=cutout))
    np.testing.assert_array_equal(changed[150:], image[150:])


@both
def test_black_background_stays_black(change):
    strong = replace(ALWAYS, rotation_degrees=0, shift=0, scale=0, noise=0.2, blur=3, curve=0.5)
    strong = replace(strong, tone=1.0, sharpness=3.0, resolution=0.9)
    for seed in range(16):
        changes = one_of(draw_changes(strong, seed, 1, ASPECT), 0, 0)
        changed = change(breast(), changes)
        assert not changed[breast() == 0].any()
        assert (changed != breast()).any()


@both
def test_what_is_breast_does_not_become_background(change):
    dark = breast()
    dark[dark > 0] = np.random.default_rng(4).integers(1, 400, (dark > 0).sum())
    strong = replace(NOTHING, noise=0.2, blur=3, resolution=0.9, tone=1.0, curve=0.5, sharpness=3)
    for seed in range(12):
        changes = one_of(draw_changes(strong, seed, 1, ASPECT), 0, 0)
        np.testing.assert_array_equal(change(dark, changes) > 0, dark > 0)


@examples(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**31),
    st.tuples(st.integers(40, 130), st.integers(30, 130)),
    st.tuples(st.floats(0.1, 1.2), st.floats(0.3, 1.2)),
    st.floats(0, 4),
    st.floats(0, 0.9),
)
def test_the_device_does_as_the_cpu_does_but_for_the_noise(seed, shape, reach, blur, resolution):
    smooth = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.5)
    smooth = 500 + 60000 * (smooth - smooth.min()) / np.ptp(smooth)
    rows, columns = np.indices(shape)
    down, across = 2 * rows / shape[0] - 1, columns / shape[1]
    inside = (across / reach[0]) ** 2 + (down / reach[1]) ** 2 < 1
    image = np.where(inside, smooth, 0).astype(np.uint16)
    strong = replace(ALWAYS, noise=0.0, blur=blur, resolution=resolution, tone=1.0, sharpness=3.0)
    drawn = draw_changes(strong, seed, 1, shape[0] / shape[1])
    for view in range(4):
        changes = one_of(drawn, 0, view)
        cpu, device = on_cpu(image, changes), on_device(image, changes)
        np.testing.assert_array_equal(cpu > 0, device > 0)
        apart = np.abs(cpu.astype(int) - device)
        assert apart.max() <= 16, "one of 12 bits"
        assert apart.mean() < 0.5


@both
def test_noise_has_its_strength_and_its_seed(change):
    grey = np.full((HEIGHT, WIDTH), 30000, np.uint16)
    grey[:, 40:] = 0
    one, same, other = (
        change(grey, changes_of_one(noise=np.float32(0.02), noise_seed=np.int64(seed)))
        for seed in (4, 4, 4000)
    )
    added = one[:, :40].astype(float) - 30000
    assert added.std() == pytest.approx(0.02 * 65536, rel=0.05)
    assert abs(added.mean()) < 4 * 0.02 * 65536 / 60
    np.testing.assert_array_equal(one, same)
    between = np.corrcoef(one[:, :40].ravel(), other[:, :40].ravel())[0, 1]
    assert abs(between) < 0.1


@both
def test_a_curve_gives_each_grey_level_its_own(change):
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    curve = draw_changes(ALWAYS, 2, 1, ASPECT).curve[0, 1]
    expected = np.interp(levels / 65536, np.linspace(0, 1, KNOTS), curve) * 65536
    expected = np.where(levels > 0, expected.clip(1, 65535), 0)
    changed = change(levels, changes_of_one(curve=curve)).astype(float)
    assert np.abs(changed - expected).max() <= 0.52
    assert changed[0, 0] == 0


MAKERS = {"power": _power, "logistic": _logistic, "logarithm": _logarithm, "line": _line}


def makers_curves() -> dict[str, np.ndarray]:
    """Each made-up maker's grey levels by contrast, and by those of each other maker."""
    contrast = np.linspace(0, 1, 2001, dtype=np.float32)
    greys = {}
    for name, curve in MAKERS.items():
        grey = curve(contrast).astype(float)
        greys[name] = (grey - grey[0]) / (grey[-1] - grey[0])
    between = {
        f"{one} to {other}": np.interp(LINE, greys[one], greys[other])
        for one in MAKERS
        for other in MAKERS
        if one != other
    }
    return between | {name: np.interp(LINE, contrast, grey) for name, grey in greys.items()}


def test_tone_curves_come_near_every_maker_and_what_lies_between_makers():
    settings = replace(NOTHING, tone=1.0)
    drawn = np.stack([draw_changes(settings, seed, 1, ASPECT).curve[0, 0] for seed in range(500)])
    gamma, steep = LINE**2.0, 1 / (1 + np.exp(-8 * (LINE - 0.5)))
    steep = (steep - steep[0]) / (steep[-1] - steep[0])
    wanted = makers_curves() | {"gamma": gamma, "steep": steep}
    apart = {name: np.abs(drawn - curve).max(1).min() for name, curve in wanted.items()}
    assert max(apart.values()) < 0.065, apart
    usual = np.stack([draw_changes(ALWAYS, seed, 1, ASPECT).curve[0, 0] for seed in range(500)])
    bend = [np.percentile(np.abs(some - LINE).max(1), 95) for some in (drawn, usual)]
    assert bend[0] > 1.5 * bend[1], "wider than what the other curves do"


def test_tone_comes_before_the_other_curves():
    plain, toned = (replace(ALWAYS, tone=tone) for tone in (0.0, 0.8))
    alone = draw_changes(replace(NOTHING, tone=0.8), 4, 2, ASPECT).curve
    curve, both_curves = (draw_changes(which, 4, 2, ASPECT).curve for which in (plain, toned))
    for time in range(2):
        for view in range(4):
            expected = np.interp(alone[time, view], LINE, curve[time, view])
            np.testing.assert_allclose(both_curves[time, view], expected, atol=1e-6)


def test_views_have_their_machine_in_common_and_times_have_not():
    settings = replace(NOTHING, tone=1.0, sharpness=1.0)
    drawn = [draw_changes(settings, seed, 2, ASPECT) for seed in range(200)]
    for one in drawn[:9]:
        for part in (one.curve, one.sharpness, one.radius):
            assert (part == part[:, :1]).all()
            assert (part[0] != part[1]).any() or part is one.sharpness
    gains = np.stack([one.sharpness[:, 0] for one in drawn]).ravel()
    assert (gains != 0).mean() == pytest.approx(0.5, abs=0.08)
    assert -0.5 <= gains.min() < -0.45
    assert 0.9 < gains.max() <= 1
    assert np.median(gains[gains != 0]) == pytest.approx(0, abs=0.12)
    radii = np.stack([one.radius[:, 0] for one in drawn]).ravel()
    assert 0.001 <= radii.min() <= radii.max() <= 0.01
    assert np.median(radii) == pytest.approx(np.sqrt(0.001 * 0.01), rel=0.2)
    of_half = replace(settings, probability=0.5)
    toned = [(draw_changes(of_half, seed, 1, ASPECT).curve != LINE).any() for seed in range(900)]
    assert np.mean(toned) == pytest.approx(0.5, abs=0.06)


def test_what_was_drawn_before_there_was_tone_is_drawn_still():
    drawn = draw_changes(ALWAYS, 11, 2, ASPECT)
    assert drawn.noise_seed[1, 2] == 192612398618431659
    np.testing.assert_allclose(
        drawn.move[1, 2].ravel(),
        [0.9778461, 0.0, -0.03175021, 0.06897494, 0.9778461, 0.04345948],
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        drawn.curve[1, 2, [8, 16, 24]], [0.1852266, 0.3933215, 0.6576823], rtol=1e-5
    )
    np.testing.assert_allclose(
        drawn.noise[1], [0.009770253, 0.009482617, 7.236443e-05, 0.0], rtol=1e-5
    )
    np.testing.assert_allclose(drawn.blur[0], [0.0, 0.2490541, 0.5630589, 0.0], rtol=1e-5)
    np.testing.assert_allclose(drawn.resolution[0], [1.0, 1.0, 1.0, 1.0], rtol=1e-5)
    np.testing.assert_allclose(
        drawn.cutout[1, 2], [0.2080271, 0.2900792, 0.1363802, 0.2727605], rtol=1e-5
    )
    assert not drawn.sharpness.any()


@both
@pytest.mark.parametrize("radius", [0.7, 1.9, 2.0, 5.0, 15.9, 16.1])
@pytest.mark.parametrize("gain", [0.8, -0.4])
def test_sharpening_is_the_common_unsharp_mask(change, radius, gain):
    texture = gaussian_filter(np.random.default_rng(2).standard_normal((400, 200)), 1)
    image = (30000 + 20000 * texture).clip(1, 65000).astype(np.uint16)
    one = changes_of_one(sharpness=np.float32(gain), radius=np.float32(radius / 400))
    expected = unsharp_mask(image.astype(float), radius, gain, preserve_range=True)
    # The common one mirrors the image at its edges; in ours the mean is over what there is.
    within = np.s_[52:-52, 52:-52]
    off = (change(image, one) - expected.clip(0, 65535))[within]
    assert np.sqrt((off**2).mean() / ((expected - image)[within] ** 2).mean()) < 0.03


@both
def test_sharpening_knows_no_background(change):
    image = np.zeros((200, 100), np.uint16)
    image[20:180, :70] = 30000
    for radius in (0.5, 3.0, 20.0):
        one = changes_of_one(sharpness=np.float32(3), radius=np.float32(radius / 200))
        assert np.abs(change(image, one).astype(int) - image).max() <= 1, "a flat breast stays flat"


@pytest.mark.parametrize("edge", [20, 29, 34, 77])
def test_the_device_sharpens_as_the_cpu_does_at_every_radius(edge):
    """Also at the skin, beyond which the CPU works on no more columns."""
    image = gaussian_filter(np.random.default_rng(3).integers(1, 65520, (150, 77)), 3.0)
    image = (image - image.min() + 50).astype(np.uint16)
    image[:40, 50:] = 0
    image[:, edge:] = 0
    for radius in np.geomspace(0.3, 30, 25):
        one = changes_of_one(sharpness=np.float32(3), radius=np.float32(radius / 150))
        apart = np.abs(on_cpu(image, one).astype(int) - on_device(image, one))
        assert apart.max() <= 16, radius


@both
@pytest.mark.parametrize("sigma", [0.3, 0.7, 2.0])
def test_blur_is_the_normal_one(change, sigma):
    image = breast()
    reach = np.ceil(3 * sigma)
    expected = gaussian_filter(image.astype(float), sigma, mode="mirror", radius=int(reach))
    changed = change(image, changes_of_one(blur=np.float32(sigma)))
    assert np.abs(changed - np.where(image > 0, expected, 0)).max() <= 1


@both
def test_loss_of_resolution_takes_what_is_fine_and_leaves_what_is_coarse(change):
    rows = np.arange(HEIGHT)[:, None]
    coarse = (30000 + 10000 * np.sin(rows / 12) + np.zeros((1, WIDTH))).astype(np.uint16)
    fine = (30000 + 10000 * (-1.0) ** rows + np.zeros((1, WIDTH))).astype(np.uint16)
    half = changes_of_one(resolution=np.float32(0.5))
    assert np.abs(change(coarse, half).astype(int) - coarse)[2:-2].max() < 150
    assert np.ptp(change(fine, half)[2:-2].astype(int)) < 10


@both
def test_a_cut_out_is_a_black_square_within_the_image(change):
    image = np.full((HEIGHT, WIDTH), 9000, np.uint16)
    cutout = np.array([0.25, 0.5, 0.125, 0.25], np.float32)
    expected = image.copy()
    expected[24:36, 24:36] = 0
    np.testing.assert_array_equal(change(image, changes_of_one(cutout=cutout)), expected)
    corner = changes_of_one(cutout=np.array([-0.1, -0.1, 0.2, 0.4], np.float32))
    assert (change(image, corner) == 0).sum() == round(0.1 * HEIGHT) * round(0.3 * WIDTH)


def test_cut_outs_are_square_in_pixels():
    drawn = draw_changes(ALWAYS, 1, 5, 1.5).cutout
    np.testing.assert_allclose(drawn[..., 3], 1.5 * drawn[..., 2], rtol=1e-6)
    assert 0 < drawn[..., 2].max() <= ALWAYS.cutout


def test_the_pectoral_line_is_cut_where_it_leaves_the_image():
    landmarks = np.array([[0.8, 0.5], [0.5, 0.0], [0.0, 0.6]], np.float32)
    into = np.array([[1, 0, -0.1], [0, 1, -0.12]], np.float32)
    nipple, upper, lower = move_landmarks(landmarks, into)
    np.testing.assert_allclose(nipple, [0.7, 0.38], atol=1e-6)
    # The line's slope is -1.2: where it now meets the upper edge, and the chest wall.
    np.testing.assert_allclose(upper, [0.3, 0.0], atol=1e-6)
    np.testing.assert_allclose(lower, [0.0, 0.36], atol=1e-6)
    still = move_landmarks(landmarks, STILL)
    np.testing.assert_allclose(still, landmarks, atol=1e-6)
    unknown = np.where(np.arange(3)[:, None] == 1, np.nan, landmarks).astype(np.float32)
    np.testing.assert_allclose(move_landmarks(unknown, into)[2], [-0.1, 0.48], atol=1e-6)


def test_a_batch_changes_present_images_each_in_its_own_way():
    drawn = draw_changes(replace(ALWAYS, noise=0.0), 1, 3, ASPECT)
    images = np.stack([[[breast()]] * 4] * 3)[None]
    present = np.ones((1, 3, 4), bool)
    present[0, 1, 2] = False
    changed = change_batch(
        torch.from_numpy(images),
        torch.from_numpy(present),
        Changes(*(torch.from_numpy(part)[None] for part in drawn)),
    ).numpy()
    np.testing.assert_array_equal(changed[0, 1, 2, 0], breast())
    for time, view in ((0, 0), (2, 3)):
        alone = on_device(breast(), one_of(drawn, time, view))
        np.testing.assert_array_equal(changed[0, time, view, 0], alone)
    assert (images == breast()).all(), "what came in is as it was"


def test_versions_begin_with_the_image_itself():
    landmarks = np.array([[0.7, 0.5], [np.nan, np.nan], [np.nan, np.nan]], np.float32)
    versions, points = augmented_versions(breast(), landmarks, AugmentSettings(), 1, 6)
    assert versions.shape == (7, HEIGHT, WIDTH)
    np.testing.assert_array_equal(versions[0], breast())
    assert all((version != breast()).any() for version in versions[1:])
    np.testing.assert_array_equal(points[0], landmarks)
    assert len(np.unique(points[:, 0, 0])) == 7
    off = AugmentSettings(probability=0.0)
    assert (augmented_versions(breast(), landmarks, off, 1, 6)[0] == breast()).all()


@pytest.mark.gpu
def test_a_gpu_does_as_the_cpu_does():
    drawn = draw_changes(replace(ALWAYS, noise=0.0), 1, 3, ASPECT)
    images = torch.from_numpy(np.stack([[[breast()]] * 4] * 3)[None])
    present = torch.ones(1, 3, 4, dtype=torch.bool)
    changes = Changes(*(torch.from_numpy(part)[None] for part in drawn))
    there = change_batch(images.cuda(), present.cuda(), Changes(*(p.cuda() for p in changes)))
    apart = there.cpu().int() - change_batch(images, present, changes).int()
    assert apart.abs().max() <= 64
    assert apart.abs().float().mean() < 1
