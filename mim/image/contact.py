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
NO_POINTS = np.empty((0, 2), np.float32)
WHITE = (230, 230, 230)


def contact_sheet(
    images: Sequence[NDArray[np.uint16] | NDArray[np.uint8] | None],
    titles: Sequence[str],
    path: Path,
    columns: int,
    tile_height: int = TILE_HEIGHT,
    points: Sequence[NDArray[np.float32]] | None = None,
) -> None:
    """Write images side by side as a PNG of 8 bits, each under its title.

    Args:
        images: uint16 or uint8 [height, width], or uint8 [height, width, 3] of blue, green and
            red; None leaves an empty tile. All tiles are as wide as the widest image is at their
            height.
        titles: one for each image, without identifiers.
        columns: images in a row.
        points: for each image, [point, 2], shares of width and height; each is drawn as a ring, and
            NaN is not.
    """
    widest = max(image.shape[1] / image.shape[0] for image in images if image is not None)
    tile_width = max(1, round(tile_height * widest))
    marks = points or [NO_POINTS] * len(images)
    tiles = [
        _tile(image, title, tile_height, tile_width, of_image)
        for image, title, of_image in zip(images, titles, marks, strict=True)
    ]
    if any(tile.ndim == 3 for tile in tiles):
        tiles = [tile if tile.ndim == 3 else np.dstack([tile] * 3) for tile in tiles]
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


def augmented_sheet(
    rows: Sequence[tuple[NDArray[np.uint16], NDArray[np.float32]]],
    titles: Sequence[str],
    path: Path,
    tile_height: int = TILE_HEIGHT,
) -> None:
    """Write images and changed versions of them, a row each, with their landmarks.

    Args:
        rows: uint16 [version, height, width], the first one unchanged, and [version, landmark, 2],
            shares; NaN where unknown. All rows have as many versions.
        titles: one for each row.
    """
    images = [image for versions, _ in rows for image in versions]
    points = [of_one for _, of_row in rows for of_one in of_row]
    columns = len(rows[0][0])
    names = [name for title in titles for name in (title, *[""] * (columns - 1))]
    contact_sheet(images, names, path, columns, tile_height, points)


def _tile(
    image: NDArray[np.uint16] | NDArray[np.uint8] | None,
    title: str,
    height: int,
    width: int,
    points: NDArray[np.float32],
) -> NDArray[np.uint8]:
    colours = () if image is None else image.shape[2:]
    tile = np.full((height + CAPTION_HEIGHT, width + 2, *colours), 48, np.uint8)
    if image is not None:
        columns = min(width, max(1, round(image.shape[1] * height / image.shape[0])))
        grey = cv2.resize(image, (columns, height), interpolation=cv2.INTER_AREA)
        whole = np.iinfo(image.dtype).max
        tile[CAPTION_HEIGHT:, :columns] = grey // (whole // 255)
        for x, y in points[~np.isnan(points).any(axis=1)] * (columns, height):
            # A bright ring within a dark one shows on breast and background alike.
            for radius, level in ((4, 0), (3, 255)):
                cv2.circle(tile, (int(x), CAPTION_HEIGHT + int(y)), radius, (level,) * 3, 1)
    place = (2, CAPTION_HEIGHT - 6)
    cv2.putText(tile, title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.35, WHITE, 1, cv2.LINE_AA)
    return tile
