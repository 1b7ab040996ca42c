"""One mammogram copied so that it names nobody, or left behind with a reason.

The copy is written whole or not at all, and where it lies follows from its UIDs and the key. So a
run that continues knows by the name alone what is done, and needs no list of who is who.
"""

import os
from dataclasses import dataclass, replace
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, Self

from pydicom import dcmread

from mim.dicom.elements import Elements, code, quiet, text
from mim.dicom.header import describe
from mim.dicom.pixels import PixelError, read_image
from mim.dicom.pseudonym import load_key
from mim.dicom.reading import HeaderError, read_header
from mim.dicom.tree import Found
from mim.image.findings import letters_outside
from mim.pseudonyms.aliases import Aliases
from mim.pseudonyms.blank import blank
from mim.pseudonyms.headers import cover_header, has_hidden_overlay
from mim.pseudonyms.named import Named
from mim.vocab import Reason, Unsafe
from mim.workers.task import holding

UNFINISHED = "unfinished"
"""Folder below ``out`` of files that are being written; gone when the run is done."""

NO_MAMMOGRAM = {
    Reason.NO_PIXELS: "no image: a report, a document or a directory",
    Reason.NOT_MAMMOGRAM: "neither Modality MG nor a SOP class of mammograms, or a phantom",
    Reason.SECONDARY_CAPTURE: "capture of a screen or picture in colour, which may show any text",
}
"""Reasons of the index for which a file stays behind. Their details there quote the header."""


class LeftBehindError(Exception):
    """The file is not copied; ``reason`` and the message name nobody."""

    def __init__(self, reason: Reason | Unsafe, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Copied(NamedTuple):
    """What became of one file. ``target``: a hash of where its copy lies, 0 if there is none."""

    target: int = 0
    reason: str | None = None
    detail: str | None = None
    fresh: bool = False
    blanked: bool = False
    recompressed: bool = False


@dataclass(frozen=True)
class Batch:
    """Files to copy, by their paths below ``source``. The key itself stays in its file."""

    source: Path
    out: Path
    key_file: Path
    shift_days: int
    files: tuple[Found, ...]
    first: int
    """Place of the first of them among all files; it tells batches apart."""
    deadly: frozenset[str] = frozenset()

    @property
    def in_hand(self) -> Path:
        """Holds the place of a file in ``files``: its path may name a woman."""
        return self.out / UNFINISHED / f"{self.first}.in_hand"

    def without(self, item: str) -> Self:
        """The same batch once a file has killed a process."""
        return replace(self, deadly=self.deadly | {item})


def copy_batch(batch: Batch) -> list[Copied]:
    """Copy the files that can be copied safely; what became of each, in their order."""
    aliases = Aliases(load_key(batch.key_file), batch.shift_days)
    results = []
    with holding(batch.in_hand) as take:
        for place, found in enumerate(batch.files):
            take(str(place))
            if str(place) in batch.deadly:
                died = Copied(reason=Reason.DECODER_DIED, detail="a process died of it twice")
                results.append(died)
                continue
            try:
                results.append(_copy(found, batch, aliases))
            except (LeftBehindError, HeaderError, PixelError) as left:
                results.append(Copied(reason=left.reason, detail=str(left)))
    return results


def _copy(found: Found, batch: Batch, aliases: Aliases) -> Copied:
    if found.problem:
        raise LeftBehindError(Reason.UNREADABLE, found.problem)
    path = batch.source / found.path
    header, problem = read_header(path)
    if problem:
        raise problem
    reason = describe(header)["reason"]
    for kind, words in NO_MAMMOGRAM.items():
        if reason == kind:
            raise LeftBehindError(kind, words)
    place = _place(header, aliases)
    target = batch.out / "dicom" / place
    done = Copied(int.from_bytes(blake2b(place.encode(), digest_size=8).digest(), "big") or 1)
    if target.exists():
        return done
    data, recompressed = _cleaned(path, aliases)
    unfinished = batch.out / UNFINISHED / f"{batch.first}.{os.getpid()}.dcm"
    unfinished.write_bytes(data)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished.replace(target)
    return done._replace(
        fresh=True, blanked=recompressed is not None, recompressed=bool(recompressed)
    )


def _place(header: Elements, aliases: Aliases) -> str:
    """Where the copy lies below ``dicom``: woman, study and image by their pseudonyms."""
    parts = []
    for keyword, name, kind in (
        ("PatientID", "Patient ID (0010,0020)", "woman"),
        ("StudyInstanceUID", "Study Instance UID (0020,000D)", "exam"),
        ("SOPInstanceUID", "SOP Instance UID (0008,0018)", "image"),
    ):
        identifier = text(header, keyword)
        if identifier is None:
            raise LeftBehindError(Unsafe.NO_IDENTIFIER, f"no {name}")
        parts.append(aliases.other(kind, identifier))
    return "/".join(parts) + ".dcm"


def _cleaned(path: Path, aliases: Aliases) -> tuple[bytes, bool | None]:
    """The file's copy, and whether its pixels were compressed anew; None: they are untouched."""
    stored = read_image(path)
    if has_hidden_overlay(stored.dataset):
        raise LeftBehindError(Unsafe.BURNT_IN, "an overlay in unused bits of the pixels")
    boxes = letters_outside(stored)
    if not boxes and code(stored.dataset, "BurnedInAnnotation") == "YES":
        raise LeftBehindError(
            Unsafe.BURNT_IN, "Burned In Annotation YES, and no letters found outside the breast"
        )
    try:
        with quiet():
            dataset = dcmread(path, force=True)
            if Named.by(dataset).in_stream(dataset.PixelData):
                raise LeftBehindError(Unsafe.NAMED_IN_PIXELS, "a comment or padding holds it")
            recompressed = blank(dataset, stored, boxes) if boxes else None
            cover_header(dataset, aliases)
            copy = BytesIO()
            dataset.save_as(copy, enforce_file_format=True)
    except LeftBehindError:
        raise
    except Exception as error:  # damage makes pydicom raise whatever the values provoke
        raise LeftBehindError(
            Reason.UNREADABLE, f"header cannot be rewritten: {type(error).__name__}"
        ) from None
    return copy.getvalue(), recompressed
