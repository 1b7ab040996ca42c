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


class Optimizer(StrEnum):
    """What moves the weights."""

    adamw = "adamw"
    sgd = "sgd"


class Schedule(StrEnum):
    """How the learning rate goes after its warm-up."""

    cosine = "cosine"
    constant = "constant"


class WandbMode(StrEnum):
    """What wandb does; a run is complete on disk without it."""

    off = "off"
    offline = "offline"
    online = "online"


@dataclass
class TrainSettings:
    start_from: str | None = None
    """Run folder, bundle folder, checkpoint or safetensors file whose weights this run starts from, as far as they fit; missing: from scratch."""
    seed: int = 1
    """Seed of weights, order and augmentation."""
    epochs: int = 30
    """Passes over the training exams."""
    optimizer: Optimizer = Optimizer.adamw
    """What moves the weights; sgd has a momentum of 0.9."""
    learning_rate: float = 3e-4
    """Highest learning rate."""
    weight_decay: float = 0.05
    """Weight decay, on weights of matrices and convolutions only."""
    layer_decay: float = 1.0
    """Factor of the learning rate from each layer group of the encoder to the one before it; 1: none."""
    schedule: Schedule = Schedule.cosine
    """How the learning rate goes after its warm-up: down to 0 by half a cosine, or constant."""
    warmup_share: float = 0.1
    """Share of the steps in which the learning rate rises to its highest."""
    accumulate: int = 1
    """Batches whose gradients make one step."""
    clip: float = 1.0
    """Largest norm of the gradient; 0: no limit."""
    ema: float = 0.0
    """Decay of the moving average of weights that is validated and kept, such as 0.999; 0: the weights themselves."""
    group_dro: float = 0.0
    """Step size by which makers of high loss gain weight in the training loss (group distributionally robust optimisation), such as 0.01; 0: every exam weighs the same."""
    metric: str | None = None
    """Metric of the validation exams that chooses the best checkpoint, such as density/kappa_linear; last: none, the last epoch is kept; missing: the first task's main one."""
    patience: int = 0
    """Epochs without a better metric after which training stops; 0: never."""
    checkpoint_steps: int = 0
    """Steps between checkpoints within an epoch, for epochs of hours; 0: after each epoch only."""
    accelerator: Accelerator = Accelerator.auto
    """Where training runs."""
    devices: int = 1
    """Devices of this machine, each with its own process."""
    nodes: int = 1
    """Machines, as many as the batch job has."""
    threads: int = 0
    """CPU threads of torch; 0 leaves torch's choice."""
    precision: Precision = Precision.float32
    """Number format."""
    wandb: WandbMode = WandbMode.offline
    """What wandb does."""


@dataclass
class RenormaliseSettings:
    share: float = 1.0
    """Share of the new exams' statistics; the rest is that of the old ones, which steadies those of few exams. 0: thresholds and scale alone are made anew."""
