"""The data of one run: a cohort, its cache, and how exams are drawn."""

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytorch_lightning as pl
from numpy.typing import NDArray

from mim.data.cache import Cache
from mim.data.dataset import ExamDataset
from mim.data.exams import Exams
from mim.data.greys import learn_greys
from mim.data.known import Tasks, find_cases, known_exams, require_labels
from mim.data.loader import ExamLoader
from mim.data.sampler import CaseSampler, EveryExam
from mim.data.settings import DataSettings
from mim.errors import InputError
from mim.image.greys import GreyStandard
from mim.schemas.cohort import read_about
from mim.vocab import Split


class ExamData(pl.LightningDataModule):
    """Training and validation exams for Lightning, and any split for scoring.

    Trained on are the exams of which a label of a learnt task is known, of a breast or view that
    has an image. A case is one of them with cancer, or, for the risk task, with a cancer to come
    within its years. The test split has a loader only for who asks for it by name.

    Attributes:
        everyone: the cohort's exams.
        cache: their images.
        priors: settings by which priors were found, ``most`` as many as the model gets.
        stand_ins: which images may stand in for a missing view.
        times: length of the time axis.
        greys: the standard onto which grey levels are mapped.
        training: the exams trained on, as training sees them.

    Args:
        cohort: its folder.
        cache: the folder of its images.
        data: settings.
        tasks: what is learnt.
        seed: of the order in which exams are drawn.
        greys: the standard that a run has learnt; missing: it is learnt now, of the exams trained on.

    Raises:
        InputError: a task has no label in the training split; cancer has labels of one kind; risk
            has no cancer.
    """

    def __init__(
        self,
        cohort: Path,
        cache: Path,
        data: DataSettings,
        tasks: Tasks,
        seed: int,
        greys: GreyStandard | None = None,
    ) -> None:
        super().__init__()
        self.cache = Cache(cache)
        self.everyone = Exams(cohort, self.cache)
        settings_of_cohort = read_about(cohort)["settings"]
        most = int(settings_of_cohort["priors"]["most"])
        if data.priors is not None:
            most = min(most, data.priors)
        self.priors: dict[str, float] = settings_of_cohort["priors"] | {"most": most}
        self.stand_ins: dict[str, bool] = settings_of_cohort["stand_ins"]
        self.times = 1 + most
        self._data = data
        self._learning = _without_maker(self.everyone, data.leave_out_maker)
        rows = self._rows(Split.TRAIN)
        require_labels(cohort, self.everyone, rows, tasks)
        rows = rows[np.any([known_exams(self.everyone, rows, task) for task in tasks.learnt()], 0)]
        self.greys = greys or learn_greys(data, self.everyone, rows, self.cache)
        self.training = ExamDataset(
            rows,
            self.everyone,
            self.cache,
            self.times,
            data.augment if data.augment.probability > 0 else None,
            data.drop_priors,
            data.align_priors,
            self.greys,
        )
        cases = find_cases(self.everyone, rows, tasks)
        makers = self.everyone.makers[rows] if data.balance_makers else None
        self._sampler = CaseSampler(
            cases, data.batch_size, data.cases_per_batch, seed, makers=makers
        )

    @property
    def steps_per_epoch(self) -> int:
        """Batches of this rank in one pass over the training exams."""
        return len(self._sampler)

    def dataset(self, split: Split) -> ExamDataset:
        """All exams of a split that have an image, unchanged, whether anything is known of them or not.

        Exams of ``Split.UNUSED`` are looked up as priors and in no dataset.
        """
        assert split is not Split.UNUSED, "unused exams are priors only"
        return ExamDataset(
            self._rows(split),
            self.everyone,
            self.cache,
            self.times,
            align_priors=self._data.align_priors,
            greys=self.greys,
        )

    def loader(self, dataset: ExamDataset) -> ExamLoader:
        """Every exam of a dataset once, in order; some twice where ranks must come out even."""
        return self._loader(dataset, EveryExam(len(dataset), self._data.batch_size))

    def train_dataloader(self) -> ExamLoader:
        """Batches with cases, augmented."""
        return self._loader(self.training, self._sampler)

    def val_dataloader(self) -> ExamLoader:
        """Validation exams in order; of a cohort that has none, the training exams, unchanged."""
        validation = self.dataset(Split.VALIDATION)
        return self.loader(validation if len(validation) else self.dataset(Split.TRAIN))

    def _rows(self, split: Split) -> NDArray[np.int64]:
        chosen = self.everyone.table["split"].to_numpy() == split.value
        if split in (Split.TRAIN, Split.VALIDATION):
            chosen &= self._learning
        return np.flatnonzero(chosen)

    def _loader(self, dataset: ExamDataset, sampler: CaseSampler | EveryExam) -> ExamLoader:
        return ExamLoader(dataset, sampler, self._data.workers, self._data.ahead)


def _without_maker(everyone: Exams, maker: str | None) -> NDArray[np.bool_]:
    """Exams of the women none of whose images, prior or not, is of a maker; all without one.

    Raises:
        InputError: no image of the cohort is of that maker.
    """
    if maker is None:
        return np.ones(len(everyone), bool)
    images = everyone.image_table
    exams = images["exam"].filter(pc.equal(images["maker"], maker))
    if not len(exams):
        makers = ", ".join(sorted(images["maker"].unique().to_pylist()))
        raise InputError(
            f"data.leave_out_maker={maker}: no image of the cohort is of this maker; it has {makers}"
        )
    women = everyone.table["woman"]
    hers = women.filter(pc.is_in(everyone.table["exam"], exams.unique()))
    return np.asarray(pc.invert(pc.is_in(women, hers.unique())).to_numpy())
