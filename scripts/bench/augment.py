"""Augmentation of one image on one core: ``change_image`` against albumentations in float32.

    python scripts/bench/augment.py [ROUNDS]

A breast of 2048 x 1024, uint16. Four usual operations of albumentations (affine, blur, noise,
brightness and contrast), the conversion to float32 included, take turns with all of ours that is on
by default, and each of ours with its counterpart; sharpness, amplitudes and harmonisation, by
quantiles of this breast, by themselves. CPU time, median of the rounds; ratios round by round.
"""

import os
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mim.data.amplitude import AmplitudeMix, mix_amplitudes
from mim.data.augment import LINE, STILL, Changes, draw_changes
from mim.data.augment_cpu import change_image
from mim.data.augment_device import change_batch
from mim.data.settings import AugmentSettings
from mim.image.greys import harmonise, learn_standard
from mim.image.settings import Harmonise
from mim.vocab import Maker

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

HEIGHT, WIDTH, SEED = 2048, 1024, 1
NOTHING: dict[str, Any] = {
    "move": STILL,
    "curve": LINE,
    "noise": np.float32(0),
    "blur": np.float32(0),
    "resolution": np.float32(1),
    "sharpness": np.float32(0),
    "cutout": np.zeros(4, np.float32),
}


def breast() -> NDArray[np.uint16]:
    """Half an ellipse on the chest wall with structure and noise, 12 bits of 16; half of it black."""
    random = np.random.default_rng(SEED)
    down = np.linspace(-1, 1, HEIGHT)[:, None]
    across = np.linspace(0, 1, WIDTH)[None]
    inside = down**2 + (across / 0.68) ** 2 < 0.95
    levels = 30000 + 8000 * np.sin(40 * across + 13 * down)
    levels += 2000 * random.standard_normal(levels.shape)
    return np.where(inside, levels.clip(16, 65520), 0).astype(np.uint16) & 0xFFF0


def changes_of(count: int, **fixed: NDArray[Any]) -> list[Changes[NDArray[Any]]]:
    """The policy's changes of that many images, all of them changed."""
    settings = AugmentSettings(probability=1.0, same_for_priors=False)
    drawn = draw_changes(settings, SEED, count, HEIGHT / WIDTH)
    each = [Changes(*(part[time, 0] for part in drawn)) for time in range(count)]
    return [one._replace(**fixed) for one in each]


def peers() -> dict[str, Callable[[NDArray[np.uint16]], Any]]:
    """albumentations as it is commonly used, and its geometry on uint16."""
    started = time.thread_time()
    import albumentations as a  # noqa: PLC0415

    print(f"import of albumentations: {time.thread_time() - started:.1f} s")
    affine = a.Affine(rotate=(-10, 10), scale=(0.9, 1.1), translate_percent=(0, 0.05), p=1)
    four = {
        "affine": affine,
        "blur": a.GaussianBlur(blur_limit=0, sigma_limit=(0.01, 0.7), p=1),
        "noise": a.GaussNoise(std_range=(0, 0.01), p=1),
        "curve": a.RandomBrightnessContrast(0.1, 0.2, p=1),
    }
    made = {name: a.Compose([one]) for name, one in four.items()}
    made["all"] = a.Compose(list(four.values()))

    def in_float32(pipeline: Callable[..., Any]) -> Callable[[NDArray[np.uint16]], Any]:
        return lambda image: pipeline(image=np.float32(image) / 65535)

    return {name: in_float32(pipeline) for name, pipeline in made.items()} | {
        "affine on uint16": lambda image: made["affine"](image=image)
    }


def ours(rounds: int) -> dict[str, Callable[[NDArray[np.uint16]], Any]]:
    """All of the policy, each change alone, and the device's way on the CPU."""
    out = np.empty((HEIGHT, WIDTH), np.uint16)
    steps = {"all": (), "none": tuple(NOTHING)}
    steps |= {name: tuple(key for key in NOTHING if key != name) for name in NOTHING}

    def run(switched_off: tuple[str, ...]) -> Callable[[NDArray[np.uint16]], Any]:
        fixed = {name: NOTHING[name] for name in switched_off}
        if len(fixed) == len(NOTHING) - 1:
            # The policy leaves these out of half of the images or more.
            alone = {"blur": np.float32(0.5), "resolution": np.float32(0.85)}
            alone |= {"noise": np.float32(0.005), "sharpness": np.float32(0.5)}
            alone["cutout"] = np.array([0.5, 0.2, 0.075, 0.15], np.float32)
            fixed |= {name: alone[name] for name in alone if name not in fixed}
        left = iter(changes_of(rounds + 1, **fixed))
        return lambda image: change_image(image, next(left), out)

    on_device = iter(changes_of(rounds + 1))

    def batch(image: NDArray[np.uint16]) -> None:
        changes = Changes(*(torch.from_numpy(np.asarray(part))[None] for part in next(on_device)))
        change_batch(torch.from_numpy(image)[None, None], torch.ones(1, dtype=torch.bool), changes)

    def mix(image: NDArray[np.uint16]) -> None:
        both = torch.from_numpy(np.stack([image, image[::-1]]))[:, None, None, None]
        of_first = AmplitudeMix(torch.tensor([[1], [0]]), torch.tensor([[0.5], [0.0]]))
        mix_amplitudes(both, torch.ones(2, 1, 1, dtype=torch.bool), of_first)

    greys = learn_standard(Harmonise.histogram, [(Maker.GE, breast() // 2)], women=1, exams=1)
    return {name: run(off) for name, off in steps.items()} | {
        "change_batch": batch,
        "mix_amplitudes": mix,
        "harmonise": lambda image: harmonise(image, greys),
    }


def main(rounds: int) -> None:
    """Print milliseconds of each, and how many times ours goes into theirs."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    source = breast()
    image = np.empty_like(source)
    functions = {f"albumentations {name}": peer for name, peer in peers().items()}
    functions |= {f"mim {name}": own for name, own in ours(rounds).items()}
    times: dict[str, list[float]] = {name: [] for name in functions}
    for round_ in range(rounds + 1):
        for name, function in functions.items():
            np.copyto(image, source)  # as if just decoded
            started = time.thread_time()
            function(image)
            if round_:  # the first warms up
                times[name].append(1000 * (time.thread_time() - started))
    for name, taken in times.items():
        print(f"{name:32} {median(taken):7.2f} ms")
    for theirs, mine in (
        ("all", "all"),
        ("affine", "move"),
        ("affine on uint16", "move"),
        ("blur", "blur"),
        ("noise", "noise"),
        ("curve", "curve"),
    ):
        pairs = zip(times[f"albumentations {theirs}"], times[f"mim {mine}"], strict=True)
        ratios = sorted(their / own for their, own in pairs)
        low, high = ratios[len(ratios) // 20], ratios[-1 - len(ratios) // 20]
        print(
            f"{theirs} / {mine}: {median(ratios):.1f}x, nine rounds of ten {low:.1f} to {high:.1f}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
