"""Makers of mammographs: a closed table of how they write their names."""

import re

from mim.vocab import Maker

MAKERS = {
    "siemens": Maker.SIEMENS,
    "hologic": Maker.HOLOGIC,
    "lorad": Maker.HOLOGIC,
    "ge": Maker.GE,
    "gems": Maker.GE,
    "gehc": Maker.GE,
    "general electric": Maker.GE,
    "philips": Maker.PHILIPS,
    # MicroDose was Sectra's until Philips bought it in 2011.
    "sectra": Maker.PHILIPS,
    "agfa": Maker.AGFA,
    "carestream": Maker.CARESTREAM,
    "eastman kodak": Maker.CARESTREAM,
    "kodak": Maker.CARESTREAM,
    "fuji": Maker.FUJI,
    "fujifilm": Maker.FUJI,
    "giotto": Maker.GIOTTO,
    "howtek": Maker.FILM_DIGITISER,
    "ims": Maker.GIOTTO,
    "internazionale medico scientifica": Maker.GIOTTO,
    "konica": Maker.KONICA,
    "konicaminolta": Maker.KONICA,
    "lumisys": Maker.FILM_DIGITISER,
    "planmed": Maker.PLANMED,
    "vidar": Maker.FILM_DIGITISER,
}
"""First whole word or words of Manufacturer (0008,0070), lower case, punctuation removed."""


def maker(manufacturer: str | None) -> Maker:
    """Maker that a Manufacturer (0008,0070) names; UNKNOWN if empty or not in the table.

    Case and punctuation do not count. Whole words are compared, from the first one on:
    'GE Healthcare' is GE, 'General Imaging' is not.
    """
    words = re.sub(r"[^a-z0-9]+", " ", (manufacturer or "").casefold().replace(".", "")).split()
    for length in range(len(words), 0, -1):
        if known := MAKERS.get(" ".join(words[:length])):
            return known
    return Maker.UNKNOWN
