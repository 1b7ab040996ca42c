"""From a public collection, as one downloads it, to what ``mim index`` and ``mim cohort`` read."""

from importlib import import_module
from pathlib import Path

from mim.adapters.adapted import Adapted, write_adapted
from mim.adapters.settings import Dataset


def read_dataset(dataset: Dataset, source: Path, out: Path) -> Adapted:
    """Read a collection with ``read`` of its module; ``out`` is where a reader may write images.

    Raises:
        InputError: the folder is not the collection, or a table of it is not as it was published.
    """
    adapted = import_module(f"mim.adapters.{dataset.value}").read(source, out)
    assert isinstance(adapted, Adapted)
    return adapted


def adapt_dataset(dataset: Dataset, source: Path, out: Path) -> None:
    """Write the registry's tables and the index's overrides of a collection, and say what to do next.

    Raises:
        InputError: the folder is not the collection, or a table of it is not as it was published.
    """
    adapted = read_dataset(dataset, source, out)
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
    given = "given_split" in adapted.tables["exams"].columns
    division = " splits.from_registry=true" * given
    print(
        f"next: mim index source={adapted.images} out=INDEX index.overrides={out / 'overrides.parquet'}"
        f"\n      mim cohort index=INDEX registry={out / 'registry'} out=COHORT{division}"
    )
