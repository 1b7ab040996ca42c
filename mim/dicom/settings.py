"""Settings of the index."""

from dataclasses import dataclass


@dataclass
class IndexSettings:
    overrides: str | None = None
    """CSV or Parquet table with a column ``path`` (POSIX, below the source) and any of: patient_id, study_uid, accession_number, study_date, laterality, view, presentation, modality, maker. A filled cell replaces what the header says."""
    key_file: str | None = None
    """File with the secret key of the pseudonyms; missing: a key is made once and kept in the index."""
    workers: int = 0
    """Processes that read headers; 0 takes one per core."""
