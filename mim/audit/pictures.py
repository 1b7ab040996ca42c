"""Small pictures of pairs of images, as addresses of ``img`` elements."""

import base64
from typing import NamedTuple

import cv2
import numpy as np
import polars as pl

from mim.data.cache import Cache
from mim.errors import InputError

HEIGHT = 240
MOST = 12
"""Pairs on one page."""


class Pair(NamedTuple):
    """Two images that are one picture, side by side."""

    image: str
    other: str
    correlation: float
    relation: str
    pictures: tuple[str | None, str | None]


def pair_pictures(pairs: pl.DataFrame, cache: Cache) -> list[Pair]:
    """The first pairs of ``find_copies`` with pictures; None for a picture that is damaged."""
    columns = ("image", "other", "correlation", "relation")
    return [
        Pair(image, other, correlation, relation, (_address(image, cache), _address(other, cache)))
        for image, other, correlation, relation in pairs.head(MOST).select(columns).iter_rows()
    ]


def _address(image: str, cache: Cache) -> str | None:
    try:
        pixels = cache.read(image)
    except InputError:
        return None
    columns = max(1, round(pixels.shape[1] * HEIGHT / pixels.shape[0]))
    small = cv2.resize(pixels, (columns, HEIGHT), interpolation=cv2.INTER_AREA)
    jpeg = cv2.imencode(".jpg", (small // 257).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")
