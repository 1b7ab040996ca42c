"""What stands in place of an identifier: the same for the same key, on any day and machine."""

from dataclasses import dataclass, field
from hashlib import blake2b

from mim.dicom.pseudonym import pseudonym

ACCESSION_DIGITS = 16
"""Accession Number (0008,0050) is a Short String, PS3.5 6.2: 16 characters at most."""

KNOWN_ROOTS = ("1.2.840.10008.", "2.16.840.1.113883.")
"""Roots of UIDs that name no instance: the standard's own and HL7's code systems."""


@dataclass(frozen=True)
class Aliases:
    """Names by one key. ``shift_days``: the most days that a woman's dates move into the past."""

    key: bytes = field(repr=False)
    shift_days: int

    def woman(self, patient_id: str) -> str:
        """In place of Patient ID and of the registry's ``woman_id``; as the index names her."""
        return pseudonym("woman", patient_id, self.key)

    def exam(self, accession_number: str) -> str:
        """In place of Accession Number and of the registry's ``exam_id``; 64 bits."""
        return pseudonym("accession", accession_number, self.key)[:ACCESSION_DIGITS]

    def uid(self, uid: str) -> str:
        """A UID under 2.25 (PS3.5 B.2) of 128 bits of keyed BLAKE2b; one of ``KNOWN_ROOTS`` stays."""
        if uid.startswith(KNOWN_ROOTS):
            return uid
        digest = blake2b(f"uid\0{uid}".encode(), key=self.key, digest_size=16).digest()
        return f"2.25.{int.from_bytes(digest, 'big')}"

    def other(self, kind: str, identifier: str) -> str:
        """In place of any other name, such as that of a reader."""
        return pseudonym(kind, identifier, self.key)

    def days(self, patient_id: str) -> int:
        """How far the dates of a woman move into the past: 1 to ``shift_days``, or 0 for none."""
        if not self.shift_days:
            return 0
        return 1 + int(pseudonym("shift", patient_id, self.key), 16) % self.shift_days

    def proof(self) -> str:
        """Tells whether two runs had the same key, and nothing about it."""
        return pseudonym("proof", "of the key", self.key)
