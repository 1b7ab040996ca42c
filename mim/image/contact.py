"""Contact sheets: many prepared images in one picture, for people to look at first."""

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

TILE_HEIGHT = 256
CAPTION_HEIGHT = 20


def contact_sheet(
    images: Sequence[NDArray[np.uint16] | None],
    titles: Sequence[str],
    path: Path,
    columns: int,
    tile_height: int = TILE_HEIGHT,
) -> None:
    """Write images side by side as a PNG of 8 bits, each under its title.

    Args:
        images: uint16 [height, width], all of one shape; None leaves an empty tile.
        titles: one for each image, without identifiers.
        columns: images in a row.
    """
    shape = next(image.shape for image in images if image is not None)
    tile_width = max(1, round(tile_height * shape[1] / shape[0]))
    tiles = [
        _tile(image, title, tile_height, tile_width)
        for image, title in zip(images, titles, strict=True)
    ]
    blank = np.zeros_like(tiles[0])
    tiles += [blank] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{os.getpid()}.{path.name}")
    cv2.imwrite(str(unfinished), np.vstack(rows))
    unfinished.replace(path)


def _tile(
    image: NDArray[np.uint16] | None, title: str, height: int, width: int
) -> NDArray[np.uint8]:
    tile = np.full((height + CAPTION_HEIGHT, width + 2), 48, np.uint8)
    if image is not None:
        small = np.asarray(
            cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint16
        )
        tile[CAPTION_HEIGHT:, :width] = small >> 8
    place = (2, CAPTION_HEIGHT - 6)
    cv2.putText(tile, title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.35, 230, 1, cv2.LINE_AA)
    return tile
