"""What the model may see, and what it must give whatever is missing."""

import pytest
import torch
from safetensors.torch import save_file

from mim.errors import InputError
from mim.model.encoder import ViewEncoder
from mim.model.exam import ExamModel, ExamScorer, Logits
from mim.model.losses import cancer_loss
from mim.model.settings import ModelSettings

SETTINGS = ModelSettings(encoder="lcnet_035", width=16, layers=2, heads=2)


@pytest.fixture(scope="module")
def model() -> ExamModel:
    torch.manual_seed(0)
    return ExamModel(SETTINGS).eval()


def batch(exams: int = 3, times: int = 2):
    generator = torch.Generator().manual_seed(1)
    shape = (exams, times, 4, 1, 64, 32)
    images = torch.randint(0, 65536, shape, generator=generator).to(torch.uint16)
    present = torch.ones(exams, times, 4, dtype=torch.bool)
    months = torch.tensor([0.0, 24.0, 48.0][:times]).expand(exams, -1).clone()
    return images, present, months


@torch.no_grad()
@pytest.mark.parametrize("view", range(4))
def test_a_single_view_gives_finite_numbers(model, view):
    images, present, months = batch()
    present[0] = False
    present[0, 0, view] = True
    assert all(part.isfinite().all() for part in model(images, present, months))


@torch.no_grad()
def test_an_exam_without_any_view_does_not_spoil_the_others(model):
    images, present, months = batch()
    alone = model(images[1:], present[1:], months[1:])
    present[0] = False
    together = model(images, present, months)
    assert together.breast.isfinite().all()
    torch.testing.assert_close(together.breast[1:], alone.breast)


@torch.no_grad()
def test_absent_images_and_their_months_weigh_nothing(model):
    images, present, months = batch()
    present[:, 1] = False
    present[0, 0, 2] = False
    before = model(images, present, months).breast
    images[:, 1] = 12345
    images[0, 0, 2] = 54321
    months[:, 1] = 7.0
    torch.testing.assert_close(model(images, present, months).breast, before)
    without = model(images[:, :1], present[:, :1], months[:, :1]).breast
    torch.testing.assert_close(without, before)


@torch.no_grad()
def test_present_priors_and_their_months_weigh_something(model):
    images, present, months = batch()
    before = model(images, present, months).breast
    months[:, 1] = 120.0
    later = model(images, present, months).breast
    assert not torch.allclose(later, before)
    present[:, 1] = False
    assert not torch.allclose(model(images, present, months).breast, later)


@torch.no_grad()
def test_exams_do_not_see_each_other(model):
    images, present, months = batch()
    order = torch.tensor([2, 0, 1])
    ours = model(images, present, months).breast[order]
    theirs = model(images[order], present[order], months[order]).breast
    torch.testing.assert_close(ours, theirs)


@torch.no_grad()
def test_scores_lie_between_0_and_1_and_the_exam_has_the_higher(model):
    images, present, months = batch()
    present[0, 0, :2] = False
    breasts, exams = ExamScorer(model)(images, present, months)
    assert ((breasts >= 0) & (breasts <= 1)).all()
    assert breasts[0, 0] == 0
    torch.testing.assert_close(exams, breasts.max(1).values)


def test_unknown_labels_and_absent_views_have_no_gradient():
    breast = torch.zeros(2, 2, requires_grad=True)
    view = torch.zeros(2, 2, 4, requires_grad=True)
    cancer = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    known = torch.tensor([[True, True], [True, False]])
    present = torch.ones(2, 2, 4, dtype=torch.bool)
    present[0, 0, 1] = False
    cancer_loss(Logits(breast, view), cancer, known, present, 0.5).backward()
    assert breast.grad is not None
    assert view.grad is not None
    assert (breast.grad != 0).tolist() == [[True, True], [True, False]]
    assert (view.grad[:, 0] != 0).tolist() == [
        [True, False, True, True],
        [True, True, False, False],
    ]
    assert not view.grad[:, 1].any(), "a prior has no label"


def test_the_loss_is_the_mean_of_the_known():
    breast = torch.tensor([[2.0, -1.0]])
    nothing = torch.zeros(1, 1, 4, dtype=torch.bool)
    loss = cancer_loss(
        Logits(breast, torch.zeros(1, 1, 4)),
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([[True, True]]),
        nothing,
        0.5,
    )
    by_hand = (
        torch.log1p(torch.exp(torch.tensor(-2.0))) + torch.log1p(torch.exp(torch.tensor(-1.0)))
    ) / 2
    torch.testing.assert_close(loss, by_hand)


@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
def test_weights_of_three_colours_come_from_a_file(tmp_path, ending):
    timm = pytest.importorskip("timm")
    torch.manual_seed(4)
    colours = timm.create_model("lcnet_035", num_classes=0, global_pool="")
    path = tmp_path / f"weights{ending}"
    if ending == ".pt":
        torch.save(colours.state_dict(), path)
    else:
        save_file(colours.state_dict(), path)
    grey = ViewEncoder("lcnet_035", str(path)).backbone.eval()
    one = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(grey(one), colours.eval()(one.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize(
    ("encoder", "weights", "words"),
    [
        ("no_such_model", None, r"model\.encoder: timm has no model 'no_such_model'"),
        ("lcnet_035", "missing.pt", r"model\.weights: no such file"),
        ("vit_tiny_patch16_224", None, r"model\.encoder: 'vit_tiny_patch16_224'"),
    ],
)
def test_what_cannot_work_is_named(encoder, weights, words):
    with pytest.raises(InputError, match=words):
        ViewEncoder(encoder, weights)


def test_weights_of_another_encoder_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"conv.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(InputError, match=r"lacks or misfits .* is it of the encoder"):
        ViewEncoder("lcnet_035", str(path))
