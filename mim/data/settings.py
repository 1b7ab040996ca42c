"""Settings of the cache and of feeding exams to the model."""

from dataclasses import dataclass, field
from enum import StrEnum

from mim.image.settings import Harmonise

CHANGES_NOTHING = ("workers", "ahead")
"""Settings of the loader that change when a batch comes and not what is in it."""


class Place(StrEnum):
    """Where images are changed."""

    cpu = "cpu"
    device = "device"


@dataclass
class CacheSettings:
    images_per_shard: int = 1000
    """Images in one cache file."""
    verify: bool = False
    """Read all that is cached already; prepare again what is damaged, and what could not be read before."""


@dataclass
class AugmentSettings:
    where: Place = Place.cpu
    """cpu: in the loader's threads; device: whole batches where the model runs, which frees the loader's cores."""
    probability: float = 0.8
    """Share of images changed; 0 turns augmentation off."""
    rotation_degrees: float = 10.0
    """Largest angle by which the breast turns up or down about its base; the chest wall stays upright."""
    shift: float = 0.05
    """Largest shift up or down, and into the chest wall, as a share of height and width; what leaves the image is lost."""
    scale: float = 0.1
    """Largest loss of size, as a share; the crop is tight, so a breast made larger would lose its nipple."""
    brightness: float = 0.1
    """Largest change of the middle grey level, as a share of full scale; black and white stay."""
    contrast: float = 0.2
    """Largest change of the contrast about the middle grey level, as a share."""
    curve: float = 0.15
    """Largest bend of the grey-level curve at any level, as a share of full scale; curves rise throughout."""
    tone: float = 0.0
    """How far another maker's processing may bend grey levels: 0 not at all, 1 to any rising curve, the same for all views of an exam; comes before the curve of brightness, contrast and curve."""
    sharpness: float = 0.0
    """Largest gain of an unsharp mask, which strengthens details by it or weakens them as much, for every second exam; 1 doubles or halves them. Its radius is 0.001 to 0.01 of the height."""
    amplitude: float = 0.0
    """Largest share of the amplitudes of spatial frequencies that is taken from another exam of the batch, of another maker where it has one, for every second exam; done where the model runs."""
    noise: float = 0.01
    """Largest standard deviation of added noise, as a share of full scale; every second changed image has noise."""
    blur: float = 0.7
    """Largest standard deviation of the blur, in pixels of the model's input; one changed image in four is blurred."""
    resolution: float = 0.3
    """Largest loss of resolution, for one changed image in four: 0.5 keeps half the pixels of a row."""
    cutout: float = 0.15
    """Largest side of a square that is blacked out in every second changed image, as a share of the height."""
    maker_jitter: float = 0.0
    """Largest share of the way that the grey levels of changed exams are drawn towards those of another maker of the training images, drawn at random; 0.5 goes half of it at most."""
    swap_sides: float = 0.5
    """Share of training exams whose left and right change places, with their labels: the mirror image of the woman."""
    same_for_priors: bool = True
    """Move an exam's priors as the exam itself, view by view; false: each by itself."""


@dataclass
class DataSettings:
    batch_size: int = 8
    """Exams in one batch, for each device."""
    cases_per_batch: int = 1
    """Exams with cancer in each training batch, at least, as long as the training data have one."""
    priors: int | None = None
    """Priors given to the model at most, newest first; missing: as many as the cohort has."""
    drop_priors: float = 0.5
    """Share of training exams whose priors are hidden, so that the model also stands without them."""
    align_priors: bool = False
    """Move each prior's image onto the exam's image of the same view before the model sees it."""
    harmonise: Harmonise = Harmonise.voi
    """How makers' grey levels are made alike. voi: as each file says. landmarks: eleven quantiles of the breast on a scale learnt from training images. histogram: the whole distribution on their mean one. tissue: the 5th and 95th percentile of each breast on fixed levels."""
    leave_out_maker: str | None = None
    """Maker, such as philips, of which no woman with an exam is trained on or validates; test women are scored all the same. It shows what becomes of a maker never seen."""
    balance_makers: bool = False
    """Draw each maker equally often in an epoch, among exams with cancer and among others: those of rare makers come again, those of frequent ones in turns over the epochs."""
    workers: int = 2
    """Threads that read and change images; 0: the training thread itself."""
    ahead: int = 2
    """Batches that are made ready ahead of the training step."""
    augment: AugmentSettings = field(default_factory=AugmentSettings)
