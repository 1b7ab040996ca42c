"""What training learns of makers' grey levels, and the jitter between them."""

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mim.data.cache import Cache
from mim.data.exams import Exams
from mim.data.settings import AugmentSettings, DataSettings
from mim.errors import InputError
from mim.image.greys import GreyStandard, Jitter, fixed_standard, learn_standard
from mim.image.settings import Harmonise
from mim.vocab import Maker

MOST_IMAGES = 2000
"""Images that a standard is learnt from, at most: the mean of a quantile is then known to about a
fiftieth of how much it differs between images."""

JITTER_STREAM = 75
"""Beside the exam's seed; see ``mim.data.augment``."""


def learn_greys(
    data: DataSettings, everyone: Exams, rows: NDArray[np.int64], cache: Cache
) -> GreyStandard:
    """The standard of the exams trained on, from own images of theirs drawn evenly; always the same.

    Reads no image where nothing is to be learnt.

    Args:
        data: settings.
        everyone: the cohort's exams.
        rows: those trained on, rows of ``everyone.table``.
        cache: their images.

    Raises:
        InputError: an image is damaged, or none shows tissue; jitter is wanted, and all are of one
            maker.
    """
    learns = data.harmonise in (Harmonise.landmarks, Harmonise.histogram)
    jitters = data.augment.probability > 0 and data.augment.maker_jitter > 0
    if not (learns or jitters):
        return fixed_standard(data.harmonise)
    exam, view = np.nonzero(everyone.images[rows] >= 0)
    chosen = np.arange(len(exam))
    if len(chosen) > MOST_IMAGES:
        chosen = np.sort(np.random.default_rng(0).choice(chosen, MOST_IMAGES, replace=False))
    at = rows[exam[chosen]], view[chosen]
    images = everyone.image_table.take(everyone.images[at])
    names, makers = images["image"].to_pylist(), images["maker"].to_pylist()
    if jitters and len(set(makers)) < 2:
        raise InputError(
            f"data.augment.maker_jitter={data.augment.maker_jitter:g}: it needs a second maker, and "
            f"all {len(makers)} images trained on are of {makers[0]}; set it to 0"
        )
    bar = tqdm(zip(makers, names, strict=True), "learning grey levels", len(names), unit="image")
    seen = everyone.table.take(np.unique(at[0]))
    learnt = ((maker, cache.read(name)) for maker, name in bar)
    return learn_standard(data.harmonise, learnt, len(seen["woman"].unique()), len(seen))


def draw_jitter(
    settings: AugmentSettings, standard: GreyStandard, seed: int, makers: NDArray[np.int64]
) -> list[Jitter | None]:
    """A step towards another maker for an exam and each of its priors; the same seed gives the same.

    All views of an exam share one, since one mammograph took them. A prior has one of its own,
    ``same_for_priors`` or not: mammographs are replaced between rounds.

    Args:
        settings: of augmentation.
        standard: makers that may be stepped to.
        seed: the exam's.
        makers: [time], place in ``vocab.Maker``; -1 where there is no exam.
    """
    random = np.random.default_rng([seed, JITTER_STREAM])
    changed, share, which = random.random((3, len(makers)))
    drawn: list[Jitter | None] = []
    for time, maker in enumerate(makers.tolist()):
        own = list(Maker)[maker] if maker >= 0 else None
        others = [name for name in standard.makers if name != own]
        if not others or settings.maker_jitter <= 0 or changed[time] >= settings.probability:
            drawn.append(None)
            continue
        other = others[int(which[time] * len(others))]
        drawn.append(Jitter(other, float(settings.maker_jitter * share[time])))
    return drawn
