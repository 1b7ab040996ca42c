"""The weights that a run starts from: another run's, a bundle's, or a file's, as far as they fit."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor

from mim.errors import InputError
from mim.model.exam import ExamModel
from mim.schemas.table import read_json
from mim.train.checkpoints import BEST

ENCODER = "encoder"
"""Key of a checkpoint, or of a safetensors file's metadata, that names the encoder."""

IN_TASK = "model."
"""How the names of the model's weights begin in a checkpoint; a run's own holds others beside them."""


class Weights(NamedTuple):
    """Weights by the names of ``ExamModel``, and the timm name of their encoder, where it is known."""

    tensors: dict[str, Tensor]
    encoder: str | None


@dataclass(frozen=True)
class Start:
    """What became of the weights that a run starts from; counts are of tensors.

    ``taken``, ``new`` (this model's, not among them), ``reshaped`` (of another shape, so new) and
    ``unused`` are counts by part of the model; ``fingerprint`` is a hash of all the weights given.
    """

    name: str
    fingerprint: str
    taken: dict[str, int]
    new: dict[str, int]
    reshaped: dict[str, int]
    unused: dict[str, int]

    def lines(self) -> list[str]:
        """The report in words."""
        found = [f"weights of {self.name}: {_words(self.taken)} taken"]
        if self.new:
            found.append(f"not among them, so new: {_words(self.new)}")
        if self.reshaped:
            found.append(f"of another shape, so new: {_words(self.reshaped)}")
        if self.unused:
            found.append(f"not used: {_words(self.unused)}")
        return found


def start_from(model: ExamModel, encoder: str, path: Path) -> Start:
    """Put weights into a model, as far as names and shapes fit.

    Args:
        model: changed in place.
        encoder: timm name of the model's encoder.
        path: run folder, bundle folder, checkpoint or safetensors file.

    Raises:
        InputError: there are no weights, they are of another encoder, or none of them fits.
    """
    tensors, theirs = read_weights(path)
    if theirs is not None and theirs != encoder:
        raise InputError(
            f"train.start_from: the weights of {path.name} are of another encoder; "
            f"set model.encoder.name={theirs}, or start from scratch"
        )
    wanted = model.state_dict()
    fits = {
        name for name in wanted if name in tensors and tensors[name].shape == wanted[name].shape
    }
    start = Start(
        name=path.name,
        fingerprint=weights_fingerprint(tensors),
        taken=_parts(fits),
        new=_parts(wanted.keys() - tensors.keys()),
        reshaped=_parts((wanted.keys() & tensors.keys()) - fits),
        unused=_parts(tensors.keys() - wanted.keys()),
    )
    if not fits:
        raise InputError(
            f"train.start_from: no weight of {path.name} fits this model; "
            "weights of a timm encoder alone go to model.encoder.weights"
        )
    model.load_state_dict({name: tensors[name] for name in fits}, strict=False)
    return start


def read_weights(path: Path) -> Weights:
    """Weights of a run folder, bundle folder, checkpoint or safetensors file.

    Raises:
        InputError: it is none of these, or damaged.
    """
    if (path / "run.json").is_file():
        return _of_folder(path, path / "run.json", path / "checkpoints" / BEST)
    if (path / "bundle.json").is_file():
        return _of_folder(path, path / "bundle.json", path / "weights.safetensors")
    if path.is_dir():
        raise InputError(f"train.start_from: {path} is neither a run nor a bundle")
    return _of_file(path)


def weights_fingerprint(tensors: dict[str, Tensor]) -> str:
    """Hash of names, shapes and values, the same in whichever file they stand."""
    seen = sha256()
    for name in sorted(tensors):
        values = tensors[name].contiguous()
        seen.update(f"{name}{tuple(values.shape)}{values.dtype}".encode())
        seen.update(values.flatten().view(torch.uint8).numpy().tobytes())
    return seen.hexdigest()[:16]


def _of_folder(folder: Path, about: Path, weights: Path) -> Weights:
    if not weights.is_file():
        raise InputError(f"train.start_from: {folder} has no {weights.relative_to(folder)}")
    encoder = read_json(about).get("settings", {}).get("model", {}).get("encoder", {}).get("name")
    return _of_file(weights)._replace(encoder=encoder)


def _of_file(path: Path) -> Weights:
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                encoder = (file.metadata() or {}).get(ENCODER)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
            tensors, encoder = found.get("state_dict", found), found.get(ENCODER)
    except Exception as error:  # a file that is no pickle can raise anything
        raise InputError(
            f"train.start_from: {path} is no checkpoint and no safetensors file, or is damaged"
        ) from error
    held = tensors.items() if isinstance(tensors, Mapping) else ()
    tensors = {str(name): value for name, value in held if isinstance(value, Tensor)}
    if not all(value.isfinite().all() for value in tensors.values()):
        raise InputError(
            f"train.start_from: {path} holds weights that are no numbers; its run failed"
        )
    of_model = model_weights(tensors)
    if len(of_model) == len(tensors) or (encoder is not None and of_model):
        tensors = of_model
    return Weights(tensors, encoder if isinstance(encoder, str) else None)


def model_weights(held: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the model among those of a checkpoint, by the names of ``ExamModel``."""
    return {
        name.removeprefix(IN_TASK): value
        for name, value in held.items()
        if name.startswith(IN_TASK)
    }


def _parts(names: Iterable[str]) -> dict[str, int]:
    """How many tensors of each part of the model, such as ``encoder`` or ``heads.cancer``."""
    parts = (".".join(n.split(".")[: 2 if n.startswith("heads.") else 1]) for n in names)
    return dict(sorted(Counter(parts).items()))


def _words(parts: dict[str, int]) -> str:
    return ", ".join(f"{count} of {part}" for part, count in parts.items())
