"""Shared by all tests. Tiers (slow, gpu) are declared in pyproject.toml."""

import os

from hypothesis import settings

# albumentations asks the network for a newer version when it is imported.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("WANDB_MODE", "disabled")

settings.register_profile("mim", deadline=None)
settings.load_profile("mim")
