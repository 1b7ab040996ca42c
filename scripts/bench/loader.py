"""Feeding exams to the model against the common way: 16-bit PNG, OpenCV, albumentations, DataLoader.

    python scripts/bench/loader.py [--rounds 5]

Exams of the made-up programme at the detector's size go through index, cohort and cache, 2048 x 1024,
and into PNG files. An exam is eight views, its own four and those of one prior. Each round makes
passes, in turn, of the common way with four augmentations in float32 and two worker processes, of
mim's loader with its augmentation in two threads, and of mim's loader with augmentation left to the
device. Exams per second count from a pass's first batch to its last. Ratios within each round, with
their range, and CPU time stand a machine that others use too.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

import albumentations
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mim.cohort.build import write_cohort
from mim.cohort.settings import CohortSettings
from mim.data.cache import Cache, write_cache
from mim.data.dataset import ExamDataset
from mim.data.exams import Exams
from mim.data.loader import ExamLoader
from mim.data.sampler import CaseSampler
from mim.data.settings import AugmentSettings, CacheSettings, Place
from mim.image.settings import RecipeSettings
from mim.ingest.index import write_index
from mim.ingest.settings import IndexSettings
from mim.synthetic.programme import write_programme
from mim.synthetic.settings import ProgrammeSettings
from mim.workers.settings import WorkersSettings

WORKERS, BATCH = 2, 4
COMMON, CPU, DEVICE = "common way", "mim, augmented in threads", "mim, augmented on the device"
PASSES = {COMMON: 16, CPU: 48, DEVICE: 160}
"""Exams in one pass of each way."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        everyone, cache = make_up(Path(folder))
        rows = np.flatnonzero((everyone.images >= 0).all(1) & (everyone.priors[:, 0] >= 0))
        rows = rows[(everyone.images[everyone.priors[rows, 0]] >= 0).all(1)]
        files = write_pngs(everyone, cache, rows, Path(folder))
        print(f"{len(rows)} exams of eight views, {RecipeSettings()}, {WORKERS} workers")
        ways = {
            COMMON: common_way(files),
            CPU: our_way(everyone, cache, np.resize(rows, PASSES[CPU]), Place.cpu),
            DEVICE: our_way(everyone, cache, np.resize(rows, PASSES[DEVICE]), Place.device),
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, loader in ways.items():
                found[name].append(measure(loader))
    for place, what in enumerate(("second", "second of CPU time")):
        print_speeds(what, {name: [one[place] for one in all_] for name, all_ in found.items()})


def make_up(folder: Path) -> tuple[Exams, Cache]:
    """Eight women, two rounds, no cancer; files as a hospital has them."""
    settings = ProgrammeSettings(women=8, rounds=2, seed=3, shrink=1, cancer_share=0.0, workers=2)
    write_programme(folder / "made", settings)
    key = str(folder / "made" / "pseudonym.key")
    workers = WorkersSettings(workers=2)
    index = IndexSettings(key_file=key, pictures=0)
    write_index(folder / "made" / "dicom", folder / "index", index, workers)
    write_cohort(
        folder / "index", folder / "made" / "registry", folder / "cohort", CohortSettings()
    )
    write_cache(folder / "cohort", folder / "cache", RecipeSettings(), CacheSettings(), workers)
    cache = Cache(folder / "cache")
    return Exams(folder / "cohort", cache), cache


def write_pngs(
    everyone: Exams, cache: Cache, rows: NDArray[np.int64], folder: Path
) -> list[list[str]]:
    """The eight files of each exam."""
    files = []
    for row in rows:
        images = everyone.images[[row, everyone.priors[row, 0]]].ravel()
        files.append([str(folder / f"{image}.png") for image in images])
        for image, path in zip(images.tolist(), files[-1], strict=True):
            cv2.imwrite(path, cache.read(everyone.image_table["image"][image].as_py()))
    return files


class PngExams(Dataset[Tensor]):
    """Eight images of an exam, float32 from 0 to 1, each augmented by itself."""

    def __init__(self, files: list[list[str]]) -> None:
        self._files = files
        settings = AugmentSettings()
        share = settings.probability
        self._augment = albumentations.Compose(
            [
                albumentations.Affine(
                    rotate=(-settings.rotation_degrees, settings.rotation_degrees),
                    translate_percent=(-settings.shift, settings.shift),
                    scale=(1 - settings.scale, 1 + settings.scale),
                    p=share,
                ),
                albumentations.RandomBrightnessContrast(
                    settings.brightness, settings.contrast, p=share
                ),
                albumentations.GaussianBlur(sigma_limit=(0.1, settings.blur), p=share),
                albumentations.GaussNoise(std_range=(0.0, settings.noise), p=share),
            ]
        )

    def __len__(self) -> int:
        return PASSES[COMMON]

    def __getitem__(self, exam: int) -> Tensor:
        return torch.from_numpy(
            np.stack([self._read(path) for path in self._files[exam % len(self._files)]])
        )

    def _read(self, path: str) -> NDArray[Any]:
        image = np.asarray(cv2.imread(path, cv2.IMREAD_UNCHANGED), np.float32) / 65535
        changed: NDArray[Any] = self._augment(image=image)["image"]
        return changed


def common_way(files: list[list[str]]) -> "DataLoader[Tensor]":
    return DataLoader(
        PngExams(files),
        batch_size=BATCH,
        shuffle=True,
        num_workers=WORKERS,
        worker_init_fn=lambda _: cv2.setNumThreads(1),
    )


def our_way(everyone: Exams, cache: Cache, rows: NDArray[np.int64], place: Place) -> ExamLoader:
    dataset = ExamDataset(rows, everyone, cache, times=2, augment=AugmentSettings(where=place))
    sampler = CaseSampler(np.zeros(len(rows), bool), BATCH, 0, seed=1)
    return ExamLoader(dataset, sampler, WORKERS, ahead=2)


def measure(loader: Iterable[object]) -> tuple[float, float]:
    """Exams per second, and exams per second of CPU time, with all that is done once in a pass."""
    cpu = cpu_seconds()
    batches = iter(loader)
    next(batches)
    start = time.perf_counter()
    count = sum(1 for _ in batches)
    seconds = time.perf_counter() - start
    del batches
    return BATCH * count / seconds, BATCH * (count + 1) / (cpu_seconds() - cpu)


def cpu_seconds() -> float:
    """Of this process and of those it has ended."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def print_speeds(what: str, speeds: dict[str, list[float]]) -> None:
    common = speeds[COMMON]
    print(f"exams per {what}, and ratios within a round: median (range)")
    for name, found in speeds.items():
        ratios = [ours / theirs for ours, theirs in zip(found, common, strict=True)]
        print(
            f"  {name:30} {median(found):6.2f} ({min(found):.2f} to {max(found):.2f})  "
            f"{median(ratios):5.1f}x ({min(ratios):.1f} to {max(ratios):.1f})"
        )


if __name__ == "__main__":
    main()
