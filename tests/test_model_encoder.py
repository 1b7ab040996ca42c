"""Grey levels in; vectors, maps and fine maps out, whatever the timm model."""

import pytest
import timm
import torch
from torch.nn import functional

from mim.errors import InputError
from mim.model.encoder import FINE_STRIDE, ViewEncoder
from mim.model.settings import EncoderSettings, Norm, PatchSettings, Pool

SMALL = "lcnet_035"
GREY = torch.Generator().manual_seed(1)
IMAGES = torch.randint(0, 65536, (2, 1, 96, 64), generator=GREY).to(torch.uint16)


def encoder(name: str = SMALL, fine: bool = False, patches: int = 0, **settings) -> ViewEncoder:
    torch.manual_seed(0)
    close = PatchSettings(count=patches, size=32, encoder=SMALL)
    return ViewEncoder(EncoderSettings(name=name, **settings), close, fine)


def kept(model: ViewEncoder, images: torch.Tensor) -> int:
    """Bytes that the forward pass keeps for the backward one."""
    sizes = {}

    def keep(tensor):
        sizes[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(images).vectors.sum().backward()
    return sum(sizes.values())


@torch.no_grad()
def test_a_grey_image_is_seen_as_three_equal_colours():
    colours = timm.create_model("resnet10t", num_classes=0, global_pool="").eval()
    ours = encoder("resnet10t", pool=Pool.mean).eval()
    state = colours.state_dict()
    state["conv1.0.weight"] = state["conv1.0.weight"].sum(1, keepdim=True)
    ours.backbone.net.load_state_dict(state)
    grey = (IMAGES.float() / 65535).expand(-1, 3, -1, -1)
    mean, std = sum((0.485, 0.456, 0.406)) / 3, sum((0.229, 0.224, 0.225)) / 3
    expected = colours((grey - mean) / std)
    torch.testing.assert_close(ours(IMAGES).maps, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours(IMAGES).vectors, expected.mean((2, 3)), atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(("name", "reduce"), [(SMALL, 1), (SMALL, 2), ("convnext_atto", 2)])
def test_fine_maps_have_a_cell_for_every_eight_pixels(name, reduce):
    ours = encoder(name, fine=True, reduce=reduce).eval()
    fine = ours(IMAGES).fine
    assert fine.shape[1] == ours.fine_channels
    assert fine.shape[2] * FINE_STRIDE >= 96
    assert fine.shape[3] * FINE_STRIDE >= 64


@torch.no_grad()
def test_the_finer_stage_is_the_one_timm_gives_by_itself_and_the_maps_stay_the_same():
    ours = encoder(fine=True).eval()
    stages = timm.create_model(SMALL, in_chans=1, features_only=True, out_indices=(2,)).eval()
    state = ours.backbone.net.state_dict()
    stages.load_state_dict({key: state[key] for key in stages.state_dict()})
    image = torch.rand(1, 1, 96, 64)
    maps, finer = ours.backbone(image)
    torch.testing.assert_close(finer, stages(image)[0])
    torch.testing.assert_close(maps, ours.backbone.net(image))


@torch.no_grad()
def test_a_reduced_image_is_the_image_averaged():
    coarse = IMAGES.float().round().to(torch.uint16)
    doubled = coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(
        encoder(reduce=2).eval()(doubled).maps, encoder().eval()(coarse).maps, atol=1e-4, rtol=1e-4
    )


@torch.no_grad()
def test_white_does_not_overflow_half_precision():
    white = torch.full_like(IMAGES, 65535)
    exact = encoder().eval()(white).vectors
    half = encoder().eval().half()(white).vectors
    assert half.dtype is torch.float16
    torch.testing.assert_close(half.float(), exact, atol=0.02, rtol=0.02)


def test_a_frozen_encoder_learns_nothing_and_the_rest_does():
    ours = encoder("resnet10t", frozen=True, pool=Pool.gem).train()
    before = {key: value.clone() for key, value in ours.backbone.state_dict().items()}
    seen = ours(IMAGES)
    seen.vectors.sum().backward()
    assert not seen.maps.requires_grad
    assert ours.pool.power.grad.abs() > 0
    assert ours.layer_groups() == []
    for key, value in ours.backbone.state_dict().items():
        torch.testing.assert_close(value, before[key], msg=key)


def test_checkpointing_keeps_less_and_learns_the_same():
    plain, spared = encoder("resnet10t"), encoder("resnet10t", checkpointing=True)
    assert kept(spared, IMAGES) < 0.7 * kept(plain, IMAGES)
    for one, other in zip(plain.parameters(), spared.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@torch.no_grad()
def test_channels_last_changes_the_order_in_memory_and_nothing_else():
    ours = encoder("resnet10t", channels_last=True).eval()
    maps = ours(IMAGES).maps
    assert maps.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(maps, encoder("resnet10t").eval()(IMAGES).maps)


@pytest.mark.parametrize(("name", "blocks"), [(SMALL, 13), ("convnext_atto", 12), ("resnet10t", 4)])
def test_layer_groups_hold_every_parameter_once_from_the_image_on(name, blocks):
    ours = encoder(name)
    groups = ours.layer_groups()
    together = [id(parameter) for group in groups for parameter in group]
    assert sorted(together) == sorted(id(parameter) for parameter in ours.backbone.parameters())
    first = next(ours.backbone.parameters())
    assert any(parameter is first for parameter in groups[0])
    assert len(groups) >= blocks


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "no_such_model"}, r"name: timm has no model 'no_such_model'"),
        ({"name": "vit_tiny_patch16_224"}, r"name: 'vit_tiny_patch16_224' cannot be made"),
        ({"name": "efficientvim_m1"}, r"name: 'efficientvim_m1' gives no feature maps"),
        ({"name": "convnext_atto", "reduce": 4}, r"no stage with a cell for every 2 pixels"),
        ({"reduce": 0}, r"model\.encoder\.reduce=0: must be 1 or more"),
        ({"weights": "missing.pt"}, r"model\.encoder\.weights: no such file"),
        ({"weights": "a.pt", "pretrained": True}, r"has both weights and pretrained"),
        ({"pretrained": True}, r"pretrained: timm has no weights of 'lcnet_035'"),
        ({"name": "dla46_c", "checkpointing": True}, r"checkpointing: timm does not offer it"),
    ],
)
def test_what_cannot_work_is_named(settings, words):
    with pytest.raises(InputError, match=words):
        encoder(fine=True, **settings)


