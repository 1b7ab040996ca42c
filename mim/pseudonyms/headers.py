"""A header made to name nobody: every element judged, at any depth, in place."""

import re
from dataclasses import dataclass

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from mim import __version__
from mim.dicom.elements import text, texts, whole_years
from mim.pseudonyms.aliases import Aliases
from mim.pseudonyms.named import Named
from mim.pseudonyms.profile import (
    BINARY,
    DATES,
    EDITION,
    FULL_DATES,
    METHODS,
    MODIFIED_DATES,
    OVERLAYS,
    SAFE_PRIVATE,
    Action,
    action,
)
from mim.pseudonyms.shifts import earlier
from mim.pseudonyms.words import harmless

IMPLEMENTATION = UID("2.25.301386412177342265431190128464218357902")
"""Implementation Class UID (0002,0012) of what is written here; PS3.10 7.1."""

DUMMY = "ANONYMOUS"
OLDEST = 89
"""Years; above, so few women are left that the age itself may name one."""

SEXES = ("F", "M", "O")
SIZES = {"US": 2, "SL": 4}
NUMBERS = ("DS", "IS")
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
TEXTS = ("AE", "CS", "LO", "LT", "SH", "ST", "UC", "UR", "UT")


@dataclass(frozen=True)
class Cover:
    """Everything that the elements of one file are judged by."""

    aliases: Aliases
    named: Named
    days: int


def cover_header(dataset: Dataset, aliases: Aliases) -> None:
    """Apply the profile to a data set as it was read, Pixel Data left as they are.

    The data set must have a Patient ID (0010,0020). File Meta Information is written anew with the
    same transfer syntax, the preamble with zeros.
    """
    patient_id = text(dataset, "PatientID") or ""
    cover = Cover(aliases, Named.by(dataset), aliases.days(patient_id))
    _cover(dataset, cover)
    _say_so(dataset, cover.days)
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(text(dataset, "SOPClassUID") or "")
    meta.MediaStorageSOPInstanceUID = UID(text(dataset, "SOPInstanceUID") or "")
    meta.TransferSyntaxUID = UID(syntax or _found_syntax(dataset))
    meta.ImplementationClassUID = IMPLEMENTATION
    meta.ImplementationVersionName = f"MIM_{__version__}"[:16]
    dataset.file_meta = meta
    dataset.preamble = bytes(128)


def _found_syntax(dataset: Dataset) -> str:
    """Transfer syntax of a file that names none: uncompressed, in the encoding it was read in."""
    match dataset.original_encoding:
        case (False, False):
            return "1.2.840.10008.1.2.2"
        case (False, _):
            return "1.2.840.10008.1.2.1"
    return "1.2.840.10008.1.2"


def has_hidden_overlay(dataset: Dataset) -> bool:
    """Whether an overlay lies in unused bits of the pixels, where removing its header leaves it.

    Overlay Bits Allocated (60xx,0100) is 1 unless it does; PS3.3 C.9.2.
    """
    groups = {tag.group for tag in list(dataset.keys()) if tag.group in OVERLAYS}
    return any((group, 0x0102) in dataset and (group, 0x3000) not in dataset for group in groups)


def _cover(dataset: Dataset, cover: Cover) -> None:
    safe = _safe_private(dataset)
    # The identifiers that others are made of go last.
    for tag in sorted(dataset.keys(), key=lambda tag: (keyword_for_tag(tag) == "PatientID", tag)):
        if tag.is_private:
            if tag not in safe:
                del dataset[tag]
            continue
        raw = dataset.get_item(tag)
        vr = _vr(tag, raw.VR)
        chosen = action(tag, vr)
        if chosen is Action.REMOVE:
            del dataset[tag]
        elif chosen in (Action.EMPTY, Action.DUMMY):
            dataset[tag] = _replaced(dataset, tag, vr, chosen, cover)
        elif "SQ" in (vr, raw.VR):
            _cover_items(dataset, tag, cover)
        else:
            _cover_value(dataset, tag, vr, chosen, cover)


def _vr(tag: int, written: str | None) -> str:
    """VR of PS3.6, whatever the file says, unless PS3.6 leaves a choice."""
    try:
        choice = dictionary_VR(tag).split(" or ")
    except KeyError:
        return "UN"
    return written if written in choice else choice[0]


