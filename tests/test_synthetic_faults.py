"""Faults of single images: how often, how they show, and that nothing else changes."""

from collections import Counter

import numpy as np
import pytest

from mim.synthetic.anatomy import Breast, Position
from mim.synthetic.faults import SHARES, Fault, fault_of, worse
from mim.synthetic.makers import SITES
from mim.synthetic.render import Scene, expose
from mim.synthetic.texture import ducts, grid_rows, white_spectrum
from mim.synthetic.women import draw_woman, lesions_on
from mim.vocab import BREASTS, SCREENING_VIEWS, Laterality, Quality, View

BREAST = Breast(Laterality.LEFT, 95.0, 85.0, 55.0, 0.14, 55.0, 2.1)
SHRINK = 16


def exposed(fault: Fault | None, view: View = View.CC):
    device = SITES[0].device_on(draw_woman(1, 1, 1, 0.0).exams[0].day)
    rows = grid_rows(device.pitch_mm * SHRINK)
    scene = Scene(BREAST, view, Position(), (), [4], fault)
    white, tree = white_spectrum([1], rows), ducts([2], 95.0, rows)
    return expose(scene, white, tree, device, SHRINK)


def test_faults_come_in_their_shares():
    slots = [(side, view) for side in BREASTS for view in SCREENING_VIEWS]
    drawn = Counter(
        fault_of((seed, woman), 0, *slot)
        for seed in range(3)
        for woman in range(1000)
        for slot in slots
    )
    for fault, share in SHARES.items():
        # Five standard errors of a share of 12,000.
        assert drawn[fault] / 12_000 == pytest.approx(share, abs=5 * (share / 12_000) ** 0.5)


def test_the_worse_of_two_grades():
    assert worse(Quality.PERFECT, Quality.INADEQUATE) is Quality.INADEQUATE
    assert worse(Quality.MODERATE, Quality.GOOD) is Quality.MODERATE


def test_a_turned_nipple_leaves_the_outline_smooth():
    plain, turned = exposed(None), exposed(Fault.NIPPLE_TURNED)
    pitch = plain.box.pitch_mm

    def reach(exposure):
        columns = np.flatnonzero((exposure.inside > 0).any(0))
        return (columns[-1] + exposure.box.column) * pitch

    assert reach(plain) - reach(turned) > 2.0, "the nipple stands out by some millimetres"


def test_a_fold_is_a_line_below_the_nipple_alone():
    plain, folded = exposed(None), exposed(Fault.SKIN_FOLD)
    added = folded.attenuation - plain.attenuation
    height = (np.arange(added.shape[0]) + plain.box.row) * plain.box.pitch_mm
    nipple = plain.projection.nipple[1]
    assert np.abs(added[height < nipple]).max() < 0.01
    below = added[height > nipple + 30]
    assert below.max() > 0.15
    assert (below > 0.1).mean() < 0.2


def test_movement_blurs():
    plain, blurred = exposed(None), exposed(Fault.BLURRED)
    deep = plain.inside > 15

    def detail(exposure):
        field = exposure.attenuation
        return np.abs(np.diff(field, axis=0))[deep[1:]].mean()

    assert detail(blurred) < 0.95 * detail(plain)


def test_lookalikes_stay_and_nothing_else_of_the_women_changes():
    found = 0
    for number in range(1, 60):
        plain, with_lookalike = (draw_woman(7, number, 2, 0.3, share) for share in (0.0, 0.5))
        assert plain.exams == with_lookalike.exams
        assert plain.cancer == with_lookalike.cancer
        more = [lesion for lesion in with_lookalike.lesions if lesion not in plain.lesions]
        assert len(more) <= 1
        for lesion in more:
            found += 1
            assert not lesion.malignant
            assert lesion.doubling_days is None
            sizes = {
                size
                for exam in with_lookalike.exams
                for shown, size in lesions_on(with_lookalike, lesion.side, exam.day)
                if shown is lesion
            }
            assert len(sizes) <= 1, "it does not grow"
    assert found > 15
