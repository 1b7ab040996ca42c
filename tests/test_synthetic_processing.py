"""What settings change of the makers' processing: only that, and only where they say."""

from datetime import date

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from mim.synthetic.imaging import study_uid
from mim.synthetic.makers import DEVICES, INSPIRATION
from mim.synthetic.processing import (
    NEW_SOFTWARE,
    UPDATE_DAY,
    brighter_harder,
    device_in_use,
)
from mim.synthetic.programme import write_programme
from mim.synthetic.settings import ProgrammeSettings
from mim.synthetic.women import draw_woman
from mim.vocab import Maker

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
