"""Amplitudes are mixed octave by octave, with another maker's exam, and nothing else is changed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, zoom

from mim.data.amplitude import AmplitudeMix, draw_mix, mix_amplitudes
from mim.data.cache import Cache
from mim.data.dataset import ExamDataset
from mim.data.exams import Exams
from mim.data.sampler import Draw
from mim.data.settings import AugmentSettings, Place
from mim.model.settings import EncoderSettings, FusionSettings, ModelSettings, TaskSettings
from mim.train.settings import TrainSettings
from mim.train.task import ExamTask

HEIGHT, WIDTH = 96, 48
MIXED = AugmentSettings(probability=1.0, amplitude=1.0)


def texture(seed, blur=1.0, level=30000.0, spread=4000.0, shape=(HEIGHT, WIDTH)) -> np.ndarray:
    """Tissue all over the image."""
    made = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), blur)
    return (level + spread * (made - made.mean()) / made.std()).clip(1, 65520).astype(np.uint16)


def breast(seed, reach=0.7, **how) -> np.ndarray:
    picture = texture(seed, **how)
    rows, columns = np.indices(picture.shape)
    down, across = 2 * (rows + 0.5) / len(picture) - 1, (columns + 0.5) / picture.shape[1]
    return np.where(down**2 + (across / reach) ** 2 < 0.9, picture, 0).astype(np.uint16)


def mixed(own, other, share=1.0) -> np.ndarray:
    images = torch.from_numpy(np.stack([own, other]))[:, None, None, None]
    mix = AmplitudeMix(torch.tensor([[1], [0]]), torch.tensor([[share], [0.0]]))
    both = mix_amplitudes(images, torch.ones(2, 1, 1, dtype=torch.bool), mix)
    np.testing.assert_array_equal(both[1, 0, 0, 0].numpy(), other)
    return both[0, 0, 0, 0].numpy()


def mixed_by_numpy(own: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    """As the page on augmentation says, for images without background."""
    height = len(own)
    spectra = [
        np.fft.fft2(
            np.pad(image.astype(float), [(0, length) for length in image.shape], "symmetric")
        )
        for image in (own, other)
    ]
    down, across = (np.fft.fftfreq(length) * height for length in spectra[0].shape)
    octave = np.log2(np.hypot(down[:, None], across[None]) + 1e-12) + 1
    whole = octave.copy()
    amplitudes = []
    # A half of the plane, and its edge once, as a real image has no more.
    once = np.arange(len(across)) <= len(across) // 2
    for spectrum in spectra:
        rings = []
        for ring in range(int(np.ceil(whole.max())) + 1):
            weight = np.clip(1 - np.abs(whole - ring), 0, None)[:, once]
            rings.append(np.sqrt(np.average(np.abs(spectrum[:, once]) ** 2, weights=weight)))
        amplitudes.append(rings)
    ratio = np.divide(amplitudes[1], amplitudes[0]).clip(1 / 4, 4)
    gain = np.interp(whole.ravel(), np.arange(len(ratio)), ratio).reshape(whole.shape)
    gain[0, 0] = abs(spectra[1][0, 0] / spectra[0][0, 0])
    amplitude = (1 - share) * np.abs(spectra[0]) + share * np.abs(spectra[0]) * gain
    back = np.fft.ifft2(amplitude * np.exp(1j * np.angle(spectra[0]))).real
    return back[:height, : own.shape[1]]


@pytest.mark.parametrize("share", [0.3, 1.0])
@pytest.mark.parametrize("shape", [(96, 48), (75, 41)])
def test_amplitudes_are_mixed_as_numpy_mixes_them(share, shape):
    own = texture(0, shape=shape)
    other = texture(1, blur=1.3, level=38000, spread=6000, shape=shape)
    assert np.abs(mixed(own, other, share) - mixed_by_numpy(own, other, share)).max() < 3


def test_level_and_spread_become_the_partners_and_structure_stays():
    own, other = breast(0), breast(1, reach=0.9, level=38000, spread=8000)
    tissue = own > 0
    for share, level, spread in ((1.0, 38000, 8000), (0.5, 34000, 6000)):
        changed = mixed(own, other, share)
        assert changed[tissue].mean() == pytest.approx(level, rel=0.03)
        assert changed[tissue].std() == pytest.approx(spread, rel=0.2)
        assert np.corrcoef(changed[tissue], own[tissue])[0, 1] > 0.97


def test_fine_detail_becomes_as_strong_as_the_partners():
    sharp, soft = breast(0, blur=0.5), breast(1, blur=1.5)

    def fineness(image):
        inner = image[30:66, :20].astype(float)
        return np.diff(inner, axis=0).std() / inner.std()

    assert fineness(mixed(sharp, soft)) < 0.75 * fineness(sharp)
    assert fineness(mixed(soft, sharp)) > 1.3 * fineness(soft)


def test_nothing_of_the_partners_shape_is_seen():
    """Mixing each frequency by itself, as it is commonly done, leaves a ghost in the flat tissue."""
    own, other = (np.full((HEIGHT, WIDTH), 30000, np.uint16) for _ in range(2))
    own[20:24, 8:12] = 45000
    other[70:90, 20:40] = 42000
    both = [np.fft.fft2(image.astype(float)) for image in (own, other)]
    common = np.fft.ifft2(np.abs(both[1]) * np.exp(1j * np.angle(both[0]))).real
    quiet = np.s_[45:, 20:]

    def roughness(image):
        return image[quiet].astype(float).std()

    assert roughness(mixed(own, other)) < 0.2 * roughness(common)


@examples(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.05, 1), st.floats(0.05, 1), st.floats(0, 1))
def test_background_stays_black_and_tissue_does_not_become_it(seed, reach, other_reach, share):
    own = breast(seed, reach, spread=9000)
    other = breast(seed + 1, other_reach, level=9000, spread=5000)
    changed = mixed(own, other, share)
    assert changed.dtype == np.uint16
    np.testing.assert_array_equal(changed > 0, own > 0)


def test_a_black_partner_does_no_harm():
    own = breast(0)
    changed = mixed(own, np.zeros_like(own))
    np.testing.assert_array_equal(changed > 0, own > 0)


def test_a_share_of_nothing_and_an_exam_like_oneself_change_nothing():
    own = breast(0)
    np.testing.assert_array_equal(mixed(own, breast(1), 0.0), own)
    assert np.abs(mixed(own, own.copy()).astype(int) - own).max() <= 1


def test_it_means_the_same_at_every_size():
    """Beyond 512 rows amplitudes are mixed on a coarser grid."""
    own, other = (breast(seed, blur=4 + 2 * seed, shape=(256, 128)) for seed in (0, 1))
    small = mixed(own, other).astype(float)
    large = mixed(*(zoom(image, 4, order=0) for image in (own, other)))
    inner = small[40:216, :60]
    again = large.reshape(256, 4, 128, 4).mean((1, 3))[40:216, :60]
    assert np.abs(again - inner).mean() < 0.1 * np.abs(inner - own[40:216, :60]).mean()


def test_absent_images_are_neither_mixed_nor_mixed_in():
    images = torch.from_numpy(
        np.stack([[[breast(e + 5 * v)[None] for v in range(2)]] for e in (0, 1)])
    )
    present = torch.tensor([[[True, True]], [[True, False]]])
    mix = AmplitudeMix(torch.tensor([[1], [0]]), torch.ones(2, 1))
    changed = (mix_amplitudes(images, present, mix) != images).flatten(3).any(-1)
    assert changed.tolist() == [[[True, False]], [[True, False]]]


def test_priors_are_mixed_with_the_partners_own_exam():
    images = torch.from_numpy(
        np.stack([[[breast(e + 5 * t)[None]] for t in (0, 1)] for e in (0, 1)])
    )
    mix = AmplitudeMix(torch.tensor([[0, 1], [0, 0]]), torch.tensor([[0.0, 0.8], [0.0, 0.0]]))
    changed = mix_amplitudes(images, torch.ones(2, 2, 1, dtype=torch.bool), mix)
    assert torch.equal(changed[0, 0], images[0, 0])
    assert torch.equal(changed[1], images[1])
    expected = mixed(images[0, 1, 0, 0].numpy(), images[1, 0, 0, 0].numpy(), 0.8)
    np.testing.assert_array_equal(changed[0, 1, 0, 0].numpy(), expected)


MAKERS = np.array([0, 0, 1, 1, 2, 0])
EXAMS = np.array([11, 12, 13, 14, 15, 11])


def drawn(settings=MIXED, exams=EXAMS, makers=MAKERS, times=2, start=0) -> AmplitudeMix:
    mix = draw_mix(settings, range(start, start + len(exams)), exams, makers, times)
    assert mix is not None
    return mix


def test_partners_are_of_another_maker():
    partners = np.stack([drawn(start=start).partner.numpy() for start in range(0, 300, 6)])
    assert (MAKERS[partners] != MAKERS[:, None]).all()
    assert set(partners[:, 0].ravel()) == {2, 3, 4}, "all of them"
    one_maker = np.zeros_like(MAKERS)
    partners = np.stack(
        [drawn(makers=one_maker, start=s).partner.numpy() for s in range(0, 300, 6)]
    )
    assert (EXAMS[partners] != EXAMS[:, None]).all(), "an exam drawn twice is not its own partner"


def test_who_is_alone_is_not_mixed():
    mix = drawn(exams=np.array([7, 7]), makers=np.array([1, 1]))
    assert not mix.share.any()


def test_every_second_changed_exam_is_mixed_by_up_to_the_setting():
    settings = replace(MIXED, probability=0.6, amplitude=0.4)
    share = torch.cat([drawn(settings, start=start).share.ravel() for start in range(0, 1200, 6)])
    assert (share > 0).float().mean() == pytest.approx(0.3, abs=0.04)
    assert 0.38 < share.max() <= 0.4
    assert share[share > 0].mean() == pytest.approx(0.2, abs=0.02)
    for one, again in zip(drawn(), drawn(), strict=True):
        assert torch.equal(one, again)
    assert draw_mix(AugmentSettings(), [1, 2], EXAMS[:2], MAKERS[:2], 1) is None


@pytest.mark.parametrize("place", list(Place))
def test_a_batch_is_mixed_after_its_other_changes_and_nothing_else_of_it(place, cohort, cache):
    opened = Cache(cache)
    everyone = Exams(cohort, opened)

    def batch(amplitude):
        augment = AugmentSettings(where=place, noise=0.0, amplitude=amplitude)
        exams = ExamDataset(np.arange(8), everyone, opened, 2, augment)
        return exams[[Draw(exam, exam) for exam in range(8)]]

    model = ModelSettings(
        encoder=EncoderSettings(name="lcnet_035"), fusion=FusionSettings(width=16, heads=2)
    )
    task = ExamTask(model, TaskSettings(), TrainSettings(), {})
    plain, style = batch(0.0), batch(0.7)
    assert plain.amplitude is None
    for one, other in zip(plain.labels, style.labels, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), "landmarks do not move")
    assert torch.equal(plain.images, style.images)
    plain_done, done = (task.on_after_batch_transfer(one, 0) for one in (plain, style))
    assert done.amplitude is None
    assert done.changes is None
    assert style.amplitude is not None
    expected = mix_amplitudes(plain_done.images, plain.present, style.amplitude)
    assert torch.equal(done.images, expected)
    now = plain.present & plain.present[:, 0][style.amplitude.partner]
    changed = (done.images != plain_done.images).flatten(3).any(-1)
    assert torch.equal(changed, now & (style.amplitude.share > 0)[..., None])
    assert changed.any()
    assert not changed.all()
