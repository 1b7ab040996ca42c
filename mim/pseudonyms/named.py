"""What a file says about who she is, to be looked for where no rule would look for it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset

from mim.dicom.elements import text, texts
from mim.pseudonyms.words import WORDS

PERSONS = (
    "PatientName",
    "OtherPatientNames",
    "PatientBirthName",
    "PatientMotherBirthName",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "NameOfPhysiciansReadingStudy",
    "PhysiciansOfRecord",
    "OperatorsName",
    "RequestingPhysician",
    "ResponsiblePerson",
)
NUMBERS = (
    "PatientID",
    "OtherPatientIDs",
    "AccessionNumber",
    "StudyID",
    "PatientBirthDate",
    "PatientTelephoneNumbers",
    "MedicalRecordLocator",
    "AdmissionID",
)

SHORTEST_NAME = 3
"""Bytes of UTF-8: three Latin letters, one Chinese sign."""

SHORTEST_NUMBER = 4
"""Letters and digits; anything shorter stands in too many places by chance."""

CERTAIN = 6
"""Bytes that do not stand in compressed pixels by chance: once in 10^7 images of 20 MB."""


@dataclass(frozen=True)
class Named:
    """The names and numbers of one file's woman and of the staff around her."""

    identifiers: tuple[str, ...]
    pattern: re.Pattern[str] | None

    @staticmethod
    def by(dataset: Dataset) -> "Named":
        """Read them from a header as it came."""
        found = tuple(sorted({*_names(dataset), *_numbers(dataset)}))
        if not found:
            return Named((), None)
        either = "|".join(re.escape(identifier) for identifier in found)
        return Named(found, re.compile(rf"(?<![^\W_])(?:{either})(?![^\W_])"))

    def names_her(self, value: str) -> bool:
        """Whether a text holds one of them as a whole word, in any case of letters."""
        return bool(self.pattern and self.pattern.search(value.casefold()))

    def in_stream(self, data: bytes) -> bool:
        """Whether bytes of pixels hold one of them as letters, as in a comment of a JPEG stream."""
        sure = [found.encode() for found in self.identifiers if len(found.encode()) >= CERTAIN]
        return any(
            cased in data for found in sure for cased in (found, found.upper(), found.title())
        )


def _names(dataset: Dataset) -> Iterator[str]:
    for keyword in PERSONS:
        for value in texts(dataset, keyword):
            for part in re.findall(r"[^\W\d_]+(?:[-'][^\W\d_]+)*", value.casefold()):
                if len(part.encode()) >= SHORTEST_NAME and part not in WORDS:
                    yield part


def _numbers(dataset: Dataset) -> Iterator[str]:
    for keyword in NUMBERS:
        for value in texts(dataset, keyword):
            number = value.casefold()
            if sum(map(str.isalnum, number)) >= SHORTEST_NUMBER:
                yield number
    if born := text(dataset, "PatientBirthDate"):
        yield f"{born[:4]}-{born[4:6]}-{born[6:8]}"
        yield f"{born[6:8]}.{born[4:6]}.{born[:4]}"
