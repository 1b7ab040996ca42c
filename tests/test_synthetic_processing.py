"""What settings change of the makers' processing: only that, and only where they say."""

from dataclasses import replace
from datetime import date

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.pixels import apply_voi_lut

from mim.errors import InputError
from mim.image.recipe import prepare
from mim.image.settings import RecipeSettings
from mim.synthetic import texture
from mim.synthetic.anatomy import Breast, Position
from mim.synthetic.imaging import study_uid
from mim.synthetic.makers import DEVICES, DIMENSIONS, ESSENTIAL, INSPIRATION, MICRODOSE_SI
from mim.synthetic.processing import (
    NEW_SOFTWARE,
    UPDATE_DAY,
    brighter_harder,
    device_in_use,
)
from mim.synthetic.programme import write_programme
from mim.synthetic.render import Scene, expose, for_presentation
from mim.synthetic.settings import ProgrammeSettings
from mim.synthetic.women import draw_woman
from mim.synthetic.write import Shot, Study, write_image
from mim.vocab import Laterality, Maker, View

UID_BEFORE = "2.25.214327362540914724229644794128444710650"
SMALL = {"women": 8, "rounds": 3, "seed": 1, "shrink": 32, "cancer_share": 0.3, "workers": 1}
CONTRASTS = np.linspace(0, 1.3, 131, dtype=np.float32)
RISING = {"curve": lambda c: c**0.75, "above": lambda c: c, "below": lambda c: 0.1 + 0.6 * c}


def test_left_alone_a_programme_is_as_it_was():
    """The UID is of the commit before these settings were there."""
    settings = ProgrammeSettings(seed=5)
    exam = draw_woman(5, 1, 3, 0.03).exams[0]
    assert study_uid(settings, 1, exam) == UID_BEFORE
    assert all(device_in_use(d, date(2016, 1, 1), settings) is d for d in DEVICES)


@given(
    st.sampled_from(list(RISING)),
    st.floats(-2, 2),
    st.floats(0.4, 2.5),
)
def test_a_bent_curve_rises_and_keeps_its_ends(name, brighter, harder):
    bent = brighter_harder(RISING[name], brighter, harder)
    assert (np.diff(bent(CONTRASTS[1:].astype(float))) > 0).all()
    ends = np.array([0.0, 1.0])
    assert brighter_harder(RISING["above"], brighter, harder)(ends) == pytest.approx(ends)


def test_a_bent_curve_follows_the_logit():
    grey = np.array([0.1, 0.3, 0.5, 0.8])
    bent = brighter_harder(RISING["above"], 0.7, 1.6)(grey)
    assert np.log(bent / (1 - bent)) == pytest.approx(0.7 + 1.6 * np.log(grey / (1 - grey)))


def test_the_update_is_the_siemens_machines_from_its_day_on():
    settings = ProgrammeSettings(software_update=True)
    eve = date.fromordinal(UPDATE_DAY.toordinal() - 1)
    assert all(device_in_use(device, eve, settings) is device for device in DEVICES)
    for device in DEVICES:
        after = device_in_use(device, UPDATE_DAY, settings)
        assert after.model == device.model
        assert (after.software != device.software) is (device.maker is Maker.SIEMENS)
        assert (after is device) is (device.maker is not Maker.SIEMENS)
    assert device_in_use(INSPIRATION, UPDATE_DAY, settings).software == "VB60C"


def test_many_exams_lie_on_either_side_of_the_update():
    women = [draw_woman(1, number, 3, 0.03) for number in range(1, 501)]
    exams = [exam for woman in women for exam in woman.exams if exam.device.model in NEW_SOFTWARE]
    after = sum(exam.day >= UPDATE_DAY for exam in exams)
    assert min(after, len(exams) - after) > 0.3 * len(exams) > 90


@pytest.fixture(scope="module")
def updated(tmp_path_factory):
    """The folders of a programme without and with the update."""
    folders = [tmp_path_factory.mktemp("update") / name for name in ("without", "with")]
    for folder, on in zip(folders, (False, True), strict=True):
        write_programme(folder, ProgrammeSettings(**SMALL, software_update=on))
    return folders


