"""The ways others take from DICOM to model input, as published preprocessing code has them.

Both do what the recipe does: grey levels by the VOI, a mask that is opened and left with its largest
body, crop, resize with averaging, 16 bits; theirs go into a PNG.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from imageio.v3 import imwrite
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import apply_voi_lut
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops
from skimage.morphology import disk, opening
from skimage.transform import resize

HEIGHT, WIDTH = 2048, 1024
BREAST_SHARE = 0.05
"""The border between air and breast, as share of the grey range."""
RADIUS = 5
"""Radius of the disc that masks are opened with, pixels."""


def decode(path: Path) -> NDArray[Any]:
    """pydicom with the decoder that it takes by default."""
    return dcmread(path).pixel_array


def common(path: Path) -> bytes:
    """pydicom, apply_voi_lut, and OpenCV for everything else."""
    grey = _shown(dcmread(path))
    bright = (grey > BREAST_SHARE).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RADIUS + 1, 2 * RADIUS + 1))
    bright = np.asarray(cv2.morphologyEx(bright, cv2.MORPH_OPEN, disc))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(bright)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    left, top, width, height, _ = stats[largest]
    here = np.s_[top : top + height, left : left + width]
    crop = np.where(labels[here] == largest, grey[here], 0.0)
    rows, columns = _shape(height, width)
    small = np.asarray(cv2.resize(crop, (columns, rows), interpolation=cv2.INTER_AREA))
    return cv2.imencode(".png", _canvas(small))[1].tobytes()


def naive(path: Path) -> bytes:
    """pydicom, apply_voi_lut, and scikit-image for everything else."""
    grey = _shown(dcmread(path))
    bright = opening(grey > min(threshold_otsu(grey), BREAST_SHARE), disk(RADIUS))
    labels = label(bright)
    breast = max(regionprops(labels), key=lambda region: region.area)
    top, left, bottom, right = breast.bbox
    here = np.s_[top:bottom, left:right]
    crop = np.where(labels[here] == breast.label, grey[here], 0.0)
    small = resize(crop, _shape(*crop.shape), order=1, anti_aliasing=True)
    return bytes(imwrite("<bytes>", _canvas(small), extension=".png"))


def _shown(dataset: Dataset) -> NDArray[np.float64]:
    """Grey levels, 0 to 1."""
    shown = np.asarray(apply_voi_lut(dataset.pixel_array, dataset, index=0), np.float64)
    low, high = shown.min(), shown.max()
    grey: NDArray[np.float64] = (shown - low) / (high - low)
    return 1.0 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey


def _shape(rows: int, columns: int) -> tuple[int, int]:
    factor = min(HEIGHT / rows, WIDTH / columns)
    return round(rows * factor), round(columns * factor)


def _canvas(small: NDArray[Any]) -> NDArray[np.uint16]:
    canvas = np.zeros((HEIGHT, WIDTH), np.uint16)
    canvas[: small.shape[0], : small.shape[1]] = np.round(np.clip(small, 0, 1) * 65535)
    return canvas
