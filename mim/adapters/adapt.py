"""From a public collection, as one downloads it, to what ``mim index`` and ``mim cohort`` read."""

from collections.abc import Callable
from pathlib import Path

from mim.adapters.adapted import Adapted, write_adapted
from mim.adapters.settings import Dataset
from mim.errors import InputError

READERS: dict[Dataset, Callable[[Path, Path], Adapted]] = {}
"""The reader of each collection: from the folder as downloaded, and the folder to write to."""


def adapt_dataset(dataset: Dataset, source: Path, out: Path) -> None:
    """Write the registry's tables and the index's overrides of a collection, and say what to do next.

    Raises:
        InputError: the folder is not the collection, or a table of it is not as it was published.
    """
    if dataset not in READERS:
        raise InputError(f"dataset={dataset}: no adapter yet")
    adapted = READERS[dataset](source, out)
    write_adapted(adapted, out)
    about = adapted.about
    print(f"{about.name}, {about.source}")
    print(f"licence: {about.licence}")
    for sentence in about.cannot_know:
        print(f"not known: {sentence}")
    for notice in adapted.notices:
        print(f"notice: {notice}")
    for name, table in adapted.tables.items():
        print(f"{table.height:>10}  {name}")
    print(
        f"next: mim index source={adapted.images} out=INDEX index.overrides={out / 'overrides.parquet'}"
        f"\n      mim cohort index=INDEX registry={out / 'registry'} out=COHORT"
    )
