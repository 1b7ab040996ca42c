"""Contact sheets: many prepared images in one picture, for people to look at first."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mim.schemas.table import write_whole
from mim.vocab import VIEW_SLOTS

TILE_HEIGHT = 256
CAPTION_HEIGHT = 20


def contact_sheet(
    images: Sequence[NDArray[np.uint16] | NDArray[np.uint8] | None],
    titles: Sequence[str],
    path: Path,
    columns: int,
    tile_height: int = TILE_HEIGHT,
) -> None:
    """Write images side by side as a PNG of 8 bits, each under its title.

    Args:
        images: uint16 or uint8 [height, width]; None leaves an empty tile. All tiles are as wide
            as the widest image is at their height.
        titles: one for each image, without identifiers.
        columns: images in a row.
    """
    widest = max(image.shape[1] / image.shape[0] for image in images if image is not None)
    tile_width = max(1, round(tile_height * widest))
    tiles = [
        _tile(image, title, tile_height, tile_width)
        for image, title in zip(images, titles, strict=True)
    ]
    blank = np.zeros_like(tiles[0])
    tiles += [blank] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    write_whole(path, cv2.imencode(".png", np.vstack(rows))[1].tobytes())


def exam_tiles(
    images: NDArray[np.uint16], present: NDArray[np.bool_], months: NDArray[np.float32]
) -> tuple[list[NDArray[np.uint16] | None], list[str]]:
    """Tiles and titles of one exam and its priors, as the model gets them.

    Args:
        images: [time, view, 1, height, width].
        present: [time, view].
        months: [time].
    """
    tiles: list[NDArray[np.uint16] | None] = []
    titles: list[str] = []
    for time, before in enumerate(months):
        for view, (side, projection) in enumerate(VIEW_SLOTS):
            there = bool(present[time, view])
            when = f" -{before:.0f} mo" if time else ""
            tiles.append(images[time, view, 0] if there else None)
            titles.append(f"{side} {projection}{when}" if there else "absent")
    return tiles, titles


def _tile(
    image: NDArray[np.uint16] | NDArray[np.uint8] | None, title: str, height: int, width: int
) -> NDArray[np.uint8]:
    tile = np.full((height + CAPTION_HEIGHT, width + 2), 48, np.uint8)
    if image is not None:
        columns = min(width, max(1, round(image.shape[1] * height / image.shape[0])))
        grey = cv2.resize(image, (columns, height), interpolation=cv2.INTER_AREA)
        whole = np.iinfo(image.dtype).max
        tile[CAPTION_HEIGHT:, :columns] = grey // (whole // 255)
    place = (2, CAPTION_HEIGHT - 6)
    cv2.putText(tile, title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.35, 230, 1, cv2.LINE_AA)
    return tile
