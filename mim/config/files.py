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
    return _names("experiment")


def methods() -> list[str]:
    """Names that ``method=`` takes, sorted."""
    return _names("method")


def _names(group: str) -> list[str]:
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))
