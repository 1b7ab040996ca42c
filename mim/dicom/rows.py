"""One row of the index for each file, usable or not."""

from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from mim.dicom.duplicates import EVIDENCE, find_duplicates, in_words
from mim.dicom.header import describe
from mim.dicom.overrides import read_overrides
from mim.dicom.pseudonym import pseudonym
from mim.dicom.reading import HeaderError, read_header
from mim.dicom.screening import STAND_INS
from mim.dicom.tree import Found, find_files
from mim.errors import InputError
from mim.schemas.images import IMAGES
from mim.vocab import Kind, Laterality, Maker, Presentation, Reason, View

Row = dict[str, object]

PROBLEMS = (
    Reason.UNREADABLE,
    Reason.DAMAGED_PIXELS,
    Reason.UNSUPPORTED_SYNTAX,
    Reason.DECODER_DIED,
    Reason.VIEW_UNKNOWN,
    Reason.SIDE_UNKNOWN,
)
"""Reasons that somebody should look into. The other ones are what a delivery normally holds."""


def scan(source: Path, overrides: Path | None, key: bytes) -> list[Row]:
    """Rows of ``mim.schemas.images`` for all files below ``source``, in the order of their paths.

    For folders of some exams; ``mim.ingest.index`` is for whole deliveries.

    Raises:
        InputError: ``source`` is no folder or holds no file, or the overrides are wrong.
    """
    require_folder(source)
    given = read_overrides(overrides) if overrides else {}
    found = find_files(source)
    require_files(source, len(found))
    if overrides:
        require_matches(overrides, source, len(given), sum(file.path in given for file in found))
    rows = [
        file_row(source, file, given.get(file.path, {}), key)
        for file in tqdm(found, "reading headers", unit="file")
    ]
    _mark_duplicates(rows)
    return rows


def require_folder(source: Path) -> None:
    """InputError where there is no such folder."""
    if not source.is_dir():
        raise InputError(f"source={source}: no such folder; expected a folder of DICOM files")


def require_files(source: Path, files: int) -> None:
    """InputError where the folder holds none."""
    if not files:
        raise InputError(f"source={source}: holds no file; expected a folder of DICOM files")


def require_matches(overrides: Path, source: Path, rows: int, matched: int) -> None:
    """InputError where a table of overrides has rows and none of them names a file."""
    if rows and not matched:
        raise InputError(
            f"overrides={overrides}: none of its paths names a file below {source}; "
            "column 'path' must hold paths below the source, with /"
        )


def file_row(source: Path, found: Found, given: Mapping[str, object], key: bytes) -> Row:
    """The index's row of one file, with ``given`` columns in place of the header's.

    The pseudonym of an image without SOP Instance UID is that of its path. A woman or an exam
    without an identifier has none.
    """
    path = source / found.path
    row: Row = {"path": found.path, "bytes": 0, "modified_ns": 0}
    if found.problem:
        return row | no_header(Reason.UNREADABLE, found.problem)
    try:
        status = path.stat()
        row |= {"bytes": status.st_size, "modified_ns": status.st_mtime_ns}
        dataset, pixels = read_header(path)
    except HeaderError as error:
        return row | no_header(error.reason, str(error))
    except OSError as error:
        return row | no_header(Reason.UNREADABLE, f"cannot be read: {type(error).__name__}")
    row |= describe(dataset, given)
    if pixels is not None and row["reason"] in (None, *STAND_INS):
        row |= {"reason": pixels.reason, "detail": str(pixels)}
    return row | {
        "woman": _pseudonym("woman", row["patient_id"], key),
        "exam": _pseudonym("exam", row["study_uid"], key),
        "image": _pseudonym("image", row["sop_uid"] or found.path, key),
    }


def _pseudonym(kind: str, identifier: object, key: bytes) -> str | None:
    return pseudonym(kind, str(identifier), key) if identifier else None


def no_header(reason: Reason, detail: str) -> Row:
    """What the row of a file holds of which nothing is known."""
    return {
        "reason": reason,
        "detail": detail,
        "maker": Maker.UNKNOWN,
        "kind": Kind.UNKNOWN,
        "laterality": Laterality.UNKNOWN,
        "view": View.UNKNOWN,
        "presentation": Presentation.UNKNOWN,
    }


def _mark_duplicates(rows: list[Row]) -> None:
    usable = [row for row in rows if row["reason"] is None]
    table = IMAGES.from_rows(usable).select(["image", *EVIDENCE])
    for place, kept, same in zip(*find_duplicates(table), strict=True):
        detail = in_words(str(usable[kept]["path"]), same)
        usable[place] |= {"reason": Reason.DUPLICATE_IMAGE, "detail": detail}
