"""Harmonisation, the last step of the recipe: one table from an image's grey levels to the model's.

Makers' windows and curves show one tissue in different greys. The quantiles of an image's own
breast say how, and are mapped onto wanted levels, piecewise linearly: landmarks on a standard scale
(Nyul and Udupa 1999, doi 10.1002/(SICI)1522-2594(199912)42:6<1072::AID-MRM11>3.0.CO;2-M; Nyul,
Udupa and Zhang 2000, doi 10.1109/42.836373), a whole distribution on the mean one of the training
images, or two quantiles on fixed levels. The loader and the bundle both call ``harmonise``;
docs/recipe.md says what each way erases.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mim.errors import InputError
from mim.image.recipe import SIGNIFICANT_BITS, SPARE_BITS
from mim.image.settings import Harmonise

Image = NDArray[np.uint16]
Levels = NDArray[np.float64]

GREYS = np.arange(1 << SIGNIFICANT_BITS) << SPARE_BITS
"""The grey levels that a prepared image can have."""

DARKEST, WHITE = int(GREYS[1]), int(GREYS[-1])
"""What tissue can be: never 0, which is background."""

_LANDMARKS = np.array([1, *range(10, 100, 10), 99]) / 100
_WHOLE = np.array([0, 1e-4, 1e-3, *np.arange(1, 128) / 128, 0.999, 0.9999, 1])

SHARES = {
    Harmonise.voi: _LANDMARKS,
    Harmonise.landmarks: _LANDMARKS,
    Harmonise.histogram: _WHOLE,
    Harmonise.tissue: np.array([0.05, 0.95]),
}
"""Shares of the breast's pixels whose quantiles are mapped. Of the whole distribution the ends are
finer, where calcifications are; ``voi`` needs some for jitter alone."""

TISSUE_LEVELS = (0.2 * WHITE, 0.7 * WHITE)
"""Where ``tissue`` puts its two quantiles."""


class Jitter(NamedTuple):
    """A share of the way, 0 to 1, from an image's wanted levels to those of another maker."""

    maker: str
    share: float


