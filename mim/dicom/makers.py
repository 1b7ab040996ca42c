"""Makers and models of mammographs: closed tables of how they write their names and versions.

Which names were seen in real headers and which are taken from data sheets stands in docs/kinds.md.
"""

import re
from functools import lru_cache
from typing import NamedTuple

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
    "fuji": Maker.FUJI,
    "fujifilm": Maker.FUJI,
    "planmed": Maker.PLANMED,
    "giotto": Maker.GIOTTO,
    "ims": Maker.GIOTTO,
    "internazionale medico scientifica": Maker.GIOTTO,
    "agfa": Maker.AGFA,
    "carestream": Maker.CARESTREAM,
    "eastman kodak": Maker.CARESTREAM,
    "kodak": Maker.CARESTREAM,
    "konica": Maker.KONICA,
    "konicaminolta": Maker.KONICA,
    "array corporation": Maker.FILM_DIGITISER,
    "dba": Maker.FILM_DIGITISER,
    "howtek": Maker.FILM_DIGITISER,
    "icad": Maker.FILM_DIGITISER,
    "lumisys": Maker.FILM_DIGITISER,
    "vidar": Maker.FILM_DIGITISER,
}
"""First whole word or words of Manufacturer (0008,0070), lower case, punctuation removed."""

MODELS = {
    Maker.SIEMENS: {
        "mammomat b brilliant": "Mammomat B.brilliant",
        "mammomat fusion": "Mammomat Fusion",
        "mammomat inspiration": "Mammomat Inspiration",
        "mammomat novation": "Mammomat Novation",
        "mammomat novationdr": "Mammomat Novation",
        "mammomat revelation": "Mammomat Revelation",
    },
    Maker.HOLOGIC: {
        "3dimensions": "3Dimensions",
        "affirm": "Affirm",
        "dsm": "DSM",
        "lorad selenia": "Selenia",
        "multicare": "MultiCare",
        "selenia": "Selenia",
        "selenia dimensions": "Selenia Dimensions",
    },
    Maker.GE: {
        "senoclaire": "SenoClaire",
        "senograph 2000d": "Senographe 2000D",
        "senograph ds": "Senographe DS",
        "senographe 2000d": "Senographe 2000D",
        "senographe care": "Senographe Care",
        "senographe crystal": "Senographe Crystal",
        "senographe ds": "Senographe DS",
        "senographe essential": "Senographe Essential",
        "senographe essential dbt": "Senographe Essential DBT",
        "senographe pristina": "Senographe Pristina",
        "senoiris": "SenoIris",
        "volumepreviewapp": "Volume Preview",
    },
    Maker.PHILIPS: {
        "l30": "MicroDose L30",
        "l50": "MicroDose L50",
        "mammodiagnost dr": "MammoDiagnost DR",
        "mammodiagnost microdose si": "MicroDose SI",
        "mdm l30": "MicroDose L30",
        "microdose": "MicroDose",
        "microdose l30": "MicroDose L30",
        "microdose l50": "MicroDose L50",
        "microdose si": "MicroDose SI",
    },
    Maker.FUJI: {
        "amulet": "Amulet",
        "amulet innovality": "Amulet Innovality",
        "aspire cristalle": "Aspire Cristalle",
        "clearview csm": "ClearView CSm",
        "fdr 1000aws": "FDR-1000AWS",
        "fdr 2000aws": "FDR-2000AWS",
        "fdr 3000aws": "FDR-3000AWS",
        "fdr ms 1000": "Amulet",
        "fdr ms 3000": "Amulet",
        "fdr ms 3500": "Amulet Innovality",
    },
    Maker.PLANMED: {"clarity": "Clarity", "nuance": "Nuance", "sophie nuance": "Nuance"},
    Maker.GIOTTO: {
        "giotto class": "Giotto Class",
        "giotto image": "Giotto Image",
        "giotto image 3d": "Giotto Image 3D",
        "giotto image 3dl": "Giotto Image 3DL",
        "giotto tomo": "Giotto Tomo",
    },
    Maker.AGFA: {"cr 85 x": "CR 85-X", "dm1000": "DM 1000", "dx m": "DX-M"},
    Maker.CARESTREAM: {
        "cr 850": "DirectView CR 850",
        "cr 950": "DirectView CR 950",
        "cr 975": "DirectView CR 975",
        "directview cr 850": "DirectView CR 850",
        "directview cr 950": "DirectView CR 950",
        "directview cr 975": "DirectView CR 975",
    },
    Maker.KONICA: {"regius": "Regius"},
    Maker.FILM_DIGITISER: {
        "diagnosticpro": "DiagnosticPRO",
        "digitalnow": "DigitalNow",
        "imagclear": "ImagClear",
        "lumiscan": "Lumiscan",
        "multirad": "MultiRAD",
        "totallook": "TotalLook",
        "vxr": "VXR",
    },
}
"""First words of Manufacturer's Model Name (0008,1090), as in ``MAKERS``, and the model's one name."""

