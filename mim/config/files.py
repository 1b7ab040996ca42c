"""Where the shipped YAML files lie."""

from pathlib import Path

import mim

PACKAGE = Path(mim.__file__).parent
CONFIGS = next(
    folder for folder in (PACKAGE / "configs", PACKAGE.parent / "configs") if folder.is_dir()
)
"""The folder ``configs``: inside the package in a wheel, beside it in a checkout."""


def experiments() -> list[str]:
    """Names that ``experiment=`` takes, sorted."""
    return sorted(path.stem for path in (CONFIGS / "experiment").glob("*.yaml"))
