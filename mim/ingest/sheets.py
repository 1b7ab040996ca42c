"""Pictures for the page: small, and made so that no burnt-in name can be read.

Names are burnt in beside the breast, into screen copies and into reports. So a picture is shown
finely only where a breast was found, in images that are mammograms; everything else stands in blocks
of ``BLOCKS`` to the height, in which a letter of up to an eighth of the picture is four blocks tall.
If letters were found within the breast, all of it stands in blocks.
"""

import base64
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mim.dicom.pixels import PixelError, read_image
from mim.image.findings import look, picture
from mim.image.geometry import find_breast, inside_frame
from mim.ingest.tally import Drawn
from mim.vocab import Finding, Reason
from mim.workers.local import cores, in_processes
from mim.workers.task import holding

ROWS = 208
"""Height of a picture on the page; a screen of double density shows it at half of that."""

BLOCKS = 32
QUALITY = 75
EACH = 8
"""Pictures that a process makes at a time."""

MAMMOGRAMS = frozenset(
    {
        *(None, Reason.FOR_PROCESSING, Reason.SYNTHETIC_2D, Reason.SPOT, Reason.MAGNIFIED),
        *(Reason.PARTIAL_VIEW, Reason.NOT_SCREENING_VIEW, Reason.VIEW_UNKNOWN),
        *(Reason.SIDE_UNKNOWN, Reason.DUPLICATE_IMAGE, Reason.NO_WINDOW),
    }
)
"""Reasons (None: usable) of images whose largest bright body is a breast."""


class Tile(NamedTuple):
    """A picture as the address of an ``img`` element, or in ``words`` why there is none.

    ``findings``: what its pixels look suspicious for, if it is usable.
    """

    address: str | None
    words: str
    findings: tuple[tuple[Finding, str], ...] = ()


@dataclass(frozen=True)
class SheetTask:
    """Pictures for one process to make; ``deadly`` are paths that ended a process."""

    number: int
    source: Path
    folder: Path
    images: tuple[Drawn, ...]
    deadly: frozenset[str] = frozenset()

    @property
    def in_hand(self) -> Path:
        """See ``mim.workers.task``."""
        return self.folder / f"{self.number}.in-hand"

    def without(self, item: str) -> Self:
        """See ``mim.workers.task``."""
        return replace(self, deadly=self.deadly | {item})


def make_tiles(source: Path, images: Collection[Drawn]) -> dict[str, Tile]:
    """The picture of each image by its path, made in processes of which a decoder may end one."""
    tiles: dict[str, Tile] = {}
    if not images:
        return tiles
    with (
        TemporaryDirectory() as folder,
        tqdm(total=len(images), desc="making pictures", unit="image") as bar,
    ):
        tasks = _tasks(source, Path(folder), images)
        workers = min(cores(), -(-len(images) // EACH))
        for task, made in in_processes(make_some, tasks, workers):
            tiles |= zip((image.path for image in task.images), made, strict=True)
            bar.update(len(made))
    return tiles


def _tasks(source: Path, folder: Path, images: Iterable[Drawn]) -> Iterator[SheetTask]:
    waiting = iter(images)
    number = 0
    while some := tuple(islice(waiting, EACH)):
        yield SheetTask(number, source, folder, some)
        number += 1


def make_some(task: SheetTask) -> list[Tile]:
    """The picture of each image of a task."""
    tiles = []
    with holding(task.in_hand) as take:
        for image in task.images:
            take(image.path)
            tiles.append(
                Tile(None, Reason.DECODER_DIED)
                if image.path in task.deadly
                else make_tile(task.source / image.path, image)
            )
    return tiles


def make_tile(path: Path, image: Drawn) -> Tile:
    """Picture and findings of one image."""
    mammogram = image.reason in MAMMOGRAMS
    try:
        stored = read_image(path)
        if not mammogram:
            return Tile(_address(in_blocks(picture(stored))), "")
        grey, findings = look(stored, image.laterality, image.view)
    except PixelError as error:
        return Tile(None, error.reason)
    lettered = any(finding is Finding.LETTERS_IN_BREAST for finding, _ in findings)
    shown = in_blocks(grey) if lettered else discreet(grey)
    return Tile(_address(shown), "", tuple(findings) if image.reason is None else ())


def discreet(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The breast as it is, and all else in blocks; uint8 [rows, columns] to the same."""
    top, bottom, left, right = inside_frame(grey, False)
    breast = find_breast(grey[top:bottom, left:right].astype(np.float32))
    shown = in_blocks(grey)
    if breast is not None:
        inside = np.zeros(grey.shape, bool)
        inside[top:bottom, left:right] = breast.mask
        shown[inside] = grey[inside]
    return shown


def in_blocks(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture in ``BLOCKS`` blocks to the height; uint8 [rows, columns] to the same."""
    rows, columns = grey.shape
    size = (max(1, round(columns * BLOCKS / rows)), BLOCKS)
    coarse = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    blocks = cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_NEAREST)
    return np.asarray(blocks, np.uint8)


def _address(grey: NDArray[np.uint8]) -> str:
    rows, columns = grey.shape
    size = (max(1, round(columns * ROWS / rows)), ROWS)
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")
