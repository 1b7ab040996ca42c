"""An index with its page, of the made-up programme and files that are broken or planted."""

from functools import cache
from pathlib import Path
from shutil import copytree

import cv2
import numpy as np
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

NAME = "NORDMANN"

WOMEN = 8
"""Of the programme's women; more only take longer."""


@cache
def index_with_page(programme: Path) -> Path:
    """Pixels checked, three pictures a sheet; made once for all tests."""
    from mim.ingest.index import write_index
    from mim.ingest.page import write_page
    from mim.ingest.settings import Check, IndexSettings
    from mim.workers.settings import WorkersSettings

    source = programme.parent / "paged" / "source"
    for folder in sorted((programme / "dicom").iterdir())[:WOMEN]:
        copytree(folder, source / folder.name)
    broken = source / "000 Kari Nordmann"
    broken.mkdir()
    usable = next(path for path in sorted(source.rglob("*.dcm")) if is_plain(path))
    (broken / "note.txt").write_text(NAME)
    (broken / "cut.dcm").write_bytes(usable.read_bytes()[:-400])
    (broken / "again.dcm").write_bytes(usable.read_bytes())
    with_letters(usable, broken / "letters.dcm")
    with_letters(usable, broken / "capture.dcm", SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    settings = IndexSettings(pictures=3, check=Check.pixels)
    out = source.parent / "index"
    write_index(source, out, settings, WorkersSettings(workers=1))
    write_page(out, settings)
    return out


def is_plain(path: Path) -> bool:
    """A left MLO for presentation, full in the picture."""
    dataset = dcmread(path, stop_before_pixels=True)
    wanted = ("L", "MLO", "FOR PRESENTATION", "MONOCHROME2")
    names = (
        "ImageLaterality",
        "ViewPosition",
        "PresentationIntentType",
        "PhotometricInterpretation",
    )
    return tuple(dataset.get(name) for name in names) == wanted


def with_letters(source: Path, path: Path, **elements: str) -> None:
    """A copy with a name across the breast and another beside it, under another SOP Instance UID."""
    dataset = dcmread(source)
    pixels = dataset.pixel_array.copy()
    rows, columns = pixels.shape
    ink = np.zeros(pixels.shape, np.uint8)
    for share in (0.1, 0.6):
        place = (int(0.04 * columns), int(share * rows))
        cv2.putText(ink, NAME, place, cv2.FONT_HERSHEY_SIMPLEX, rows / 300, 255, rows // 100)
    pixels[ink > 127] = (1 << dataset.BitsStored) - 1
    dataset.SOPInstanceUID += f".{len(path.name)}"
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.save_as(path)
