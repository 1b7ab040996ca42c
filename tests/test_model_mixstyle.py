"""Styles are mixed as the paper says, in training alone."""

import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st

from mim.errors import InputError
from mim.model.backbone import Backbone
from mim.model.mixstyle import MixStyle, mix_first_stages, mix_styles
from mim.model.settings import EncoderSettings, Norm

IMAGES = torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(2))


def backbone(mixstyle: float, name: str = "lcnet_035", **changes) -> Backbone:
    torch.manual_seed(0)
    return Backbone(EncoderSettings(name, mixstyle=mixstyle, norm=Norm.group, **changes))


def passed(net: Backbone, seed: int = 5) -> torch.Tensor:
    torch.manual_seed(seed)
    return net(IMAGES)[0]


@given(st.integers(0, 2**31), st.integers(1, 5), st.booleans())
def test_means_and_deviations_are_between_those_of_two_images(seed, images, channels_last):
    """By NumPy, and the pattern within a channel stays what it was."""
    generator = torch.Generator().manual_seed(seed)
    scale = 1 + 9 * torch.rand(images, 3, 1, 1, generator=generator)
    maps = scale * torch.randn(images, 3, 6, 5, generator=generator) + 3 * scale
    partners = torch.randperm(images, generator=generator)
    own = torch.rand(images, generator=generator)
    places = (1, 2) if channels_last else (2, 3)
    given_maps = maps.permute(0, 2, 3, 1) if channels_last else maps
    mixed = mix_styles(given_maps, partners, own, places)
    mixed = mixed.permute(0, 3, 1, 2) if channels_last else mixed
    before, after = maps.double().numpy(), mixed.double().numpy()
    share = own.double().numpy()[:, None]
    for figure in ("mean", "std"):
        of = getattr(before, figure)((2, 3))
        expected = share * of + (1 - share) * of[partners.numpy()]
        assert getattr(after, figure)((2, 3)) == pytest.approx(expected, rel=1e-3, abs=1e-4)

    def standard(values):
        return (values - values.mean((2, 3), keepdims=True)) / values.std((2, 3), keepdims=True)

    assert standard(after) == pytest.approx(standard(before), abs=1e-3)


def test_styles_are_constants_in_the_backward_pass():
    """Its gradient is the ratio of deviations, as if the own ones were given numbers."""
    maps = torch.randn(2, 3, 6, 5, requires_grad=True)
    own = torch.tensor([0.3, 0.9])
    mix_styles(maps, torch.tensor([1, 0]), own, (2, 3)).sum().backward()
    deviation = maps.detach().std((2, 3), correction=0)
    share = own[:, None]
    ratio = (share * deviation + (1 - share) * deviation[[1, 0]]) / deviation
    torch.testing.assert_close(
        maps.grad, ratio[..., None, None].expand_as(maps), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("name", ["lcnet_035", "resnet10t", "convnext_atto"])
def test_training_mixes_and_evaluation_does_not(name, checkpointing):
    ours = backbone(1.0, name, checkpointing=checkpointing)
    plain = backbone(0.0, name, checkpointing=checkpointing)
    plain.load_state_dict(ours.state_dict())
    assert torch.equal(passed(ours.eval()), passed(plain.eval()))
    mixed = passed(ours.train())
    assert not torch.allclose(mixed, passed(plain.train()), rtol=1e-3)
    assert torch.equal(mixed, passed(ours)), "torch's seed decides"
    assert not torch.equal(mixed, passed(ours, seed=6))


def test_checkpointing_draws_the_same_again():
    """Gradients with and without are those of one loss."""
    gradients = []
    for checkpointing in (False, True):
        net = backbone(1.0, checkpointing=checkpointing).train()
        passed(net).square().sum().backward()
        gradients.append({name: p.grad for name, p in net.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


def test_channels_last_in_memory_changes_nothing():
    ours, other = backbone(1.0), backbone(1.0, channels_last=True)
    torch.testing.assert_close(passed(ours), passed(other), rtol=1e-4, atol=1e-5)


def test_the_share_is_that_of_batches():
    torch.manual_seed(1)
    stage, maps = torch.nn.Identity(), torch.randn(6, 2, 3, 3)
    hook = MixStyle(0.3, channels_last=False)
    mixed = sum(hook(stage, (), maps) is not maps for _ in range(2000))
    assert 0.27 < mixed / 2000 < 0.33


def test_a_model_without_stages_is_refused():
    """It is refused, and so is one whose named stages give no maps."""
    said = r"model\.encoder\.name: 'x' does not say which are its stages"
    for named in ([], [{"module": "head", "num_chs": 1}, {"module": "conv_stem", "num_chs": 8}]):
        net = timm.create_model("lcnet_035", in_chans=1, num_classes=0, global_pool="")
        net.feature_info = named
        with pytest.raises(InputError, match=said):
            mix_first_stages(net, 0.5, IMAGES[:1], "model.encoder.name: 'x'")


def test_channels_are_found_where_they_stand_last():
    net = timm.create_model("swin_tiny_patch4_window7_224", in_chans=1, strict_img_size=False)
    mix_first_stages(net, 0.5, torch.zeros(1, 1, 128, 64), "x")
    hooks = [hook for layer in net.layers for hook in layer._forward_hooks.values()]
    assert [hook._places for hook in hooks] == [(1, 2), (1, 2)]
