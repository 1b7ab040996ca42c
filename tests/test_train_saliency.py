"""Grad-CAM against differences of the score, and its picture."""

import cv2
import numpy as np
import pytest
import torch
from made_tasks import all_tasks
from torch.nn import functional

from mim.data.datamodule import ExamData
from mim.data.sampler import Draw
from mim.data.settings import DataSettings
from mim.model.exam import ExamModel, ExamScorer
from mim.model.settings import EncoderSettings, Fuse, FusionSettings, ModelSettings, TaskSettings
from mim.train.saliency import TARGETS, drawn_views, grad_cam, write_saliency
from mim.train.scores import score_tables
from mim.vocab import Criterion, Split, Task

TASKS = all_tasks()


@pytest.fixture(scope="module")
def exams(cohort, cache) -> ExamData:
    return ExamData(cohort, cache, DataSettings(batch_size=4, workers=0), TASKS, seed=1)


def make(
    tasks: TaskSettings = TASKS, frozen: bool = False, kind: Fuse = Fuse.transformer
) -> ExamModel:
    torch.manual_seed(5)
    settings = ModelSettings(
        encoder=EncoderSettings(name="lcnet_035", frozen=frozen),
        fusion=FusionSettings(kind=kind, width=16, layers=1, heads=2),
    )
    return ExamModel(settings, tasks).eval()


def slopes(net: ExamModel, images, present, months, step: float) -> tuple[torch.Tensor, ...]:
    """How much the score of one exam with one view rises with each channel as a whole, by
    differences: each exam of a batch has one channel changed. And the maps."""
    channels, seen = net.encoder.channels, []

    def first(_module, inputs):
        return inputs[0][:1]

    def add(_module, _inputs, found):
        seen.append(found[0][0])
        return found[0] + change[:, :, None, None], found[1]

    ways = []
    for sign in (1, -1):
        change = sign * step * torch.eye(channels).double()
        before = net.encoder.backbone.register_forward_pre_hook(first)
        after = net.encoder.backbone.register_forward_hook(add)
        with torch.no_grad():
            said = net(
                *(part.expand(channels, *part.shape[1:]) for part in (images, present, months))
            )
        before.remove()
        after.remove()
        ways.append(TARGETS[Task.CANCER](said, present[:, 0]).double())
    return (ways[0] - ways[1]) / (2 * step), seen[0].double()


@pytest.mark.parametrize("frozen", [False, True])
def test_channels_weigh_as_much_as_the_score_rises_with_them(frozen, exams):
    net = make(TaskSettings(), frozen).double()
    # An untrained net's maps are so faint that differences drown in the scores' last digits.
    net.encoder.backbone.register_forward_hook(lambda _m, _i, f: (f[0] / f[0].std(), f[1]))
    batch = exams.dataset(Split.VALIDATION)[[Draw(0, 0)]]
    only = torch.zeros_like(batch.present)
    only[0, 0, 1] = True
    batch = batch._replace(present=batch.present & only)
    slope, maps = slopes(net, batch.images, batch.present, batch.months, step=1e-2)
    rising = functional.relu((slope[:, None, None] * maps).sum(dim=0))[None, None]
    whole = functional.interpolate(rising, batch.images.shape[-2:], mode="bilinear")[0, 0]
    found = grad_cam(net, batch, TARGETS[Task.CANCER])
    assert found.shape == (1, 4, *batch.images.shape[-2:])
    assert torch.allclose(found[0, 1].double(), whole / whole.max(), atol=0.01)
    assert not found[0, [0, 2, 3]].any(), "views that are absent show nothing"


@pytest.mark.parametrize("kind", list(Fuse))
def test_an_absent_breast_is_not_explained(kind, exams):
    """Its log-odds are those of nothing seen, and may be the higher ones."""
    net = make(TaskSettings(), kind=kind)
    net.encoder.backbone.register_forward_hook(lambda _m, _i, f: (f[0] / f[0].std(), f[1]))
    batch = exams.dataset(Split.VALIDATION)[[Draw(0, 0)]]
    left = torch.zeros_like(batch.present)
    left[:, 0, :2] = batch.present[:, 0, :2]
    batch = batch._replace(present=left)
    found = grad_cam(net, batch, TARGETS[Task.CANCER])
    wanted = grad_cam(net, batch, lambda said, _: said.cancer.breast[:, 0])
    assert found[0, :2].any()
    assert torch.equal(found, wanted)


def test_the_model_is_left_as_it_was(exams):
    net = make().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    grad_cam(net, exams.dataset(Split.VALIDATION)[[Draw(0, 0)]], TARGETS[Task.RISK])
    assert net.training
    assert all(weight.grad is None and weight.requires_grad for weight in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("task", list(Task))
def test_a_picture_shows_the_exams_that_score_highest(task, exams, tmp_path):
    net = make()
    tables = score_tables(ExamScorer(net), exams, Split.VALIDATION, learnt={})
    write_saliency(net, exams, task, tables[task], tmp_path / "saliency.png")
    picture = cv2.imread(str(tmp_path / "saliency.png"))
    shown = min(6, len(exams.dataset(Split.VALIDATION)))
    assert picture.shape[0] == shown * 276
    colourful = (picture.max(axis=2) - picture.min(axis=2)) > 20
    assert colourful.mean() > 0.01
    write_saliency(net, exams, task, tables[task].slice(0, 0), tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_what_was_not_learnt_is_not_explained(exams, tmp_path):
    net = make()
    silent = {"breast_density": False, "criteria": dict.fromkeys(Criterion, False)}
    tables = score_tables(ExamScorer(net), exams, Split.VALIDATION, silent)
    for task in (Task.DENSITY, Task.QUALITY):
        write_saliency(net, exams, task, tables[task], tmp_path / "saliency.png")
        assert not (tmp_path / "saliency.png").exists()


def test_each_view_is_drawn_with_its_own_map(exams):
    net = make()
    net.encoder.backbone.register_forward_hook(lambda _m, _i, f: (f[0] / f[0].std(), f[1]))
    batch = exams.dataset(Split.VALIDATION)[[Draw(0, 0), Draw(1, 0)]]
    batch.present[1, 0, 2] = False
    maps = grad_cam(net, batch, TARGETS[Task.CANCER]).numpy()
    shown = drawn_views(net, batch, TARGETS[Task.CANCER])
    assert shown[1][2] is None
    for exam, views in enumerate(shown):
        for view, tile in enumerate(views):
            if tile is not None:
                grey = (batch.images[exam, 0, view, 0].numpy() >> 8).astype(int)
                changed = np.abs(tile.astype(int) - grey[..., None]).max(axis=2)
                heat = maps[exam, view]
                assert not changed[heat < 0.002].any(), "nothing is drawn where nothing is seen"
                assert (changed[heat > 0.2] > 0).sum() >= 0.9 * (heat > 0.2).sum()
