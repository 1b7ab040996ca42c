"""The data of one run: a cohort, its cache, and how exams are drawn."""

from pathlib import Path

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from mim.data.augment import make_augment
from mim.data.cache import Cache
from mim.data.dataset import Exam, ExamBatch, ExamDataset, Exams
from mim.data.sampler import CaseSampler, EveryExam
from mim.data.settings import DataSettings
from mim.errors import InputError
from mim.schemas.cohort import read_about
from mim.vocab import Split


class ExamData(pl.LightningDataModule):
    """Training and validation exams for Lightning, and any split for scoring.

    Only exams with a known label of a seen breast are trained on. The test split has a loader
    only for who asks for it by name.

    Raises:
        InputError: the cohort has no training breast with cancer, or none without.
    """

    def __init__(self, cohort: Path, cache: Path, settings: DataSettings, seed: int) -> None:
        super().__init__()
        self.cache = Cache(cache)
        self.everyone = Exams(cohort, self.cache)
        settings_of_cohort = read_about(cohort)["settings"]
        most = int(settings_of_cohort["priors"]["most"])
        if settings.priors is not None:
            most = min(most, settings.priors)
        self.priors: dict[str, float] = settings_of_cohort["priors"] | {"most": most}
        self.stand_ins: dict[str, bool] = settings_of_cohort["stand_ins"]
        self.times = 1 + most
        self._settings = settings
        self._seed = seed
        self._training = ExamDataset(
            [e for e in self.everyone if e.split is Split.TRAIN and e.cancer != (None, None)],
            self.everyone,
            self.cache,
            self.times,
            make_augment(settings.augment) if settings.augment.probability > 0 else None,
            settings.drop_priors,
        )
        labels = {cancer for exam in self._training.exams for cancer in exam.cancer}
        if not {True, False} <= labels:
            kind = "without" if True in labels else "with"
            raise InputError(f"{cohort}: no training breast {kind} cancer; nothing can be learnt")
        cases = [True in exam.cancer for exam in self._training.exams]
        self._sampler = CaseSampler(cases, settings.batch_size, settings.cases_per_batch, seed)

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over the training exams."""
        return len(self._sampler)

    @property
    def training_exams(self) -> list[Exam]:
        """The exams trained on."""
        return self._training.exams

    def dataset(self, split: Split) -> ExamDataset:
        """All exams of a split that have an image, unchanged, whether their outcome is known or not.

        Exams of ``Split.UNUSED`` are looked up as priors and in no dataset.
        """
        assert split is not Split.UNUSED, "unused exams are priors only"
        exams = [exam for exam in self.everyone if exam.split is split]
        return ExamDataset(exams, self.everyone, self.cache, self.times, augment=None)

    def loader(self, dataset: ExamDataset) -> "DataLoader[ExamBatch]":
        """Every exam of a dataset once, in order."""
        return self._loader(dataset, EveryExam(len(dataset), self._settings.batch_size))

    def train_dataloader(self) -> "DataLoader[ExamBatch]":
        """Batches with cases, augmented."""
        return self._loader(self._training, self._sampler)

    def val_dataloader(self) -> "DataLoader[ExamBatch]":
        """Validation exams in order; of a cohort that has none, the training exams, unchanged."""
        validation = self.dataset(Split.VALIDATION)
        return self.loader(validation if len(validation) else self.dataset(Split.TRAIN))

    def _loader(
        self, dataset: ExamDataset, sampler: CaseSampler | EveryExam
    ) -> "DataLoader[ExamBatch]":
        # The sampler yields whole batches, which the dataset decodes into one buffer.
        workers = self._settings.workers
        return DataLoader(
            dataset,
            batch_size=None,
            sampler=sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
