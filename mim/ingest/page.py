"""The page that an index ends with."""

from pathlib import Path

from mim.ingest.settings import IndexSettings


def write_page(index: Path, settings: IndexSettings) -> None:
    """Write ``index.html`` into an index."""
