"""Settings of the index."""

from dataclasses import dataclass
from enum import StrEnum


class Check(StrEnum):
    """How deep a file is looked at."""

    headers = "headers"
    pixels = "pixels"


@dataclass
class IndexSettings:
    overrides: str | None = None
    """CSV or Parquet table with a column ``path`` (POSIX, below the source) and any of: patient_id, study_uid, accession_number, study_date, laterality, view, kind, presentation, modality, maker. A filled cell replaces what the header says."""
    key_file: str | None = None
    """File with the secret key of the pseudonyms; missing: a key is made once and kept in the index."""
    check: Check = Check.headers
    """headers: read headers and find cut files. pixels: also decode every usable image, look at it, and keep a checksum of its file that the cache verifies; as slow as the cache."""
    pictures: int = 12
    """Images on each contact sheet of the page; 0 leaves the pictures away."""
