"""Batches say what is there: slots, priors, months, labels and masks, also after augmentation."""

import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from mim.data import greys as greys_module
from mim.data.augment_device import change_batch
from mim.data.cache import Cache
from mim.data.datamodule import ExamData
from mim.data.dataset import ExamDataset
from mim.data.exams import Exams
from mim.data.greys import draw_jitter
from mim.data.sampler import Draw
from mim.data.settings import AugmentSettings, DataSettings, Place
from mim.errors import InputError
from mim.image.alignment import align_prior
from mim.image.greys import GreyStandard, fixed_standard, harmonise
from mim.image.settings import Harmonise
from mim.model.settings import DensitySettings, QualitySettings, RiskSettings, TaskSettings
from mim.vocab import VIEW_SLOTS, Landmark, Maker, Split, Task

STILL = AugmentSettings(probability=0.0, swap_sides=0.0)
OTHER_SIDE = [2, 3, 0, 1]


@pytest.fixture(scope="module")
def opened(cache):
    return Cache(cache)


@pytest.fixture(scope="module")
def everyone(cohort, opened):
    return Exams(cohort, opened)


@pytest.fixture
def make(everyone, opened):
    """A dataset of all exams."""

    def made(times=2, augment=None, **others) -> ExamDataset:
        return ExamDataset(
            np.arange(len(everyone)), everyone, opened, times, augment=augment, **others
        )

    return made


def everything(exams, seed=0):
    return exams[[Draw(place, seed) for place in range(len(exams))]]


def pixels(batch):
    return batch.images.numpy()[:, :, :, 0]


def test_images_stand_in_their_slots_and_times(cohort, opened, everyone, make):
    table = pl.read_parquet(cohort / "images.parquet")
    images = {
        (row["exam"], row["laterality"], row["view"]): row["image"]
        for row in table.rows(named=True)
    }
    batch = everything(make())
    assert batch.exam.tolist() == list(range(len(everyone)))
    assert batch.changes is None
    seen_priors = 0
    for place, row in enumerate(everyone.table.to_pylist()):
        timeline = [row["exam"], *row["priors"]][:2]
        for time, name in enumerate(timeline):
            for slot, (side, view) in enumerate(VIEW_SLOTS):
                image = images.get((name, side, view))
                assert bool(batch.present[place, time, slot]) is (image is not None)
                wanted = opened.read(image) if image else np.zeros((64, 32), np.uint16)
                np.testing.assert_array_equal(pixels(batch)[place, time, slot], wanted)
        if row["priors"]:
            seen_priors += 1
            assert batch.months[place, 1] == np.float32(row["months_before"][0])
            assert batch.months[place, 1] > 12
        else:
            assert not batch.present[place, 1].any()
        assert batch.months[place, 0] == 0
    assert seen_priors > 2


def test_absent_images_are_black_in_used_memory_too(make):
    exams = make(times=3)
    draws = [Draw(place, 0) for place in range(len(exams))]
    memory = np.full(exams.shape(len(draws)), 9, np.uint16)
    batch, jobs = exams.begin(draws, memory)
    for job in jobs:
        job()
    assert not batch.present.all()
    assert not memory[~batch.present.numpy()].any()


def test_labels_are_those_of_the_exams(everyone, make):
    exams = make()
    batch = exams[[Draw(7, 0), Draw(2, 0)]]
    for part, known in zip(batch.labels, everyone.labels, strict=True):
        np.testing.assert_array_equal(part.numpy(), known[[7, 2]])


def test_batches_have_the_documented_types(make):
    batch = make(times=3)[[Draw(0, 0), Draw(1, 0)]]
    assert batch.images.shape == (2, 3, 4, 1, 64, 32)
    assert batch.images.dtype == torch.uint16
    assert (batch.present.dtype, batch.months.dtype) == (torch.bool, torch.float32)
    assert (batch.exam.dtype, batch.labels.density.dtype) == (torch.int64, torch.int64)
    assert {part.dtype for part in batch.labels} == {torch.float32, torch.int64}


