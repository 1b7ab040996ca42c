"""Memory that a view of 2048 x 1024 costs in training, with and without checkpointing.

    python scripts/bench/memory.py [--encoders tf_efficientnetv2_s convnext_nano] [--patches 0]

Each line is one forward and backward pass over one view in a fresh process on the CPU: what the
forward pass keeps for the backward one (the tensors autograd saves, each storage once, parameters
left out), how far the process grew at its peak, and the seconds. A GPU's allocator has no more to
hold than the peak, and less where its convolutions need less room to work in.
"""

import argparse
import multiprocessing
import resource
import time
from typing import NamedTuple

import torch
from torch import Tensor

from mim.model.encoder import ViewEncoder
from mim.model.settings import EncoderSettings, PatchSettings

MEGABYTE = 1_000_000


class Cost(NamedTuple):
    """Of one view: megabytes kept and at the peak, seconds, and the gradient's size as a check."""

    kept: float
    peak: float
    seconds: float
    gradient: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--encoders", nargs="+", default=["tf_efficientnetv2_s", "convnext_nano", "resnet18"]
    )
    parser.add_argument("--patches", type=int, default=0)
    options = parser.parse_args()
    print("| encoder | checkpointing | kept, MB | peak, MB | seconds | gradient |")
    print("|---|---|--:|--:|--:|--:|")
    for name in options.encoders:
        for checkpointing in (False, True):
            cost = in_fresh_process(name, checkpointing, options.patches)
            print(
                f"| {name} | {'on' if checkpointing else 'off'} | {cost.kept:.0f} | "
                f"{cost.peak:.0f} | {cost.seconds:.0f} | {cost.gradient:.4g} |",
                flush=True,
            )


def in_fresh_process(name: str, checkpointing: bool, patches: int) -> Cost:
    """The peak of a process is its own for life, so each pass has one to itself."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(one_pass, (name, checkpointing, patches))


def one_pass(name: str, checkpointing: bool, patches: int) -> Cost:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    encoder = ViewEncoder(
        EncoderSettings(name=name, checkpointing=checkpointing),
        PatchSettings(count=patches),
        fine=False,
    )
    images = torch.randint(0, 65536, (1, 1, 2048, 1024)).to(torch.uint16)
    own = {parameter.untyped_storage().data_ptr() for parameter in encoder.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = encoder(images).vectors.square().mean()
    loss.backward()
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    gradient = sum(float(p.grad.norm()) for p in encoder.parameters() if p.grad is not None)
    return Cost(
        sum(kept.values()) / MEGABYTE, (after - before) * 1024 / MEGABYTE, seconds, gradient
    )


if __name__ == "__main__":
    main()
