"""The population and its readers: what must hold for every woman, and rates over many."""

import itertools
from collections import Counter
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mim.synthetic.makers import DIMENSIONS, ESSENTIAL, SITES
from mim.synthetic.readers import read_exam
from mim.synthetic.women import EXTRA_SHARES, draw_woman, lesions_on
from mim.vocab import BREASTS, Density, Maker


@pytest.fixture(scope="module")
def many():
    """1,500 women of three rounds, one in four with cancer."""
    return [draw_woman(11, number, 3, 0.25) for number in range(1, 1501)]


@given(st.integers(0, 2**32 - 1), st.integers(1, 10**6), st.integers(1, 6))
def test_every_woman_has_a_consistent_life(seed, number, rounds):
    woman = draw_woman(seed, number, rounds, 1.0)
    days = [exam.day for exam in woman.exams]
    cancer = woman.cancer
    assert days
    assert days == sorted(days)
    assert all(later.toordinal() - day.toordinal() > 540 for day, later in itertools.pairwise(days))
    # Who is invited at 50 in January may come in the December before.
    assert all(49 <= exam.age <= 71 for exam in woman.exams)
    assert all(day < cancer.diagnosed <= woman.followup_end for day in days)
    assert max(days) <= woman.followup_end
    found_by = next(exam for exam in woman.exams if exam.round == cancer.found_by)
    assert found_by is woman.exams[-1]
    delay = (cancer.diagnosed - found_by.day).days
    assert 14 <= delay <= 56 if cancer.screen_detected else 122 <= delay < 731


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_cancer_grows_from_round_to_round_and_the_rest_stays(seed, number):
    woman = draw_woman(seed, number, 5, 1.0)
    shown = [
        {
            lesion.seed: size
            for side in BREASTS
            for lesion, size in lesions_on(woman, side, exam.day)
        }
        for exam in woman.exams
    ]
    kept = {lesion.seed: lesion for lesion in woman.lesions}
    for earlier, later in itertools.pairwise(shown):
        for seed_of, size in earlier.items():
            assert later[seed_of] > size if kept[seed_of].malignant else later[seed_of] == size


def test_a_woman_does_not_depend_on_how_many_rounds_or_cancers_others_have():
    assert draw_woman(1, 5, 3, 0.0) == draw_woman(1, 5, 3, 0.0)
    healthy = next(n for n in range(1, 50) if draw_woman(1, n, 3, 0.5).cancer is None)
    assert draw_woman(1, healthy, 3, 0.5) == draw_woman(1, healthy, 3, 0.1)


def test_the_cancer_share_is_kept(many):
    cancers = [woman.cancer for woman in many if woman.cancer]
    assert len(cancers) / len(many) == pytest.approx(0.25, abs=0.03)
    assert np.mean([c.screen_detected for c in cancers]) == pytest.approx(0.75, abs=0.06)
    assert all(8 <= c.size_mm <= 25 for c in cancers if c.screen_detected)


def test_density_is_distributed_as_in_a_programme_and_stable(many):
    classes = Counter(exam.density[side] for w in many for exam in w.exams for side in BREASTS)
    shares = [classes[density] / classes.total() for density in Density]
    assert shares == pytest.approx([0.10, 0.40, 0.40, 0.10], abs=0.03)
    steps = [
        list(Density).index(w.exams[-1].density[side]) - list(Density).index(w.exams[0].density[side])
        for w in many if len(w.exams) > 1 for side in BREASTS
    ]  # fmt: skip
    assert set(steps) <= {0, -1}


def test_attendance_extras_and_makers(many):
    free = [w for w in many if w.cancer is None]
    assert np.mean([len(w.exams) / 3 for w in free]) == pytest.approx(0.85, abs=0.02)
    exams = [exam for w in many for exam in w.exams]
    odd = np.mean([exam.extra is not None for exam in exams])
    assert odd == pytest.approx(sum(EXTRA_SHARES.values()), abs=0.02)
    makers = Counter(exam.device.maker for exam in exams)
    assert set(makers) == {Maker.SIEMENS, Maker.HOLOGIC, Maker.GE, Maker.PHILIPS}
    assert min(makers.values()) > 0.12 * len(exams)
    assert np.mean([len({e.device.maker for e in w.exams}) > 1 for w in many]) > 0.1


@pytest.mark.parametrize(
    ("day", "device"),
    [
        (date(2009, 1, 1), ESSENTIAL),  # before the first: the first
        (date(2014, 6, 30), ESSENTIAL),
        (date(2014, 7, 1), DIMENSIONS),
        (date(2020, 1, 1), DIMENSIONS),
    ],
)
def test_a_site_has_the_device_of_the_day(day, device):
    glacier = next(site for site in SITES if site.name == "Glacier")
    assert glacier.device_on(day) is device


@pytest.fixture(scope="module")
def read(many):
    return [(w, exam, read_exam(11, w, exam)) for w in many for exam in w.exams]


def positive(reading):
    """Of each reader: whether any breast was scored 2 or more."""
    readers = sorted({reader for reader, _ in reading.scores})
    return [max(reading.scores[reader, side] for side in BREASTS) >= 2 for reader in readers]


def test_decisions_follow_from_scores(read):
    for woman, exam, reading in read:
        assert len(reading.scores) == 4
        assert set(reading.scores.values()) <= {1, 2, 3, 4, 5}
        assert reading.consensus == any(positive(reading))
        assert reading.consensus or not reading.recalled
        cancer = woman.cancer
        if cancer:
            found = cancer.screen_detected and cancer.found_by == exam.round
            assert reading.recalled == found


def test_rates_without_cancer_are_those_of_the_programme(read):
    calls = [(positive(reading), reading) for w, _, reading in read if w.cancer is None]
    by_reader = np.array([seen for seen, _ in calls])
    # Larsen 2022: 5.8 % by each reader, 8.8 % consensus, 3.2 % recalled, cancers (0.6 %) included.
    assert by_reader.mean(0) == pytest.approx([0.053, 0.053], abs=0.013)
    assert np.mean([r.consensus for _, r in calls]) == pytest.approx(0.082, abs=0.015)
    assert np.mean([r.recalled for _, r in calls]) == pytest.approx(0.026, abs=0.01)


def test_readers_see_most_screen_detected_and_few_interval_cancers(read):
    seen = {True: [], False: []}
    for woman, exam, reading in read:
        cancer = woman.cancer
        if cancer and cancer.found_by == exam.round:
            scores = [s for (_, side), s in reading.scores.items() if side is cancer.side]
            seen[cancer.screen_detected].append([score >= 2 for score in scores])
    found, missed = (np.array(seen[key]) for key in (True, False))
    # European Congress of Radiology poster, 5,786 screen-detected and 1,783 interval cancers:
    # a quarter of the former were seen by one reader only, four fifths of the latter by none.
    assert np.mean(found.sum(1) == 1) == pytest.approx(0.25, abs=0.07)
    assert np.mean(missed.any(1)) < 0.45