def test_priors_are_hidden_as_often_as_told_and_by_the_draws_seed(everyone, make):
    place = int(np.flatnonzero(everyone.priors[:, 0] >= 0)[0])
    exams = make(drop_priors=0.5)
    draws = [Draw(place, seed) for seed in range(200)]
    batch = exams[draws]
    shown = batch.present[:, 1].any(-1)
    assert 70 < int(shown.sum()) < 130
    assert torch.equal(shown, exams[draws].present[:, 1].any(-1))
    assert torch.equal(shown, batch.months[:, 1] > 0)
    assert batch.present[:, 0].any(-1).all(), "the exam itself is never hidden"


def test_a_mirrored_woman_has_her_sides_images_and_labels_swapped(everyone, make):
    plain = everything(make())
    swapped = everything(make(augment=replace(STILL, swap_sides=1.0)))
    assert torch.equal(swapped.images, plain.images[:, :, OTHER_SIDE])
    assert torch.equal(swapped.present, plain.present[:, :, OTHER_SIDE])
    for name, part in swapped.labels._asdict().items():
        before = getattr(plain.labels, name).numpy()
        order = OTHER_SIDE if before.shape[1] == 4 else [1, 0]
        np.testing.assert_array_equal(part.numpy(), before[:, order])
    assert not torch.equal(swapped.labels.cancer.nan_to_num(), plain.labels.cancer.nan_to_num())


def marked(everyone, place):
    """The exams with a nipple marked in the middle of every view of one."""
    labels = everyone.labels
    points = np.full(labels.landmarks.shape, np.nan, np.float32)
    points[place, :, list(Landmark).index(Landmark.NIPPLE)] = 0.5
    labels = labels._replace(landmarks=points, visible=(points[..., 0] > 0).astype(np.float32))
    other = object.__new__(Exams)
    other.__dict__ |= everyone.__dict__ | {"labels": labels}
    return other


@pytest.mark.parametrize("seed", range(3))
def test_landmarks_move_with_the_pixels(everyone, opened, seed):
    """The brightest spot of a planted image is where its landmark is."""

    class Planted(Cache):
        def read(self, image, pixels=None):
            pixels[...] = 1000
            pixels[28:36, 12:20] = 60000  # around the middle of 64 x 32
            return pixels

    geometry = AugmentSettings(
        **{"probability": 1.0, "brightness": 0.0, "contrast": 0.0, "curve": 0.0, "noise": 0.0},
        **{"blur": 0.0, "resolution": 0.0, "cutout": 0.0, "rotation_degrees": 25.0, "shift": 0.2},
    )
    planted = ExamDataset(
        np.array([3]), marked(everyone, 3), Planted(opened.folder), 1, augment=geometry
    )
    batch = planted[[Draw(0, seed)]]
    rows, columns = np.indices((64, 32))
    for view in np.flatnonzero(batch.present[0, 0]):
        spot = pixels(batch)[0, 0, view].astype(float) * (pixels(batch)[0, 0, view] > 30000)
        found = np.array([(columns * spot).sum(), (rows * spot).sum()]) / spot.sum()
        point = batch.labels.landmarks[0, view, 0].numpy()
        np.testing.assert_allclose(point * (32, 64) - 0.5, found, atol=0.7)
        assert np.abs(point - 0.5).max() > 0.005, "it has moved"


def test_a_landmark_moved_off_the_image_is_unknown(everyone, opened):
    far = replace(STILL, probability=1.0, shift=0.9, scale=0.0, rotation_degrees=0.0)
    exams = ExamDataset(np.array([3]), marked(everyone, 3), opened, 1, augment=far)
    labels = exams[[Draw(0, seed) for seed in range(20)]].labels
    gone = labels.landmarks[..., 0, :].isnan().any(-1)
    assert gone.any()
    assert not gone.all()
    assert torch.equal(gone, labels.visible[..., 0].isnan())


