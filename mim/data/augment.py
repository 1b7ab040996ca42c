"""Random changes to training images; the only importer of albumentations.

Only transforms that are exact on uint16 with one channel are used (others of that library fall
to 256 grey levels in silence). Black background stays black, or the change would tell the eye
nothing but which image was changed.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from mim.data.settings import AugmentSettings

Image = NDArray[np.uint16]
Augment = Callable[[Image, int], Image]


def make_augment(settings: AugmentSettings) -> Augment:
    """A function of image, uint16 [height, width], and seed; the same seed changes it alike."""
    # It takes seconds to import, and only training needs it.
    import albumentations

    move = albumentations.Affine(
        rotate=(-settings.rotation_degrees, settings.rotation_degrees),
        translate_percent={"x": (0.0, settings.shift), "y": (-settings.shift, settings.shift)},
        scale=(1 - settings.scale, 1 + settings.scale),
        interpolation=cv2.INTER_LINEAR,
        border_mode=cv2.BORDER_CONSTANT,
        fill=0,
        p=settings.probability,
    )
    shade = albumentations.RandomBrightnessContrast(
        brightness_limit=settings.brightness,
        contrast_limit=settings.contrast,
        p=settings.probability,
    )
    moving, shading = albumentations.Compose([move]), albumentations.Compose([shade])

    def augment(image: Image, seed: int) -> Image:
        # Without a seed for each image, every loader process would draw the same changes.
        moving.set_random_seed(seed)
        shading.set_random_seed(seed)
        moved: Image = moving(image=image)["image"]
        shaded: Image = shading(image=moved)["image"]
        return np.where(moved > 0, shaded, np.uint16(0))

    return augment
