"""Frozen statistics stay as they are; group normalisation does what its definition says; statistics
taken from images are theirs."""

import numpy as np
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.layers.norm_act import BatchNormAct2d
from torch import nn

from mim.model.backbone import Backbone
from mim.model.norms import GroupNormAct, batch_norms, fit_statistics, groups_of
from mim.model.settings import EncoderSettings, Norm

IMAGES = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(2))


def backbone(norm: Norm, name: str = "lcnet_035") -> Backbone:
    torch.manual_seed(0)
    return Backbone(EncoderSettings(name, norm=norm))


@given(st.integers(1, 4096))
def test_groups_divide_the_channels(channels):
    groups = groups_of(channels)
    assert channels % groups == 0
    assert groups <= 32
    assert groups == 1 or channels // groups >= 4


@pytest.mark.parametrize(("channels", "groups"), [(8, 2), (16, 4), (24, 6), (64, 16), (512, 32)])
def test_common_widths(channels, groups):
    assert groups_of(channels) == groups


def test_group_normalisation_by_hand_with_factors_and_activation():
    old = BatchNormAct2d(8, act_layer=nn.ReLU, eps=1e-3)
    nn.init.uniform_(old.weight)
    nn.init.uniform_(old.bias)
    maps = torch.randn(3, 8, 5, 4)
    groups = maps.reshape(3, 2, -1)
    spread = (groups.var(2, keepdim=True, unbiased=False) + 1e-3).sqrt()
    normal = ((groups - groups.mean(2, keepdim=True)) / spread).reshape(maps.shape)
    expected = (normal * old.weight[:, None, None] + old.bias[:, None, None]).clamp(min=0)
    torch.testing.assert_close(GroupNormAct(old)(maps), expected)


@pytest.mark.parametrize("name", ["lcnet_035", "resnet10t"])
def test_group_leaves_no_batch_normalisation_and_the_names_as_they_were(name):
    ours = backbone(Norm.group, name)
    assert not batch_norms(ours)
    plain = dict(timm.create_model(name, in_chans=1, num_classes=0).named_parameters())
    assert dict(ours.net.named_parameters()).keys() == plain.keys()


@torch.no_grad()
def test_with_group_an_image_does_not_see_its_batch():
    ours = backbone(Norm.group).train()
    torch.testing.assert_close(ours(IMAGES)[0][:1], ours(IMAGES[:1])[0], atol=1e-5, rtol=1e-4)


def test_frozen_statistics_survive_training_and_a_checkpoint():
    ours = nn.ModuleDict({"encoder": backbone(Norm.frozen)})
    before = {key: value.clone() for key, value in ours.state_dict().items()}
    optimizer = torch.optim.AdamW(ours.parameters(), lr=0.01)
    for _ in range(2):
        ours.train()
        ours["encoder"](IMAGES)[0].square().sum().backward()
        optimizer.step()
    norms = {
        id(value)
        for norm in batch_norms(ours)
        for value in norm.state_dict(keep_vars=True).values()
    }
    for key, value in ours.state_dict(keep_vars=True).items():
        if id(value) in norms:
            assert torch.equal(value, before[key]), key
    assert not torch.equal(
        ours.state_dict()["encoder.net.conv_stem.weight"], before["encoder.net.conv_stem.weight"]
    )
    again = nn.ModuleDict({"encoder": backbone(Norm.frozen)})
    again.load_state_dict(ours.state_dict())
    torch.testing.assert_close(
        again.train()["encoder"](IMAGES)[0], ours.eval()["encoder"](IMAGES)[0]
    )


def test_a_setting_that_changes_nothing_is_said():
    assert backbone(Norm.group).report == []
    assert backbone(Norm.group, "convnext_atto").report == [
        "model.encoder.norm=group changes nothing: convnext_atto has no batch normalisation"
    ]


def small_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten())


def maps_of(net: nn.Sequential, images: torch.Tensor) -> np.ndarray:
    return net[0](images).detach().double().numpy().transpose(1, 0, 2, 3).reshape(6, -1)


def weights_of(net: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


MANY = torch.rand(21, 1, 12, 10, generator=torch.Generator().manual_seed(3)) + 5


@pytest.mark.parametrize("together", [1, 4, 21])
def test_statistics_are_those_of_all_images_however_they_come(together):
    net = small_net()
    before = weights_of(net)
    fit_statistics(net, MANY.split(together))
    maps = maps_of(net, MANY)
    np.testing.assert_allclose(net[1].running_mean, maps.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(net[1].running_var, maps.var(axis=1), rtol=1e-5)
    changed = {name for name, value in weights_of(net).items() if not value.equal(before[name])}
    assert changed == {"1.running_mean", "1.running_var"}
    assert not net.training


def test_a_share_of_the_old_statistics_stays():
    net = small_net()
    net[1].running_mean.fill_(2)
    net[1].running_var.fill_(9)
    fit_statistics(net, MANY.split(4), share=0.25)
    maps = maps_of(net, MANY)
    np.testing.assert_allclose(net[1].running_mean, 0.75 * 2 + 0.25 * maps.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(net[1].running_var, 0.75 * 9 + 0.25 * maps.var(axis=1), rtol=1e-6)


@pytest.mark.parametrize("name", ["lcnet_035", "resnet10t"])
def test_one_batch_of_all_images_is_what_torch_does_in_training(name):
    ours, theirs = backbone(Norm.frozen, name), backbone(Norm.keep, name)
    fit_statistics(ours, [IMAGES])
    cells = {}
    for norm in batch_norms(theirs):
        norm.momentum = 1.0
        norm.register_forward_pre_hook(
            lambda norm, seen: cells.update({norm: seen[0][:, 0].numel()})
        )
    with torch.no_grad():
        theirs.train()(IMAGES)
    for one, other in zip(batch_norms(ours), batch_norms(theirs), strict=True):
        torch.testing.assert_close(one.running_mean, other.running_mean, rtol=1e-3, atol=1e-4)
        population = other.running_var * (cells[other] - 1) / cells[other]
        torch.testing.assert_close(one.running_var, population, rtol=1e-3, atol=1e-4)


def test_a_planted_change_of_grey_is_undone():
    """A net that tells bright spots from none, trained with batch normalisation, and another maker."""
    torch.manual_seed(1)
    label = torch.arange(256) % 2
    images = torch.rand(256, 1, 12, 12)
    images[label == 1, 0, 4:7, 4:7] += 0.7
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, 1),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for step in range(40):
        taken = torch.arange(64) + step % 3 * 64
        loss = nn.functional.binary_cross_entropy_with_logits(
            net.train()(images[taken])[:, 0], label[taken].float()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    unseen, truth = images[192:], label[192:].bool().numpy()

    @torch.no_grad()
    def scores(seen: torch.Tensor) -> np.ndarray:
        return net.eval()(seen)[:, 0].double().numpy()

    ours = scores(unseen)
    other_maker = 0.4 * images + 1.5
    assert ((ours > 0) == truth).mean() > 0.95
    assert ((scores(other_maker[192:]) > 0) == truth).mean() < 0.6
    fit_statistics(net, other_maker[:192].split(64))
    back = scores(other_maker[192:])
    assert ((back > 0) == truth).mean() > 0.95
    assert np.corrcoef(back, ours)[0, 1] > 0.99
    # Fitted to the same images in their own grey, the scores are the same but for the variance's eps.
    fit_statistics(net, images[:192].split(64))
    np.testing.assert_allclose(scores(unseen), back, atol=0.02)