def test_the_update_changes_pixels_after_its_day_and_not_before(updated):
    without, changed = updated
    kept, moved, twins = 0, 0, 0
    for path in sorted(p.relative_to(without) for p in without.rglob("*.dcm")):
        old, new = dcmread(without / path), dcmread(changed / path)
        assert old.StudyInstanceUID != new.StudyInstanceUID
        assert old.ManufacturerModelName == new.ManufacturerModelName
        siemens = old.ManufacturerModelName in NEW_SOFTWARE
        if not siemens or old.StudyDate < UPDATE_DAY.strftime("%Y%m%d"):
            assert old.PixelData == new.PixelData
            assert old.SoftwareVersions == new.SoftwareVersions
            kept += 1
        else:
            assert new.SoftwareVersions == NEW_SOFTWARE[new.ManufacturerModelName]
            assert old.SoftwareVersions != new.SoftwareVersions
            # A twin for processing has not been through the processing.
            presented = new.PresentationIntentType == "FOR PRESENTATION"
            assert (old.PixelData != new.PixelData) is presented
            moved += presented
            twins += not presented
    assert min(kept, moved) >= 16
    assert twins > 0


def test_the_update_changes_nothing_of_the_woman(updated):
    """What is true of images and registry is the same, but for the UIDs."""
    truths = [
        pq.read_table(folder / "truth" / "images.parquet").drop(["sop_uid", "study_uid"])
        for folder in updated
    ]
    assert truths[0].equals(truths[1])
    for name in ("readings", "decisions", "cancers", "density", "women"):
        old, new = ((folder / "registry" / f"{name}.csv").read_bytes() for folder in updated)
        assert old == new


MAKERS = (INSPIRATION, DIMENSIONS, ESSENTIAL, MICRODOSE_SI)


def at_gap(device, gap):
    return device_in_use(device, date(2013, 5, 6), ProgrammeSettings(maker_gap=gap))


def written(path, device, pixels):
    """A file of a left breast in CC view, as the device writes it."""
    study = Study("W000001", "W000001R1", "2.25.7", date(2013, 5, 6), 600, 55, "Mill", device, 8)
    shot = Shot(1, "2.25.8", "2.25.9", Laterality.LEFT, View.CC, 52.0, mirrored=False)
    write_image(path, study, shot, pixels)
    return path


