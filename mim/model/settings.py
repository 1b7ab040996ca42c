"""Settings of the model and of what it learns."""

from dataclasses import dataclass, field
from enum import StrEnum

from mim.vocab import Task


class Norm(StrEnum):
    """What becomes of an encoder's batch normalisation."""

    keep = "keep"
    frozen = "frozen"
    group = "group"


class Pool(StrEnum):
    """How a feature map becomes one vector."""

    mean_max = "mean_max"
    mean = "mean"
    max = "max"
    gem = "gem"
    attention = "attention"


class Fuse(StrEnum):
    """How the views and priors of an exam are seen together."""

    views = "views"
    pair = "pair"
    transformer = "transformer"


class Domain(StrEnum):
    """How a breast's features are kept from telling the maker."""

    none = "none"
    adversary = "adversary"
    mmd = "mmd"
    coral = "coral"


class CancerLoss(StrEnum):
    """Loss of the cancer task."""

    cross_entropy = "cross_entropy"
    focal = "focal"


@dataclass
class EncoderSettings:
    name: str = "tf_efficientnetv2_s"
    """Name of a timm model that gives feature maps."""
    weights: str | None = None
    """File with the encoder's weights (safetensors, a state_dict, or a checkpoint that holds one); missing: none."""
    pretrained: bool = False
    """Start from timm's own weights of this name, which come over the network the first time."""
    frozen: bool = False
    """Leave the encoder as it is and learn only what stands behind it."""
    norm: Norm = Norm.keep
    """Batch normalisation: keep it; frozen: with the statistics and factors it comes with; group: group normalisation in its place."""
    pool: Pool = Pool.mean_max
    """How a feature map becomes one vector; mean_max: both, side by side."""
    mixstyle: float = 0.0
    """Share of training batches in which means and deviations of the first two stages' channels are mixed between images, as if one's style were another's; 0: never."""
    reduce: int = 1
    """Images are averaged down by this factor before the encoder; patches come from the whole image."""
    checkpointing: bool = False
    """Compute features again in the backward pass: less memory, up to three quarters more time."""
    channels_last: bool = False
    """Keep channels last in memory; faster on GPUs."""
    compile: bool = False
    """Compile the encoder by torch.compile; the first steps take minutes."""


@dataclass
class PatchSettings:
    count: int = 0
    """Patches looked at closely in each view, where the view's own features are most suspicious; 0: none."""
    size: int = 256
    """Height and width of a patch in pixels of the model's input."""
    encoder: str = "resnet10t"
    """Name of a timm model that encodes patches."""


@dataclass
class FusionSettings:
    kind: Fuse = Fuse.transformer
    """views: each view by itself, averaged over the breast; pair: the breast's CC and MLO, and those of its newest prior, side by side; transformer: all views and priors of the exam as tokens."""
    width: int = 256
    """Width of the vectors of views."""
    layers: int = 2
    """Transformer layers over views and priors."""
    heads: int = 4
    """Attention heads."""
    dropout: float = 0.1
    """Dropout in the transformer and before the heads."""
    compare_sides: bool = False
    """Give each breast its difference from the other one."""
    change_maps: bool = False
    """Subtract the newest prior's feature maps from those of the exam, place by place; sharp where data.align_priors is on."""


@dataclass
class DomainSettings:
    method: Domain = Domain.none
    """What keeps a breast's features from telling the maker; adversary: a net learns to tell it and its gradient is reversed; mmd: maximum mean discrepancy between makers; coral: differences of means and covariances."""
    weight: float = 1.0
    """Weight of the method's loss beside the tasks', or of the adversary's reversed gradient; 0: the adversary only watches."""
    begin: float = 0.3
    """Share of the run's steps before which the method is off: the first stage."""
    hold_encoder: bool = False
    """From begin on the encoder stays as it is, so the second stage moves only what stands behind it; with or without a method."""


@dataclass
class ModelSettings:
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    patches: PatchSettings = field(default_factory=PatchSettings)
    fusion: FusionSettings = field(default_factory=FusionSettings)
    domain: DomainSettings = field(default_factory=DomainSettings)


@dataclass
class CancerSettings:
    learn: bool = True
    """Learn whether each breast has a cancer now or before the next exam."""
    weight: float = 1.0
    """Weight of this task's loss beside the others'."""
    loss: CancerLoss = CancerLoss.cross_entropy
    """Loss: cross-entropy, or focal, in which easy breasts weigh less."""
    focal_gamma: float = 2.0
    """How fast easy breasts lose weight in the focal loss."""
    smoothing: float = 0.0
    """Share by which cancers, and only they, are less than certain to the loss."""
    view_weight: float = 0.5
    """Weight of the loss of each view by itself beside the breast's."""


@dataclass
class RiskSettings:
    learn: bool = False
    """Learn each breast's risk of a cancer within 1, 2, ... years."""
    weight: float = 1.0
    """Weight of this task's loss beside the others'."""
    years: int = 5
    """Years ahead."""


@dataclass
class DensitySettings:
    learn: bool = False
    """Learn each breast's BI-RADS density, and percent density where it is known."""
    weight: float = 1.0
    """Weight of this task's loss beside the others'."""
    percent_weight: float = 1.0
    """Weight of the loss of percent density beside that of the class."""


@dataclass
class QualitySettings:
    learn: bool = False
    """Learn each image's landmarks and what is judged of its positioning and technique."""
    weight: float = 1.0
    """Weight of this task's loss beside the others'."""
    landmark_weight: float = 1.0
    """Weight of the landmarks' loss beside that of the criteria."""


@dataclass
class TaskSettings:
    cancer: CancerSettings = field(default_factory=CancerSettings)
    risk: RiskSettings = field(default_factory=RiskSettings)
    density: DensitySettings = field(default_factory=DensitySettings)
    quality: QualitySettings = field(default_factory=QualitySettings)

    def learnt(self) -> tuple[Task, ...]:
        """The tasks that are on, in the order of the vocabulary."""
        return tuple(task for task in Task if getattr(self, task.value).learn)
