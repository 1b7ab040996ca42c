"""Weights from a file into an encoder, and what of them fitted."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mim.errors import InputError

WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Keys under which a checkpoint may hold its weights; averaged ones first."""

COUNTER = "num_batches_tracked"
"""Batches a batch normalisation has seen. Nothing reads it, and old files lack it."""

COLOURS = 3
NAMED = 3


def load_weights(net: nn.Module, path: Path) -> str:
    """Load what fits, and say in one line what did and what did not.

    Names fit beneath whatever prefix makes most of them fit (``module.``, ``backbone.``, a run's
    ``model.encoder.backbone.net.``). Where they do not, but the file's tensors are those of the
    model in order, shape and last part of the name, they are taken in order. First convolutions of
    three colours are summed to one channel, which is the same for an image without colour.

    Raises:
        InputError: no such file, nothing that can be read safely, or nothing that fits.
    """
    found = read_weights(path)
    wanted = {k: v for k, v in net.state_dict().items() if not k.endswith(COUNTER)}
    prefix = _best_prefix(found, wanted)
    named = {key: prefix + key for key in wanted if prefix + key in found}
    taken = _fitting(found, wanted, named)
    ordered = dict(zip(wanted, found, strict=False))
    in_order = len(taken) < len(wanted) and _same_order(found, wanted, ordered)
    if in_order:
        named, taken = ordered, _fitting(found, wanted, ordered)
    if not taken:
        raise InputError(
            f"model.encoder.weights: nothing in {path} fits (first of {len(found)} tensors: "
            f"'{next(iter(found))}', wanted: '{next(iter(wanted))}'); "
            "is it of the encoder in model.encoder.name?"
        )
    net.load_state_dict(taken, strict=False)
    summed = any(taken[key].shape != found[named[key]].shape for key in taken)
    return "".join(
        [
            f"{len(taken)} of {len(wanted)} tensors from {path.name}",
            ", taken in order since their names do not fit" if in_order else "",
            ", three colours summed to one" if summed else "",
            _listed("missing", wanted.keys() - named.keys()),
            _listed("of another shape", named.keys() - taken.keys()),
            _listed("not used", found.keys() - set(named.values())),
        ]
    )


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, a state_dict, or a checkpoint that wraps one.

    Raises:
        InputError: no such file, or no tensors that can be read without running code.
    """
    if not path.is_file():
        raise InputError(f"model.encoder.weights: no such file: {path}")
    try:
        if path.suffix == ".safetensors":
            held: Any = load_file(path)
        else:
            held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is no pickle can raise anything
        raise InputError(
            f"model.encoder.weights: {path} is neither safetensors nor a file of plain tensors; "
            "save the state_dict of the model alone"
        ) from error
    inner = (held[key] for key in WRAPPERS if isinstance(held, Mapping) and key in held)
    state = next((part for part in inner if isinstance(part, Mapping)), held)
    tensors = {
        str(key): value
        for key, value in (state.items() if isinstance(state, Mapping) else ())
        if isinstance(value, Tensor) and not str(key).endswith(COUNTER)
    }
    if not tensors:
        raise InputError(f"model.encoder.weights: {path} holds no named tensors")
    if not all(value.isfinite().all() for value in tensors.values()):
        raise InputError(f"model.encoder.weights: {path} holds weights that are no numbers")
    return tensors


def _as_wanted(value: Tensor, wanted: Tensor) -> Tensor | None:
    """The tensor, its colours summed to one channel where they must be; None if it does not fit."""
    if value.shape == wanted.shape:
        return value
    if value.ndim == wanted.ndim == 4 and (value.shape[1], wanted.shape[1]) == (COLOURS, 1):
        return _as_wanted(value.sum(dim=1, keepdim=True), wanted)
    return None


def _fitting(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], named: Mapping[str, str]
) -> dict[str, Tensor]:
    """By the model's names, the tensors that fit; ``named`` gives what each is called in the file."""
    fitted = {key: _as_wanted(found[there], wanted[key]) for key, there in named.items()}
    return {key: value for key, value in fitted.items() if value is not None}


def _best_prefix(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """The prefix of the file's names under which most tensors fit; of equals the shortest."""
    prefixes = {key[: at + 1] for key in found for at, letter in enumerate(key) if letter == "."}

    def fit(prefix: str) -> int:
        named = {key: prefix + key for key in wanted if prefix + key in found}
        return len(_fitting(found, wanted, named))

    return max(["", *sorted(prefixes, key=lambda prefix: (len(prefix), prefix))], key=fit)


def _same_order(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], ordered: Mapping[str, str]
) -> bool:
    """Whether the file begins with the model's tensors. Within a normalisation all shapes are the
    same, so the last part of the name must be too; at most a classifier may follow."""
    return (
        len(wanted) <= len(found) <= len(wanted) + 2
        and all(k.rpartition(".")[2] == v.rpartition(".")[2] for k, v in ordered.items())
        and len(_fitting(found, wanted, ordered)) == len(wanted)
    )


def _listed(what: str, names: Iterable[str]) -> str:
    first = sorted(names)
    if not first:
        return ""
    more = f" and {len(first) - NAMED} more" if len(first) > NAMED else ""
    return f"; {what}: {', '.join(first[:NAMED])}{more}"
