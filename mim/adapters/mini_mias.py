"""mini-MIAS: 322 films of 161 women, both breasts, oblique views, at 0.2 mm in 8 bits.

Suckling et al. 1994 (Excerpta Medica ICS 1069, 375-378); the full MIAS database has the doi
10.17863/CAM.105113. Licence: that of the Mammographic Image Analysis Society, for research only; it
says nothing of weights. Download: ``Info.txt`` and ``mdb001.pgm`` to ``mdb322.pgm``.

Two films with numbers that follow each other are a woman. The copy's README says that even numbers
are left breasts. The file names of the full database say otherwise for all 322 films (mdb001lm,
mdb002rl: left and right), so here odd numbers are left; ``mim index index.check=pixels`` compares
side and pixels. All films were centred on a square of 1024 with black around them.

Lines of ``Info.txt``: film, tissue, class, severity, place; a film with several findings has several
lines. Severity M is cancer; B is a benign finding, counted as recalled without cancer; class NORM is
negative in the collection's own judgement. The tissue's classes F (fatty), G (fatty-glandular) and D
(dense-glandular) are ordered as BI-RADS density is, and are others: they stand as a, b and c.
"""

import re
from pathlib import Path, PurePosixPath

import polars as pl

from mim.adapters.adapted import AT_EXAM, About, Adapted
from mim.adapters.pictures import Picture, write_pictures
from mim.adapters.sources import compare, find_file, list_files
from mim.errors import InputError
from mim.vocab import Density, Laterality, Maker, Outcome, View

ABOUT = About(
    name="mini-MIAS, its tissue classes F, G and D written as density a, b and c",
    licence="that of the Mammographic Image Analysis Society: research only",
    source="doi 10.17863/CAM.105113 (the full database)",
    cannot_know=(
        "days of the exams: no priors, no intervals",
        "how a cancer was found: every malignant breast has the outcome 'cancer'",
        "whether a woman with a benign finding was recalled; her breast counts as if",
        "follow-up of normal breasts; they are negative in the collection's own judgement",
        "BI-RADS density: density a, b and c are the collection's classes fatty, fatty-glandular "
        "and dense-glandular, ordered alike but not BI-RADS; nothing is d",
        "craniocaudal views: there is one oblique film of each breast, at 0.2 mm and 8 bits",
    ),
)

TABLE = "Info.txt"

HOLDS = "Info.txt and mdb001.pgm to mdb322.pgm"

LINE = re.compile(
    r"mdb(?P<film>\d{3})\s+(?P<tissue>[FGD])\s+(?P<finding>[A-Z]{4})(?:\s+(?P<severity>[BM])\b)?"
)

OUTCOMES = {"M": Outcome.CANCER, "B": Outcome.RECALLED, None: Outcome.NEGATIVE}
"""By severity; of several findings of a breast the first in this order counts."""

DENSITIES = {"F": Density.A, "G": Density.B, "D": Density.C}
"""By tissue, least dense first."""

SPACING_MM = 0.2


def read(source: Path, out: Path) -> Adapted:
    """Read ``Info.txt`` and write the films as DICOM files below ``out``."""
    breasts = _breasts(find_file(source, [TABLE], HOLDS))
    paths = {PurePosixPath(path).stem: path for path in list_files(source, [".pgm"])}
    notices = compare([_name(film) for film in breasts], list(paths), TABLE)
    pictures = [
        (source / paths[_name(film)], _picture(film)) for film in breasts if _name(film) in paths
    ]
    folder = out / "dicom"
    notices += write_pictures(pictures, folder)
    rows = [
        {"exam_id": _woman(film), "breast": _side(film), "outcome": outcome, "density": density}
        for film, (outcome, density) in breasts.items()
    ]
    table = pl.DataFrame(rows)
    return Adapted(
        about=ABOUT,
        images=folder,
        tables={
            "exams": table.select("exam_id", woman_id="exam_id").unique(),
            "outcomes": table.drop("density").with_columns(AT_EXAM),
            "density": table.drop("outcome"),
        },
        overrides=pl.DataFrame({"path": [picture.name for _, picture in pictures]}).with_columns(
            maker=pl.lit(Maker.FILM_DIGITISER.value)
        ),
        notices=notices,
    )


def _breasts(info: Path) -> dict[int, tuple[Outcome, Density]]:
    """Outcome and density of each film's breast, by the film's number."""
    found: dict[int, tuple[Outcome, Density]] = {}
    order = list(OUTCOMES.values())
    for number, line in enumerate(info.read_text(errors="replace").splitlines(), 1):
        if not line.startswith("mdb"):
            continue
        match = LINE.match(line)
        if not match or (match["finding"] == "NORM") != (match["severity"] is None):
            raise InputError(
                f"{info}: line {number} is not as published: film, tissue, class, severity "
                "(unless the class is NORM); download it again"
            )
        film, outcome = int(match["film"]), OUTCOMES[match["severity"]]
        density = DENSITIES[match["tissue"]]
        before, denser = found.get(film, (outcome, density))
        found[film] = (min(before, outcome, key=order.index), max(denser, density))
    if not found:
        raise InputError(f"{info}: no line of a film (mdb001 ...); download it again")
    return found


def _name(film: int) -> str:
    return f"mdb{film:03d}"


def _side(film: int) -> Laterality:
    return Laterality.LEFT if film % 2 else Laterality.RIGHT


def _woman(film: int) -> str:
    first = film - 1 + film % 2
    return f"{_name(first)}-{first + 1:03d}"


def _picture(film: int) -> Picture:
    return Picture(
        name=f"{_name(film)}.dcm",
        woman_id=_woman(film),
        exam_id=_woman(film),
        laterality=_side(film),
        view=View.MLO,
        spacing_mm=SPACING_MM,
        film=True,
    )
