"""Settings of the model."""

from dataclasses import dataclass


@dataclass
class ModelSettings:
    encoder: str = "tf_efficientnetv2_s"
    """Name of a timm model that gives feature maps."""
    weights: str | None = None
    """File with the encoder's weights (safetensors or a plain state_dict); missing: none."""
    width: int = 256
    """Width of the tokens."""
    layers: int = 2
    """Transformer layers over views and priors."""
    heads: int = 4
    """Attention heads."""
    dropout: float = 0.1
    """Dropout in the transformer and before the heads."""
