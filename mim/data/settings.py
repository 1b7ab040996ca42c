"""Settings of the cache and of feeding exams to the model."""

from dataclasses import dataclass, field


@dataclass
class CacheSettings:
    images_per_shard: int = 1000
    """Images in one cache file."""
    verify: bool = False
    """Read all that is cached already; prepare again what is damaged, and what could not be read before."""


@dataclass
class AugmentSettings:
    rotation_degrees: float = 10.0
    """Largest rotation."""
    shift: float = 0.05
    """Largest shift, as a share of height and width."""
    scale: float = 0.1
    """Largest change of size, as a share."""
    brightness: float = 0.1
    """Largest change of brightness, as a share of full scale."""
    contrast: float = 0.2
    """Largest change of contrast, as a share."""
    probability: float = 0.8
    """Share of images changed; 0 turns augmentation off."""


@dataclass
class DataSettings:
    batch_size: int = 8
    """Exams in one batch."""
    cases_per_batch: int = 1
    """Exams with cancer in each training batch, at least, as long as the training data have one."""
    drop_priors: float = 0.5
    """Share of training exams whose priors are hidden, so that the model also stands without them."""
    workers: int = 0
    """Loader processes; 0 loads in the training process."""
    augment: AugmentSettings = field(default_factory=AugmentSettings)
