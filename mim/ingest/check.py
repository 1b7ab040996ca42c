"""A deep look at one usable image: whether it decodes, and what its pixels look suspicious for."""

from pathlib import Path

from mim.dicom.checksum import file_checksum
from mim.dicom.pixels import PixelError, read_image
from mim.dicom.rows import Row
from mim.image.findings import look
from mim.vocab import Laterality, Reason, View


def check_pixels(path: Path, row: Row) -> Row:
    """Columns that decoding the file adds to its row, or the reason why it does not decode."""
    try:
        checked: Row = {"checksum": file_checksum(path)}
    except OSError as error:
        detail = f"cannot be read: {type(error).__name__}"
        return {"reason": Reason.UNREADABLE, "detail": detail}
    laterality, view = Laterality(str(row["laterality"])), View(str(row["view"]))
    try:
        found = look(read_image(path), laterality, view).findings
    except PixelError as error:
        return checked | {"reason": error.reason, "detail": error.detail}
    return checked | {
        "findings": [finding for finding, _ in found],
        "finding_words": [words for _, words in found],
    }
