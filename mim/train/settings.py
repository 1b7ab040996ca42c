"""Settings of training."""

from dataclasses import dataclass
from enum import StrEnum


class Accelerator(StrEnum):
    """Where training runs."""

    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


class Precision(StrEnum):
    """Number format of training."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


class WandbMode(StrEnum):
    """What wandb does; a run is complete on disk without it."""

    off = "off"
    offline = "offline"
    online = "online"


@dataclass
class TrainSettings:
    seed: int = 1
    """Seed of weights, order and augmentation."""
    epochs: int = 30
    """Passes over the training exams."""
    learning_rate: float = 3e-4
    """Highest learning rate of AdamW."""
    weight_decay: float = 0.05
    """Weight decay of AdamW."""
    warmup_share: float = 0.1
    """Share of the steps in which the learning rate rises to its highest."""
    view_loss_weight: float = 0.5
    """Weight of the loss of each view by itself beside the breast's."""
    accelerator: Accelerator = Accelerator.auto
    """Where training runs."""
    threads: int = 0
    """CPU threads of torch; 0 leaves torch's choice."""
    precision: Precision = Precision.float32
    """Number format."""
    wandb: WandbMode = WandbMode.offline
    """What wandb does."""