@dataclass(frozen=True)
class GreyStandard:
    """The levels onto which images are mapped.

    ``levels`` are whole grey levels, one for each of ``SHARES`` of its kind, none for ``voi``;
    ``makers`` the mean quantiles of each maker's training images, by the names of ``vocab.Maker``;
    ``learnt_on`` counts women, exams and images, and images by maker; empty where nothing was learnt.
    """

    kind: Harmonise = Harmonise.voi
    levels: tuple[int, ...] = ()
    makers: dict[str, tuple[int, ...]] = field(default_factory=dict)
    learnt_on: dict[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that name the standard."""
        said = json.dumps(asdict(self), sort_keys=True)
        return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """What ``run.json`` and ``bundle.json`` hold of it."""
        said: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return said | {"fingerprint": self.fingerprint}

    @classmethod
    def from_json(cls, said: dict[str, Any], path: Path) -> "GreyStandard":
        """What ``to_json`` gave, and ``path`` holds.

        Raises:
            InputError: it was changed since.
        """
        standard = cls(
            kind=Harmonise(said["kind"]),
            levels=tuple(said["levels"]),
            makers={maker: tuple(levels) for maker, levels in said["makers"].items()},
            learnt_on=said["learnt_on"],
        )
        if standard.fingerprint != said["fingerprint"]:
            raise InputError(
                f"{path}: greys were changed since standard {said['fingerprint']} was learnt; "
                "train again"
            )
        return standard


def fixed_standard(kind: Harmonise) -> GreyStandard:
    """The standard of ``voi`` or ``tissue``, which need no training images."""
    levels = TISSUE_LEVELS if kind is Harmonise.tissue else ()
    return GreyStandard(kind, tuple(map(round, levels)))


def learn_standard(
    kind: Harmonise, images: Iterable[tuple[str, Image]], women: int, exams: int
) -> GreyStandard:
    """The mean quantiles of training images, of all and of each maker's.

    Args:
        kind: what the standard is for; that of ``voi`` and ``tissue`` says makers' levels alone.
        images: maker and pixels of each, uint16 [height, width]; one without tissue does not count.
        women: how many they show.
        exams: how many they belong to.

    Raises:
        InputError: no image shows tissue.
    """
    sums: dict[str, Levels] = defaultdict(lambda: np.zeros(len(SHARES[kind])))
    counts: dict[str, int] = defaultdict(int)
    for maker, pixels in images:
        quantiles = tissue_quantiles(pixels, SHARES[kind])
        if quantiles is not None:
            sums[maker] += quantiles
            counts[maker] += 1
    if not counts:
        raise InputError(f"data.harmonise={kind}: no training image shows any tissue")
    learnt = fixed_standard(kind).levels
    if kind in (Harmonise.landmarks, Harmonise.histogram):
        everyone = np.sum([sums[maker] for maker in sorted(sums)], axis=0)
        learnt = _whole_levels(everyone, sum(counts.values()))
    by_maker = {maker: counts[maker] for maker in sorted(counts)}
    return GreyStandard(
        kind=kind,
        levels=learnt,
        makers={maker: _whole_levels(sums[maker], count) for maker, count in by_maker.items()},
        learnt_on={
            "women": women,
            "exams": exams,
            "images": sum(by_maker.values()),
            "images_by_maker": by_maker,
        },
    )


def _whole_levels(total: Levels, count: int) -> tuple[int, ...]:
    return tuple(np.rint(total / count).astype(int).tolist())


def tissue_quantiles(pixels: Image, shares: Levels) -> Levels | None:
    """Quantiles of a breast: for each share the lowest level that so many of its pixels do not exceed.

    Args:
        pixels: uint16 [height, width]; what is above 0 is breast.
        shares: 0 to 1.

    Returns:
        Grey levels in steps of 16; None where there is no breast.
    """
    counts = cv2.calcHist([pixels], [0], None, [len(GREYS)], [0, 1 << 16]).ravel()
    counts[0] = 0
    up_to = counts.cumsum(dtype=np.float64)
    if not up_to[-1]:
        return None
    first = np.searchsorted(up_to, np.maximum(shares * up_to[-1], 1))
    return np.asarray(GREYS[first], np.float64)


def harmonise(pixels: Image, standard: GreyStandard, jitter: Jitter | None = None) -> Image:
    """An image on the standard's scale: what was brighter is not darker, and background stays 0.

    Beyond the outermost quantiles the map goes on as steep as it is from end to end; what comes to
    lie beyond black or white is cut off there, tissue at 16. Quantiles that are equal, as in a
    saturated breast, go to the mean of their levels.

    Args:
        pixels: uint16 [height, width] as the recipe prepares it; left as it is.
        standard: where its quantiles go.
        jitter: a step towards another maker of the standard, in training.

    Returns:
        uint16 [height, width]; ``pixels`` itself where nothing is to be done.
    """
    if standard.kind is Harmonise.voi and jitter is None:
        return pixels
    own = tissue_quantiles(pixels, SHARES[standard.kind])
    if own is None:
        return pixels
    wanted = own if standard.kind is Harmonise.voi else np.array(standard.levels, np.float64)
    if jitter is not None:
        wanted = wanted + jitter.share * (np.array(standard.makers[jitter.maker]) - wanted)
    return np.asarray(cv2.LUT(pixels, _table(own, wanted)), np.uint16)


def _table(own: Levels, wanted: Levels) -> Image:
    """The level of each of 65,536 grey values, from quantiles and the levels they go to."""
    knots, which = np.unique(own, return_inverse=True)
    levels = np.bincount(which, wanted) / np.bincount(which)
    rise, run = levels[-1] - levels[0], knots[-1] - knots[0]
    slope = rise / run if run else 1.0
    beyond = np.minimum(GREYS - knots[0], 0) + np.maximum(GREYS - knots[-1], 0)
    mapped = np.rint(np.interp(GREYS, knots, levels) + slope * beyond).clip(DARKEST, WHITE)
    # Rounding of the sums may put two neighbours in the wrong order.
    table = np.maximum.accumulate(mapped).astype(np.uint16).repeat(1 << SPARE_BITS)
    table[0] = 0
    return table
