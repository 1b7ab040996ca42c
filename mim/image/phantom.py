"""A drawn breast that is the same on every machine: the recipe's golden case."""

import numpy as np
from pydicom.dataset import Dataset

from mim.dicom.pixels import StoredImage

ROWS, COLUMNS = 640, 480


def phantom() -> StoredImage:
    """A right breast of 12 bits, MONOCHROME1, with a window, texture, and a bright label outside.

    No random numbers: the arithmetic is the same everywhere.
    """
    y, x = np.mgrid[0:ROWS, 0:COLUMNS].astype(np.float64)
    across, down = (COLUMNS - x) / 300.0, (y - 320.0) / 250.0
    inside = across**2 + down**2 < 1.0
    texture = np.sin(x / 7.0) * np.cos(y / 11.0) + np.sin((x + 2 * y) / 23.0)
    tissue = 1600.0 + 500.0 * (1.0 - across) + 150.0 * texture
    grey = np.where(inside, tissue, 40.0)
    grey[40:70, 30:90] = 3800.0
    dataset = Dataset()
    dataset.Rows, dataset.Columns = ROWS, COLUMNS
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.PhotometricInterpretation = "MONOCHROME1"
    dataset.WindowCenter, dataset.WindowWidth = 2095.0, 2600.0
    return StoredImage(4095 - np.round(grey).astype(np.uint16), dataset)