def test_changes_for_the_device_are_those_that_the_cpu_makes(make):
    augment = AugmentSettings(probability=1.0, noise=0.0)
    changed = everything(make(augment=augment))
    left = everything(make(augment=replace(augment, where=Place.device)))
    assert changed.changes is None
    assert torch.equal(left.images, everything(make(augment=STILL)).images) is False, "swapped"
    on_device = change_batch(left.images, left.present, left.changes)
    apart = np.abs(on_device.numpy().astype(int) - changed.images.numpy().astype(int))
    assert np.percentile(apart, 99) < 500
    for one, other in zip(changed.labels, left.labels, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_priors_are_aligned_before_anything_else_is_changed(everyone, make):
    plain, aligned = everything(make()), everything(make(align_priors=True))
    both = (plain.present[:, 0] & plain.present[:, 1]).numpy()
    before, after = pixels(plain), pixels(aligned)
    np.testing.assert_array_equal(after[:, 0], before[:, 0])
    for place, view in zip(*both.nonzero(), strict=True):
        wanted = align_prior(before[place, 1, view], before[place, 0, view])
        np.testing.assert_array_equal(after[place, 1, view], wanted)
    assert (after[:, 1] != before[:, 1]).any()
    changed = everything(make(align_priors=True, augment=STILL))
    np.testing.assert_array_equal(pixels(changed), after)


def learnt(*tasks):
    settings = TaskSettings()
    for task in Task:
        getattr(settings, task).learn = task in tasks
    return settings


@pytest.fixture
def copied(cohort, tmp_path):
    shutil.copytree(cohort, tmp_path / "cohort")
    for name in ("density", "quality"):
        (tmp_path / "cohort" / f"{name}.parquet").unlink(missing_ok=True)
    return tmp_path / "cohort"


@pytest.mark.parametrize(("cancer", "kind"), [(False, "with"), (True, "without")])
def test_a_cohort_that_teaches_nothing_is_refused(copied, cache, cancer, kind):
    exams = pl.read_parquet(copied / "exams.parquet")
    one_kind = exams.with_columns(left_cancer=pl.lit(cancer), right_cancer=pl.lit(cancer))
    one_kind.write_parquet(copied / "exams.parquet")
    with pytest.raises(InputError, match=f"no training breast {kind} cancer"):
        ExamData(copied, cache, DataSettings(), learnt(Task.CANCER), seed=1)


def test_a_risk_without_cancers_to_come_is_refused(copied, cache):
    exams = pl.read_parquet(copied / "exams.parquet")
    later = exams.with_columns(pl.col("left_years_to_cancer", "right_years_to_cancer") + 5)
    later.write_parquet(copied / "exams.parquet")
    with pytest.raises(InputError, match=r"no training breast with a cancer within 5 years"):
        ExamData(copied, cache, DataSettings(), learnt(Task.RISK), seed=1)


@pytest.mark.parametrize("task", [Task.RISK, Task.DENSITY, Task.QUALITY])
def test_a_task_without_labels_names_the_table_that_lacks(copied, cache, task):
    exams = pl.read_parquet(copied / "exams.parquet")
    times = [
        f"{side}_years_{what}" for side in ("left", "right") for what in ("to_cancer", "followed")
    ]
    nothing = pl.lit(None)
    exams.with_columns(
        density=nothing.cast(pl.String), **dict.fromkeys(times, nothing.cast(pl.Float64))
    ).write_parquet(copied / "exams.parquet")
    with pytest.raises(InputError, match=rf"'{task}'.* the table '.*tasks\.{task}\.learn=false"):
        ExamData(copied, cache, DataSettings(), learnt(Task.CANCER, task), seed=1)


def test_exams_with_any_label_of_a_learnt_task_are_trained_on(copied, cache):
    """One exam has a density and no outcome; one has nothing; one has it of a breast without image."""
    exams = pl.read_parquet(copied / "exams.parquet")
    training = exams.filter(split="train")["exam"][:3].to_list()
    unknown = pl.col("exam").is_in(training)
    cancer = {
        f"{side}_cancer": pl.when(unknown).then(None).otherwise(pl.col(f"{side}_cancer"))
        for side in ("left", "right")
    }
    density = pl.when(exam=training[0]).then(pl.lit("b")).otherwise(None)
    right = pl.when(exam=training[2]).then(pl.lit(False)).otherwise(pl.col("right_cancer"))
    table = exams.with_columns(**cancer, density=density).with_columns(right_cancer=right)
    table.write_parquet(copied / "exams.parquet")
    images = pl.read_parquet(copied / "images.parquet")
    lost = (pl.col("exam") == training[2]) & (pl.col("laterality") == "R")
    images.filter(~lost).write_parquet(copied / "images.parquet")

    def trained(*tasks):
        data = ExamData(copied, cache, DataSettings(), learnt(*tasks), seed=1)
        return set(data.everyone.table["exam"].take(data.training.rows).to_pylist())

    others = set(exams.filter(split="train")["exam"]) - set(training)
    assert trained(Task.CANCER) == others
    assert trained(Task.CANCER, Task.DENSITY) == others | {training[0]}


def test_cases_are_cancers_now_and_to_come(cohort, cache):
    def cases(tasks):
        data = ExamData(cohort, cache, DataSettings(), tasks, seed=1)
        return set(data.training.rows[data._sampler._cases].tolist()), data

    now, data = cases(learnt(Task.CANCER))
    labels, rows = data.everyone.labels, data.training.rows
    assert now == set(rows[(labels.cancer[rows] == 1).any(1)].tolist())
    to_come, _ = cases(replace(learnt(Task.RISK), risk=RiskSettings(learn=True, years=7)))
    assert to_come == set(rows[(labels.years_to_cancer[rows] < 10).any(1)].tolist())
    assert now < to_come
    neither = TaskSettings(density=DensitySettings(learn=True), quality=QualitySettings(learn=True))
    neither.cancer.learn = False
    assert cases(neither)[0] == set()


def test_unused_exams_are_seen_as_priors_only(copied, cache):
    """Every exam that is another's prior is made unused, as a held-out period does."""
    exams = pl.read_parquet(copied / "exams.parquet")
    priors = exams["priors"].explode().drop_nulls().to_list()
    unused = pl.when(pl.col("exam").is_in(priors)).then(pl.lit("unused")).otherwise("split")
    exams.with_columns(split=unused).write_parquet(copied / "exams.parquet")
    data = ExamData(copied, cache, DataSettings(), learnt(Task.CANCER), seed=1)
    names = np.array(data.everyone.table["exam"].to_pylist())
    divided = [data.dataset(split) for split in (Split.TRAIN, Split.VALIDATION, Split.TEST)]
    seen = {name for part in divided for name in names[part.rows]}
    assert not set(priors) & (seen | set(names[data.training.rows]))
    assert seen | set(priors) == set(exams["exam"])
    assert any(everything(part).present[:, 1].any() for part in divided)
    with pytest.raises(AssertionError, match="priors only"):
        data.dataset(Split.UNUSED)


def test_no_woman_with_an_image_of_a_maker_left_out_is_learnt_from(cohort, cache):
    whole = ExamData(cohort, cache, DataSettings(batch_size=4), learnt(Task.CANCER), 1)
    makers = whole.everyone.table["maker"].to_pylist()
    maker = max(set(makers), key=makers.count)
    data = DataSettings(batch_size=4, leave_out_maker=maker)
    exams = ExamData(cohort, cache, data, learnt(Task.CANCER), 1)
    women = np.array(exams.everyone.table["woman"].to_pylist())
    images = exams.everyone.image_table
    of_maker = {
        e
        for e, m in zip(*(images[n].to_pylist() for n in ("exam", "maker")), strict=True)
        if m == maker
    }
    hers = set(women[[e in of_maker for e in exams.everyone.table["exam"].to_pylist()]])
    assert hers
    for split in (Split.TRAIN, Split.VALIDATION):
        rows = exams.dataset(split).rows.tolist()
        assert rows == [row for row in whole.dataset(split).rows if women[row] not in hers]
        assert rows
    assert set(exams.training.rows.tolist()) <= set(exams.dataset(Split.TRAIN).rows.tolist())
    assert exams.dataset(Split.TEST).rows.tolist() == whole.dataset(Split.TEST).rows.tolist()


def test_a_maker_that_nobody_has_cannot_be_left_out(cohort, cache):
    with pytest.raises(InputError, match=r"data.leave_out_maker=konica: no image .* it has"):
        ExamData(cohort, cache, DataSettings(leave_out_maker="konica"), learnt(Task.CANCER), 1)


def harmonised(kind=Harmonise.landmarks, jitter=0.0, **others) -> DataSettings:
    plain = AugmentSettings(
        probability=1.0,
        rotation_degrees=0,
        shift=0,
        scale=0,
        brightness=0,
        contrast=0,
        curve=0,
        noise=0,
        blur=0,
        resolution=0,
        cutout=0,
        swap_sides=0,
        maker_jitter=jitter,
    )
    return DataSettings(batch_size=4, harmonise=kind, augment=plain, drop_priors=0, **others)


def test_a_standard_is_that_of_the_exams_trained_on(cohort, cache, monkeypatch):
    """Pixels of all other exams are turned round, and it stays; one that is trained on moves it."""
    data = harmonised(leave_out_maker="siemens")
    exams = ExamData(cohort, cache, data, learnt(Task.CANCER), 1)
    everyone, rows = exams.everyone, exams.training.rows
    own = everyone.images[rows]
    images = everyone.image_table.take(own[own >= 0])
    assert len(rows) > 5
    assert exams.greys.learnt_on == {
        "women": len(everyone.table["woman"].take(rows).unique()),
        "exams": len(rows),
        "images": len(images),
        "images_by_maker": dict(sorted(Counter(images["maker"].to_pylist()).items())),
    }
    assert "siemens" not in exams.greys.makers
    assert len(exams.greys.makers) > 1
    read = Cache.read
    changed: set[str] = set()

    def other_pixels(self, image, pixels=None):
        found = read(self, image, pixels)
        if image in changed:
            np.negative(found, out=found)  # white to black, and 0 stays
        return found

    monkeypatch.setattr(Cache, "read", other_pixels)
    changed |= set(everyone.image_table["image"].to_pylist()) - set(images["image"].to_pylist())
    assert len(changed) > 10
    again = ExamData(cohort, cache, data, learnt(Task.CANCER), 1)
    assert again.greys == exams.greys
    changed.add(images["image"][0].as_py())
    moved = ExamData(cohort, cache, data, learnt(Task.CANCER), 1)
    assert moved.greys.fingerprint != exams.greys.fingerprint
    given = ExamData(cohort, cache, data, learnt(Task.CANCER), 1, exams.greys)
    assert given.greys is exams.greys


def test_nothing_is_read_where_nothing_is_learnt(cohort, cache, monkeypatch):
    monkeypatch.setattr(Cache, "read", lambda *_: pytest.fail("read"))
    for kind in (Harmonise.voi, Harmonise.tissue):
        exams = ExamData(cohort, cache, harmonised(kind), learnt(Task.CANCER), 1)
        assert exams.greys == fixed_standard(kind)


def test_jitter_needs_a_second_maker(cohort, cache, monkeypatch):
    exams = ExamData(cohort, cache, harmonised(), learnt(Task.CANCER), 1)
    rows = exams.training.rows
    of_one = rows[exams.everyone.makers[rows] == list(Maker).index(Maker.GE)]
    monkeypatch.setattr(Cache, "read", lambda *_: pytest.fail("read"))
    with pytest.raises(InputError, match=r"maker_jitter=0\.3: .* all \d+ images .* of ge; set"):
        greys_module.learn_greys(harmonised(jitter=0.3), exams.everyone, of_one, exams.cache)


def test_a_standard_reads_no_more_images_than_it_needs(cohort, cache, monkeypatch):
    monkeypatch.setattr(greys_module, "MOST_IMAGES", 20)
    one, other = (
        ExamData(cohort, cache, harmonised(), learnt(Task.CANCER), seed).greys for seed in (1, 2)
    )
    assert one.learnt_on["images"] == 20
    assert one == other


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("kind", Harmonise)
def test_images_are_harmonised_before_all_else(kind, align, cohort, cache, opened):
    exams = ExamData(cohort, cache, harmonised(kind, align_priors=align), learnt(Task.CANCER), 1)
    everyone = exams.everyone
    for dataset in (exams.training, exams.dataset(Split.TEST)):
        batch = everything(dataset)
        rows = dataset.rows
        for place, time, view in batch.present.nonzero().tolist():
            row = rows[place] if time == 0 else everyone.priors[rows[place], time - 1]
            names = everyone.image_table["image"]
            wanted = harmonise(opened.read(names[everyone.images[row, view]].as_py()), exams.greys)
            if align and time and batch.present[place, 0, view]:
                wanted = align_prior(wanted, pixels(batch)[place, 0, view])
            np.testing.assert_array_equal(pixels(batch)[place, time, view], wanted)


@pytest.mark.parametrize("kind", [Harmonise.voi, Harmonise.landmarks])
def test_jitter_steps_towards_another_maker_once_for_an_exam(kind, cohort, cache, opened):
    exams = ExamData(cohort, cache, harmonised(kind, jitter=0.8), learnt(Task.CANCER), 1)
    everyone, standard, rows = exams.everyone, exams.greys, exams.training.rows
    names = everyone.image_table["image"]
    seen, stepped = [], set()
    for seed in range(2):
        batch = everything(exams.training, seed)
        again = everything(exams.training, seed)
        assert torch.equal(batch.images, again.images)
        seen.append(batch.images)
        for place, row in enumerate(rows.tolist()):
            timeline = [row, *everyone.priors[row].tolist()][: exams.times]
            makers = np.array([everyone.makers[at] if at >= 0 else -1 for at in timeline])
            jitters = draw_jitter(harmonised(jitter=0.8).augment, standard, seed, makers)
            for time, view in batch.present[place].nonzero().tolist():
                jitter = jitters[time]
                stored = opened.read(names[everyone.images[timeline[time], view]].as_py())
                wanted = harmonise(stored, standard, jitter)
                np.testing.assert_array_equal(pixels(batch)[place, time, view], wanted)
                assert jitter.maker != list(Maker)[makers[time]]
                assert 0 <= jitter.share <= 0.8
                stepped.add((time, jitter))
    assert len({jitter.maker for _, jitter in stepped}) > 2
    assert {time for time, _ in stepped} == {0, 1}
    assert max(jitter.share for _, jitter in stepped) > 0.3
    assert not torch.equal(seen[0], seen[1])


def test_jitter_is_for_training_alone_and_as_often_as_told():
    standard = GreyStandard(makers={"ge": (1,), "philips": (2,)})
    settings = AugmentSettings(probability=0.5, maker_jitter=1.0)
    ge = np.array([list(Maker).index(Maker.GE)] * 2)
    drawn = [draw_jitter(settings, standard, seed, ge) for seed in range(400)]
    for time in range(2):
        of_time = [jitters[time] for jitters in drawn]
        assert 160 < sum(jitter is not None for jitter in of_time) < 240
        assert {jitter.maker for jitter in of_time if jitter} == {"philips"}
    assert any((one is None) != (other is None) for one, other in drawn), "a prior by itself"
    off = AugmentSettings(probability=1.0)
    assert draw_jitter(off, standard, 1, ge) == [None, None]
    alone = GreyStandard(makers={"ge": (1,)})
    assert draw_jitter(settings, alone, 1, ge) == [None, None]
