"""Frozen statistics stay as they are; group normalisation does what its definition says."""

import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.layers.norm_act import BatchNormAct2d
from torch import nn

from mim.model.backbone import Backbone
from mim.model.norms import GroupNormAct, batch_norms, groups_of
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