def _cover_items(dataset: Dataset, tag: int, cover: Cover) -> None:
    """Each item by the same rules; what should be a sequence and is none goes."""
    value = dataset[tag].value
    if _vr(tag, "SQ") != "SQ" or not isinstance(value, Sequence):
        del dataset[tag]
        return
    for item in value:
        _cover(item, cover)


def _replaced(dataset: Dataset, tag: int, vr: str, chosen: Action, cover: Cover) -> DataElement:
    """The element empty, with a dummy value, or with the pseudonym that belongs there."""
    if vr == "SQ":
        return DataElement(tag, "SQ", Sequence())
    keyword = keyword_for_tag(tag)
    written = text(dataset, keyword)
    value: object = ""
    if chosen is Action.DUMMY:
        value = b"\0\0" if vr in BINARY else DUMMY
    if written and vr == "UI":
        value = cover.aliases.uid(written)
    elif written and keyword == "PatientID":
        value = cover.aliases.woman(written)
    elif written and keyword in ("AccessionNumber", "StudyID"):
        value = cover.aliases.exam(written)
    elif keyword == "PatientName" and (patient_id := text(dataset, "PatientID")):
        value = cover.aliases.woman(patient_id)
    return DataElement(tag, vr, value)


def _cover_value(dataset: Dataset, tag: int, vr: str, chosen: Action, cover: Cover) -> None:
    """Rewrite or drop a value; what stays is written with the very bytes that were read."""
    keyword = keyword_for_tag(tag)
    raw = dataset.get_item(tag)
    values = texts(dataset, keyword) if vr in (*TEXTS, *DATES, *NUMBERS, "AS", "UI") else []
    dataset[tag] = raw
    match chosen:
        case Action.UID:
            dataset[tag] = DataElement(tag, vr, [cover.aliases.uid(value) for value in values])
        case Action.MOVE:
            moved = [earlier(value, vr, cover.days) for value in values]
            dataset[tag] = DataElement(tag, vr, moved)
        case Action.AGE:
            _cover_age(dataset, tag)
        case Action.WORDS:
            if not all(map(harmless, values)):
                del dataset[tag]
        case _:
            if not all(_may_stay(keyword, vr, value, cover.named) for value in values):
                dataset[tag] = DataElement(tag, vr, "")


def _cover_age(dataset: Dataset, tag: int) -> None:
    years = whole_years(dataset, "PatientAge")
    if years is None:
        del dataset[tag]
    elif years > OLDEST:
        dataset[tag] = DataElement(tag, "AS", f"{OLDEST + 1:03d}Y")


def _may_stay(keyword: str, vr: str, value: str, named: Named) -> bool:
    if vr in NUMBERS:
        return NUMBER.fullmatch(value) is not None
    if vr == "UI":
        return UID(value).is_valid
    if keyword == "PatientSex":
        return value in SEXES
    return not named.names_her(value)


def _safe_private(dataset: Dataset) -> set[int]:
    """Tags of private elements that stay, with those of their creators; PS3.5 7.8.1."""
    safe = set[int]()
    for tag in list(dataset.keys()):
        creator = tag.group << 16 | tag.element >> 8
        if not tag.is_private or tag.element < 0x1000 or creator not in dataset:
            continue
        name = str(dataset[creator].value).strip()
        vr = SAFE_PRIVATE.get((name, tag.group, tag.element & 0xFF))
        value = dataset.get_item(tag).value
        if vr and (
            isinstance(value, int) or (isinstance(value, bytes) and len(value) == SIZES[vr])
        ):
            safe |= {tag, creator}
    return safe


def _say_so(dataset: Dataset, days: int) -> None:
    """Tell that and how identity was removed; PS3.3 C.7.1.1, C.7.6.1 and C.7.3.1."""
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = [f"mim {__version__}", f"DICOM PS3.15 {EDITION} Annex E"]
    methods = METHODS if days else {k: v for k, v in METHODS.items() if k != MODIFIED_DATES}
    items = sorted([*methods.items(), *([] if days else [FULL_DATES])])
    dataset.DeidentificationMethodCodeSequence = Sequence([_coded(*item) for item in items])
    dataset.LongitudinalTemporalInformationModified = "MODIFIED" if days else "UNMODIFIED"
    dataset.BurnedInAnnotation = "NO"


def _coded(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item
