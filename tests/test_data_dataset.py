"""Batches say what is there: slots, priors, months, labels and masks."""

import shutil

import numpy as np
import polars as pl
import pytest
import torch

from mim.data.cache import Cache
from mim.data.datamodule import ExamData
from mim.data.dataset import ExamDataset, Exams
from mim.data.sampler import Draw
from mim.data.settings import DataSettings
from mim.errors import InputError
from mim.vocab import VIEW_SLOTS, Split


def dataset(cohort, cache, times=2):
    opened = Cache(cache)
    everyone = Exams(cohort, opened)
    return ExamDataset(list(everyone), everyone, opened, times, augment=None), opened


def test_images_stand_in_their_slots_and_times(cohort, cache):
    exams, opened = dataset(cohort, cache)
    table = pl.read_parquet(cohort / "images.parquet")
    images = {
        (row["exam"], row["laterality"], row["view"]): row["image"]
        for row in table.rows(named=True)
    }
    rows = {row["exam"]: row for row in pl.read_parquet(cohort / "exams.parquet").rows(named=True)}
    batch = exams[[Draw(place, 0) for place in range(len(exams))]]
    seen_priors = 0
    for place, exam in enumerate(exams.exams):
        row = rows[exam.exam]
        timeline = [exam.exam, *row["priors"]][:2]
        for time, name in enumerate(timeline):
            for slot, (side, view) in enumerate(VIEW_SLOTS):
                image = images.get((name, side, view))
                assert bool(batch.present[place, time, slot]) is (image is not None)
                wanted = opened.read(image) if image else np.zeros((64, 32), np.uint16)
                np.testing.assert_array_equal(batch.images[place, time, slot, 0].numpy(), wanted)
        if row["priors"]:
            seen_priors += 1
            assert batch.months[place, 1] == np.float32(row["months_before"][0])
            assert batch.months[place, 1] > 12
        else:
            assert not batch.present[place, 1].any()
        assert batch.months[place, 0] == 0
    assert seen_priors > 2


def test_labels_are_the_cohorts_and_unknown_is_masked(cohort, cache, tmp_path):
    exams, _ = dataset(cohort, cache)
    batch = exams[[Draw(place, 0) for place in range(len(exams))]]
    assert batch.cancer.any()
    for place, exam in enumerate(exams.exams):
        for breast in range(2):
            seen = bool(batch.present[place, 0, 2 * breast : 2 * breast + 2].any())
            known = exam.cancer[breast] is not None and seen
            assert bool(batch.known[place, breast]) is known
            assert bool(batch.cancer[place, breast]) is bool(exam.cancer[breast])


def test_an_exam_whose_images_are_all_lost_is_counted_and_left_out(cohort, cache):
    exams = Exams(cohort, Cache(cache))
    everyone = list(exams)
    assert exams.without_image == 0

    class Without(Cache):
        def __contains__(self, image: str) -> bool:
            return image not in everyone[0].slots and super().__contains__(image)

    fewer = Exams(cohort, Without(cache))
    assert fewer.without_image == 1
    assert fewer.get(everyone[0].exam) is None


def test_batches_have_the_documented_types(cohort, cache):
    exams, _ = dataset(cohort, cache, times=3)
    batch = exams[[Draw(0, 0), Draw(1, 0)]]
    assert batch.images.shape == (2, 3, 4, 1, 64, 32)
    assert batch.images.dtype == torch.uint16
    assert (batch.present.dtype, batch.months.dtype) == (torch.bool, torch.float32)


def test_priors_are_hidden_as_often_as_told_and_by_the_draws_seed(cohort, cache):
    _, opened = dataset(cohort, cache)
    everyone = Exams(cohort, opened)
    with_prior = [exam for exam in everyone if exam.priors][:1]
    exams = ExamDataset(with_prior, everyone, opened, 2, augment=None, drop_priors=0.5)
    draws = [Draw(0, seed) for seed in range(200)]
    shown = exams[draws].present[:, 1].any(-1)
    assert 70 < int(shown.sum()) < 130
    assert torch.equal(shown, exams[draws].present[:, 1].any(-1))
    assert exams[draws].present[:, 0].any(-1).all(), "the exam itself is never hidden"


@pytest.mark.parametrize(("cancer", "kind"), [(False, "with"), (True, "without")])
def test_a_cohort_that_teaches_nothing_is_refused(cohort, cache, tmp_path, cancer, kind):
    shutil.copytree(cohort, tmp_path / "cohort")
    exams = pl.read_parquet(cohort / "exams.parquet")
    one_kind = exams.with_columns(left_cancer=pl.lit(cancer), right_cancer=pl.lit(cancer))
    one_kind.write_parquet(tmp_path / "cohort" / "exams.parquet")
    with pytest.raises(InputError, match=f"no training breast {kind} cancer"):
        ExamData(tmp_path / "cohort", cache, DataSettings(), seed=1)


def test_unused_exams_are_seen_as_priors_only(cohort, cache, tmp_path):
    """Every exam that is another's prior is made unused, as a held-out period does."""
    shutil.copytree(cohort, tmp_path / "cohort")
    exams = pl.read_parquet(cohort / "exams.parquet")
    priors = exams["priors"].explode().drop_nulls().to_list()
    unused = pl.when(pl.col("exam").is_in(priors)).then(pl.lit("unused")).otherwise("split")
    exams.with_columns(split=unused).write_parquet(tmp_path / "cohort" / "exams.parquet")
    data = ExamData(tmp_path / "cohort", cache, DataSettings(), seed=1)
    divided = [data.dataset(split) for split in (Split.TRAIN, Split.VALIDATION, Split.TEST)]
    seen = {exam.exam for part in divided for exam in part.exams}
    trained = {exam.exam for exam in data.training_exams}
    assert not set(priors) & (seen | trained)
    assert seen | set(priors) == set(exams["exam"])
    shown = [part[[Draw(n, 0) for n in range(len(part))]].present[:, 1].any() for part in divided]
    assert any(shown)
    with pytest.raises(AssertionError, match="priors only"):
        data.dataset(Split.UNUSED)
