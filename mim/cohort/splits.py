"""Splits by woman: a hash of her pseudonym decides, so no other woman can move her."""

from hashlib import blake2b

from mim.cohort.settings import SplitSettings
from mim.errors import InputError
from mim.vocab import Split


def check_shares(settings: SplitSettings) -> None:
    """Refuse shares that leave nothing to train on, or are no shares (``InputError``)."""
    if settings.test < 0 or settings.validation < 0 or settings.test + settings.validation >= 1:
        raise InputError(
            f"splits.validation={settings.validation}, splits.test={settings.test}: "
            "both must be 0 or more and their sum below 1"
        )


def split_of(woman: str, settings: SplitSettings) -> Split:
    """The woman's split: test, validation and training lie in this order on [0, 1).

    Changing the share of one split moves only women at its border.
    """
    place = int.from_bytes(blake2b(woman.encode(), digest_size=8).digest()) / 2**64
    if place < settings.test:
        return Split.TEST
    if place < settings.test + settings.validation:
        return Split.VALIDATION
    return Split.TRAIN
