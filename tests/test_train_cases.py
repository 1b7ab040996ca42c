"""Pictures of single exams of a run: which there are, how large, and what they show."""

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
import torch

from mim.data.datamodule import ExamData
from mim.data.dataset import ExamDataset
from mim.data.sampler import Draw
from mim.data.settings import DataSettings
from mim.errors import InputError
from mim.train import cases
from mim.train.card import RunCard, write_card
from mim.train.cases import GAP, HEIGHT, MOST_BYTES, case_pictures, side_by_side
from mim.train.run import data_of, load_task
from mim.train.saliency import TARGETS, drawn_views
from mim.vocab import Split, Task


@pytest.fixture(scope="module")
def data(run) -> ExamData:
    return data_of(run, RunCard.read(run))


def fields(jpeg: bytes) -> list[np.ndarray]:
    """The four views of a picture."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    width = (picture.shape[1] - 3 * GAP) // 4
    assert picture.shape == (HEIGHT, 4 * width + 3 * GAP, 3)
    return [picture[:, at : at + width] for at in range(0, picture.shape[1], width + GAP)]


def test_every_exam_that_is_asked_for_has_a_picture_of_its_views(run, data):
    test, train = data.dataset(Split.TEST), data.dataset(Split.TRAIN)
    names = data.everyone.table["exam"]
    asked = [names[int(row)].as_py() for row in (test.rows[1], train.rows[0], test.rows[0])]
    found = case_pictures(run, [*asked, "nobody's"])
    assert [*found] == asked
    task, _ = load_task(run)
    for exam, dataset, place in zip(asked, (test, train, test), (1, 0, 0), strict=True):
        assert len(found[exam]) <= MOST_BYTES
        batch = dataset[[Draw(place, 0)]]
        [views] = drawn_views(task.model, batch, TARGETS[Task.CANCER])
        for view, field in zip(views, fields(found[exam]), strict=True):
            assert view is not None
            wanted = cv2.resize(view, field.shape[1::-1], interpolation=cv2.INTER_AREA)
            assert np.abs(wanted.astype(float) - field).mean() < 4, "of 255: JPEG loses a little"
    assert len({*found.values()}) == 3


def test_exams_are_read_one_by_one_and_an_absent_view_is_a_dark_field(run, data, monkeypatch):
    read = ExamDataset.__getitem__
    sizes = []

    def without_right_mlo(self, draws):
        sizes.append(len(draws))
        batch = read(self, draws)
        batch.present[:, :, 3] = False
        return batch

    monkeypatch.setattr(ExamDataset, "__getitem__", without_right_mlo)
    names = data.everyone.table["exam"].take(data.dataset(Split.TEST).rows[:2]).to_pylist()
    found = case_pictures(run, names)
    assert sizes == [1, 1]
    for jpeg in found.values():
        *there, absent = fields(jpeg)
        assert np.abs(absent.astype(int) - cases.NO_VIEW).mean() < 2
        assert all(view.std() > 5 for view in there)


def test_an_exam_that_the_run_has_left_out_has_no_picture_least_of_all_anothers(
    run, data, monkeypatch
):
    kept_out = DataSettings(leave_out_maker="ge", workers=0)
    monkeypatch.setattr(cases, "data_of", lambda run, card: data_of(run, card, kept_out))
    table = pl.from_arrow(data.everyone.table.select(["exam", "woman", "maker", "split"]))
    hers = pl.col("woman").is_in(table.filter(maker="ge")["woman"].implode())
    train = table.filter(split="train")
    left_out, learnt = (train.filter(where)["exam"][:2].to_list() for where in (hers, ~hers))
    assert [*case_pictures(run, [*left_out, *learnt])] == learnt
    assert (len(left_out), len(learnt)) == (2, 2)


def test_a_picture_that_is_hard_to_pack_stays_small():
    noise = np.random.default_rng(1).integers(0, 256, (800, 400, 3)).astype(np.uint8)
    rough = side_by_side([noise, None, noise, noise])
    smooth = cv2.GaussianBlur(noise, (0, 0), 9)
    assert len(side_by_side([smooth] * 4)) < len(rough) <= MOST_BYTES


def test_the_model_is_explained_as_it_was_saved(run, data):
    """Twice the same picture, whatever torch draws between."""
    name = data.everyone.table["exam"][int(data.dataset(Split.TEST).rows[0])].as_py()
    first = case_pictures(run, [name])
    torch.manual_seed(12345)
    assert case_pictures(run, [name]) == first
    assert case_pictures(run, []) == {}


def test_a_run_that_has_not_learnt_cancer_is_refused(run, tmp_path: Path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    card = RunCard.read(copy)
    tasks = card.settings["tasks"] | {"cancer": card.settings["tasks"]["cancer"] | {"learn": False}}
    write_card(copy, replace(card, settings=card.settings | {"tasks": tasks}))
    checkpoint = copy / "checkpoints" / "best.ckpt"
    saved = torch.load(checkpoint, weights_only=True)
    saved["state_dict"] = {k: v for k, v in saved["state_dict"].items() if ".cancer." not in k}
    torch.save(saved, checkpoint)
    with pytest.raises(InputError, match="has not learnt cancer"):
        case_pictures(copy, ["a"])