def prepared(path, device, seed=2):
    """One breast by a device as the model sees it, 0 to 1."""
    breast = Breast(Laterality.LEFT, 95.0, 85.0, 52.0, 0.15, 55.0, 2.1)
    rows = texture.grid_rows(device.pitch_mm * 8)
    scene = Scene(breast, View.CC, Position(), (), [seed, 4])
    tree = texture.ducts([seed, 3], breast.depth_mm, rows)
    exposure = expose(scene, texture.white_spectrum([seed], rows), tree, device, 8)
    pixels = for_presentation(exposure, device, (device.rows // 8, device.columns // 8))
    recipe = RecipeSettings(height=256, width=128)
    seen = prepare(written(path, device, pixels), Laterality.LEFT, View.CC, recipe).pixels
    return seen / 65520


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """The same breast by each maker, by gap."""
    path = tmp_path_factory.mktemp("gap") / "1.dcm"
    return {
        gap: [prepared(path, at_gap(device, gap)) for device in MAKERS] for gap in (0.0, 1.0, 2.0)
    }


@given(st.sampled_from(DEVICES), st.floats(0, 3))
def test_curves_rise_at_every_gap(device, gap):
    greys = at_gap(device, gap).greys
    assert (np.diff(greys.curve(CONTRASTS.astype(float))) > 0).all()
    assert 0 < greys.equalisation < 1
    assert greys.sharpening > -1


@pytest.mark.parametrize("device", DEVICES, ids=lambda d: d.model)
def test_a_gap_changes_grey_levels_alone(device):
    other = at_gap(device, 2.0)
    assert replace(other, greys=device.greys) == device
    kept = ("dark", "bright", "background", "sharpening_mm")
    assert [getattr(other.greys, name) for name in kept] == [
        getattr(device.greys, name) for name in kept
    ]


@pytest.mark.parametrize("device", DEVICES, ids=lambda d: d.model)
def test_processing_goes_to_the_makers_own_without_a_jump(device):
    """From both sides: a gap close to 1 gives nearly what 1 does."""
    own = device.greys.curve(CONTRASTS)
    for gap in (1 - 1e-4, 1 + 1e-4):
        greys = at_gap(device, gap).greys
        assert greys.curve(CONTRASTS) == pytest.approx(own, abs=1e-3)
        assert greys.equalisation == pytest.approx(device.greys.equalisation, abs=1e-3)
        assert greys.sharpening == pytest.approx(device.greys.sharpening, abs=1e-3)


def test_at_gap_0_a_contrast_is_shown_alike_by_every_maker(tmp_path):
    """pydicom applies the windows and tables; steps of 12 bits are far below 0.005."""
    shown = []
    for device in DEVICES:
        greys = at_gap(device, 0.0).greys
        stored = greys.dark + (greys.bright - greys.dark) * greys.curve(CONTRASTS)
        pixels = np.tile(np.round(stored).astype(np.uint16), (8, 1))
        dataset = dcmread(written(tmp_path / "1.dcm", device, pixels), stop_before_pixels=True)
        grey = apply_voi_lut(pixels, dataset)[0] / ((1 << device.bits_stored) - 1)
        shown.append(1 - grey if device.photometric == "MONOCHROME1" else grey)
    assert np.ptp(shown, axis=0).max() < 0.005
    assert shown[0][-1] - shown[0][0] > 0.7


def unlikeness(images):
    """Largest mean difference of two makers' images, the rim and single pixels left out."""
    inside = cv2.erode(np.all([i > 0 for i in images], 0).astype(np.uint8), np.ones((9, 9))) > 0
    smooth = [cv2.GaussianBlur(image, (0, 0), 2)[inside] for image in images]
    return max(np.abs(a - b).mean() for a in smooth for b in smooth), np.corrcoef(smooth).min()


def test_at_gap_0_one_breast_looks_nearly_alike(seen):
    (difference, correlation), (today, _) = unlikeness(seen[0.0]), unlikeness(seen[1.0])
    assert difference < 0.01
    assert today > 0.05
    assert correlation > 0.97


def test_a_wider_gap_spreads_the_makers(seen):
    medians = [[np.median(image[image > 0]) for image in seen[gap]] for gap in (0.0, 1.0, 2.0)]
    siemens, hologic, ge, philips = medians[2]
    assert philips < hologic < min(siemens, ge)
    details = [[detail(image) for image in seen[gap]] for gap in (0.0, 1.0, 2.0)]
    alike, today, apart = np.ptp(medians, axis=1)
    assert 5 * alike < today < 0.6 * apart
    alike, today, apart = np.ptp(np.log(details), axis=1)
    assert max(alike, today) < 0.5 * apart


def detail(image):
    """Standard deviation of what is finer than 2 pixels, well inside the breast."""
    inside = cv2.erode((image > 0).astype(np.uint8), np.ones((21, 21))) > 0
    return (image - cv2.GaussianBlur(image, (0, 0), 2))[inside].std()


def test_a_gap_changes_the_uid_and_is_written_down(tmp_path):
    exam = draw_woman(5, 1, 3, 0.03).exams[0]
    uids = {study_uid(ProgrammeSettings(seed=5, maker_gap=gap), 1, exam) for gap in (0.0, 1.0, 2.0)}
    assert len(uids) == 3
    assert UID_BEFORE in uids
    write_programme(tmp_path, ProgrammeSettings(women=1, shrink=32, workers=1, maker_gap=2.0))
    assert '"maker_gap": 2.0' in (tmp_path / "programme.json").read_text(encoding="utf-8")
    with pytest.raises(InputError, match="maker_gap"):
        write_programme(tmp_path / "wide", ProgrammeSettings(maker_gap=3.5))
