"""Which weights are moved, how fast, and when."""

from math import cos, pi

import pytest
import torch

from mim.model.exam import ExamModel
from mim.model.settings import EncoderSettings, FusionSettings, ModelSettings, TaskSettings
from mim.train.optimizer import learning_rate_share, make_optimizer, parameter_groups
from mim.train.settings import Optimizer, Schedule, TrainSettings


def model(**encoder) -> ExamModel:
    settings = ModelSettings(
        encoder=EncoderSettings(name="lcnet_035", **encoder),
        fusion=FusionSettings(width=16, layers=1, heads=2),
    )
    return ExamModel(settings, TaskSettings())


def of_each(net: ExamModel, train: TrainSettings) -> dict[str, tuple[float, float]]:
    """Learning rate and weight decay of each parameter that is moved, by name."""
    names = {parameter: name for name, parameter in net.named_parameters()}
    groups = parameter_groups(net, train)
    moved = [(names[p], (g["lr"], g["weight_decay"])) for g in groups for p in g["params"]]
    assert len(moved) == len(dict(moved)), "each once"
    return dict(moved)


def test_the_learning_rate_rises_then_falls_by_half_a_cosine():
    share = learning_rate_share(Schedule.cosine, 100, 0.1)
    assert [share(0), share(4), share(9)] == pytest.approx([0.1, 0.5, 1.0])
    assert share(10) == pytest.approx(1.0)
    assert share(55) == pytest.approx(0.5 * (1 + cos(pi / 2)))
    assert share(100) == pytest.approx(0.0)


def test_a_constant_learning_rate_stays_after_its_warm_up():
    share = learning_rate_share(Schedule.constant, 100, 0.1)
    assert [share(0), share(10), share(99)] == pytest.approx([0.1, 1.0, 1.0])


def test_only_matrices_and_convolutions_decay():
    net = model()
    moved = of_each(net, TrainSettings(weight_decay=0.3))
    assert moved.keys() == dict(net.named_parameters()).keys()
    for name, (_, decay) in moved.items():
        shape = net.get_parameter(name).shape
        assert decay in (0.0, 0.3), name
        if len(shape) < 2:
            assert decay == 0, f"{name}: a bias or a norm"
        if len(shape) == 4 or name.endswith("queries_keys_values.weight"):
            assert decay == 0.3, f"{name}: a convolution or a matrix"
    embeddings = [name for name in moved if not name.endswith(("weight", "bias"))]
    assert embeddings
    assert all(moved[name][1] == 0 for name in embeddings)


def test_each_layer_group_of_the_encoder_learns_slower_than_the_one_behind_it():
    net = model()
    moved = of_each(net, TrainSettings(learning_rate=1.0, layer_decay=0.5))
    names = {parameter: name for name, parameter in net.named_parameters()}
    groups = net.encoder.layer_groups()
    assert len(groups) > 3
    for place, group in enumerate(groups):
        rates = {moved[names[parameter]][0] for parameter in group}
        assert rates == {0.5 ** (len(groups) - place)}
    behind = [rate for name, (rate, _) in moved.items() if not name.startswith("encoder.backbone")]
    assert set(behind) == {1.0}


def test_a_frozen_encoder_is_not_moved():
    moved = of_each(model(frozen=True), TrainSettings())
    assert moved
    assert not any(name.startswith("encoder.backbone") for name in moved)


def test_stochastic_gradient_descent_has_momentum_and_the_schedule():
    train = TrainSettings(optimizer=Optimizer.sgd, learning_rate=0.1, warmup_share=0.5)
    made = make_optimizer(model(), train, steps=4)
    optimizer = made["optimizer"]
    assert isinstance(optimizer, torch.optim.SGD)
    assert {group["momentum"] for group in optimizer.param_groups} == {0.9}
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.05])