OF_MODEL = {words: maker for maker, models in MODELS.items() for words in models}

VERSIONS = {
    Maker.SIEMENS: re.compile(r"\b(V[A-Z]\d\d[A-Z]?)\b"),
    # The workstation's version before those of its parts: AWS:1.8.3.63 or AWS:MAMMODROC_3_4_1_8.
    Maker.HOLOGIC: re.compile(r"AWS:(?:MAMMODROC_)?(\d+(?:[._]\d+)*)"),
    Maker.GE: re.compile(r"ADS_(\d+(?:\.\d+)*)"),
}
"""Where a maker writes the version of the acquisition software among other things."""

NUMBERED = re.compile(r"(\d+(?:\.\w+)+)")
BEHIND_MODEL = re.compile(r"_(\d\S*)")


class Device(NamedTuple):
    """What made an image. ``model`` and ``software_version`` are None where no table knows them."""

    maker: Maker
    maker_rule: str | None
    model: str | None
    software_version: str | None


@lru_cache(maxsize=4096)
def identify(
    manufacturer: str | None, model_name: str | None, software: tuple[str, ...] = ()
) -> Device:
    """Maker, model and software version from (0008,0070), (0008,1090) and (0018,1020).

    Case and punctuation do not count. Whole words are compared, from the first one on: 'GE
    Healthcare' is GE, 'General Imaging' is not. Where Manufacturer is empty or names no maker (an
    archive, a converter), and where it names another maker than the model's, the model decides: an
    archive of Agfa may write its own name over that of the mammograph, but hardly another model. The
    rule says so.
    """
    written = _longest(_words(manufacturer), MAKERS)
    named = MAKERS[written] if written else Maker.UNKNOWN
    model = _model_words(model_name)
    if model is None or OF_MODEL[model] == named:
        maker, rule = named, "Manufacturer" if written else None
    else:
        against = f" against Manufacturer {named}" if written else ""
        maker, rule = OF_MODEL[model], f"ManufacturerModelName{against}"
    name = MODELS[maker][model] if model else None
    return Device(maker, rule, name, _version(maker, software, model_name or ""))


def _words(value: str | None) -> list[str]:
    return re.sub(r"[^a-z0-9]+", " ", (value or "").casefold().replace(".", "")).split()


def _longest(words: list[str], table: dict[str, Maker]) -> str | None:
    heads = (" ".join(words[:length]) for length in range(len(words), 0, -1))
    return next((head for head in heads if head in table), None)


def _model_words(model_name: str | None) -> str | None:
    """The key of ``MODELS`` that the name starts with, before or after a maker's name."""
    words = _words((model_name or "").replace(".", " "))
    found = _longest(words, OF_MODEL)
    maker = _longest(words, MAKERS)
    return found or (_longest(words[len(maker.split()) :], OF_MODEL) if maker else None)


def _version(maker: Maker, software: tuple[str, ...], model_name: str) -> str | None:
    """The maker's own mark, else a number with points, else any value with a digit.

    GE writes the version behind the model's name too.
    """
    written = " ".join(software)
    own = VERSIONS.get(maker, NUMBERED)
    if found := own.search(written) or NUMBERED.search(written):
        return found[1].replace("_", ".")
    if bare := next((value for value in software if any(map(str.isdigit, value))), None):
        return bare
    behind = BEHIND_MODEL.search(model_name)
    return behind[1] if behind else None