def test_without_a_network_the_remedy_is_a_file(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        InputError, match=r"did not come .* give the file in model\.encoder\.weights"
    ):
        encoder("resnet10t", pretrained=True)


def test_without_a_compiler_the_run_ends_before_it_begins(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(InputError, match=r"model\.encoder\.compile: this machine has no C\+\+"):
        encoder(compile=True)


@pytest.mark.slow
@torch.no_grad()
def test_a_compiled_encoder_has_the_same_weights_and_gives_the_same():
    compiled, plain = encoder(compile=True).eval(), encoder().eval()
    assert list(compiled.state_dict()) == list(plain.state_dict())
    for count in (1, 2):
        torch.testing.assert_close(
            compiled(IMAGES[:count]).vectors, plain(IMAGES[:count]).vectors, atol=1e-4, rtol=1e-4
        )


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "swinv2_cr_tiny_224"])
def test_window_transformers_take_any_size_and_stand_channels_first(name):
    ours = encoder(name, fine=True).eval()
    images = functional.interpolate(IMAGES.float(), size=(160, 96)).to(torch.uint16)
    seen = ours(images)
    assert seen.maps.shape == (2, 768, 5, 3)
    assert seen.fine.shape == (2, ours.fine_channels, 20, 12)


class Tuple(torch.nn.Module):
    """The exporter takes no None."""

    def __init__(self, ours: ViewEncoder) -> None:
        super().__init__()
        self.ours = ours

    def forward(self, images):
        return tuple(part for part in self.ours(images) if part is not None)


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "norm", "pool", "patches"),
    [
        (SMALL, Norm.keep, Pool.mean_max, 2),
        ("resnet10t", Norm.group, Pool.gem, 2),
        ("mobilenetv3_small_050", Norm.frozen, Pool.max, 0),
        ("convnext_atto", Norm.keep, Pool.attention, 3),
        ("tf_efficientnet_lite0", Norm.group, Pool.mean, 0),
        ("regnety_002", Norm.frozen, Pool.attention, 2),
        ("swin_tiny_patch4_window7_224", Norm.keep, Pool.mean_max, 0),
    ],
)
def test_onnx_runtime_says_what_pytorch_says(name, norm, pool, patches):
    runtime = pytest.importorskip("onnxruntime")
    ours = encoder(name, fine=True, patches=patches, norm=norm, pool=pool).eval()
    images = torch.randint(0, 65536, (3, 1, 128, 64), generator=GREY).to(torch.uint16)
    images[:, :, :40] = 0
    program = torch.onnx.export(
        Tuple(ours),
        (images,),
        dynamo=True,
        opset_version=20,
        external_data=False,
        dynamic_shapes=({0: "image"},),
        verbose=False,
    )
    session = runtime.InferenceSession(program.model_proto.SerializeToString())
    for count in (1, 2, 5):
        some = images[torch.arange(count) % 3].flip(0, 3)
        said = session.run(None, {session.get_inputs()[0].name: some.numpy()})
        for got, expected in zip(said, Tuple(ours)(some), strict=True):
            torch.testing.assert_close(torch.from_numpy(got), expected, atol=1e-4, rtol=1e-4)
