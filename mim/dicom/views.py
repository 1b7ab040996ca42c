"""Codes and labels of projection, modifier and side: what each value means.

Codes are those of DICOM PS3.16 CID 4014 (views), CID 4015 (view modifiers) and CID 244
(laterality), in SNOMED CT and in the SNOMED RT form that older files hold. Labels are the
abbreviations of the ACR Mammography Quality Control Manual, which CID 4014 and 4015 list too.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from mim.dicom.elements import Elements, code, items, text
from mim.vocab import Laterality, View, ViewModifier

SCHEMES = ("SCT", "SRT", "SNM3", "99SDM", "SNM", None)
"""Coding Scheme Designators (0008,0102) of SNOMED, old and new; None: files that leave it out."""

VIEW_CODES = {
    "399162004": View.CC,
    "R-10242": View.CC,
    "399368009": View.MLO,
    "R-10226": View.MLO,
    "399260004": View.ML,
    "R-10224": View.ML,
    "399352003": View.LM,
    "R-10228": View.LM,
    "399099002": View.LMO,
    "R-10230": View.LMO,
    "399192008": View.XCCL,
    "R-1024A": View.XCCL,
    "399101009": View.XCCM,
    "R-1024B": View.XCCM,
    "399196006": View.FB,
    "R-10244": View.FB,
    "399188001": View.SIO,
    "R-102D0": View.SIO,
    "441555000": View.ISO,
    "R-40AAA": View.ISO,
    "127457009": View.SPECIMEN,
    "G-8310": View.SPECIMEN,
}

RETIRED_VIEW_CODES = {
    "R-102CF": View.XCC,
    "Y-X1770": View.XCCL,
    "Y-X1771": View.XCCM,
}
"""Codes of earlier editions of CID 4014, of which its notes 1 and 3 tell receivers."""

KNOWN_VIEWS = VIEW_CODES | RETIRED_VIEW_CODES

MODIFIER_CODES = {
    "399161006": ViewModifier.CLEAVAGE,
    "R-102D2": ViewModifier.CLEAVAGE,
    "399011000": ViewModifier.AXILLARY_TAIL,
    "R-102D1": ViewModifier.AXILLARY_TAIL,
    "399197002": ViewModifier.ROLLED,
    "R-102D3": ViewModifier.ROLLED,
    "399226006": ViewModifier.ROLLED,
    "R-102D4": ViewModifier.ROLLED,
    "414493004": ViewModifier.ROLLED,
    "R-102CA": ViewModifier.ROLLED,
    "415670009": ViewModifier.ROLLED,
    "R-102C9": ViewModifier.ROLLED,
    "399209000": ViewModifier.IMPLANT_DISPLACED,
    "R-102D5": ViewModifier.IMPLANT_DISPLACED,
    "399163009": ViewModifier.MAGNIFIED,
    "R-102D6": ViewModifier.MAGNIFIED,
    "399055006": ViewModifier.SPOT,
    "R-102D7": ViewModifier.SPOT,
    "399110001": ViewModifier.TANGENTIAL,
    "R-102C2": ViewModifier.TANGENTIAL,
    "442581004": ViewModifier.NIPPLE_IN_PROFILE,
    "R-40AB3": ViewModifier.NIPPLE_IN_PROFILE,
    "442593008": ViewModifier.INFRAMAMMARY_FOLD,
    "R-40ABE": ViewModifier.INFRAMAMMARY_FOLD,
    "442580003": ViewModifier.AXILLARY_TISSUE,
    "R-40AB2": ViewModifier.AXILLARY_TISSUE,
    "441752004": ViewModifier.ANTERIOR_COMPRESSION,
    "P2-00161": ViewModifier.ANTERIOR_COMPRESSION,
}

SIDE_CODES = {
    "7771000": Laterality.LEFT,
    "G-A101": Laterality.LEFT,
    "24028007": Laterality.RIGHT,
    "G-A100": Laterality.RIGHT,
}


class Label(NamedTuple):
    """What a written label such as 'RMLO' or 'L CC ID' says; UNKNOWN where it says nothing."""

    side: Laterality = Laterality.UNKNOWN
    view: View = View.UNKNOWN
    modifiers: tuple[ViewModifier, ...] = ()


SIDES = {"L": Laterality.LEFT, "R": Laterality.RIGHT}
SIDE_WORDS = {"LEFT": Laterality.LEFT, "RIGHT": Laterality.RIGHT}

LATERALITIES = SIDES | SIDE_WORDS
"""Values of Image Laterality and its like that name one side; the words are not standard."""

VIEW_WORDS = {
    "CRANIOCAUDAL": View.CC,
    "MEDIOLATERALOBLIQUE": View.MLO,
    "MEDIOLATERAL": View.ML,
    "LATEROMEDIAL": View.LM,
    "LATEROMEDIALOBLIQUE": View.LMO,
    "CAUDOCRANIAL": View.FB,
    "SPECIMEN": View.SPECIMEN,
}

PREFIXES = {"S": ViewModifier.SPOT, "M": ViewModifier.MAGNIFIED}

SUFFIXES = {
    "ID": ViewModifier.IMPLANT_DISPLACED,
    "RL": ViewModifier.ROLLED,
    "RM": ViewModifier.ROLLED,
    "RI": ViewModifier.ROLLED,
    "RS": ViewModifier.ROLLED,
    "NP": ViewModifier.NIPPLE_IN_PROFILE,
    "AC": ViewModifier.ANTERIOR_COMPRESSION,
    "IMF": ViewModifier.INFRAMAMMARY_FOLD,
    "AX": ViewModifier.AXILLARY_TISSUE,
}

MODIFIER_WORDS = SUFFIXES | {
    "CV": ViewModifier.CLEAVAGE,
    "AT": ViewModifier.AXILLARY_TAIL,
    "TAN": ViewModifier.TANGENTIAL,
    "SPOT": ViewModifier.SPOT,
    "MAG": ViewModifier.MAGNIFIED,
}


def _view_labels() -> dict[str, Label]:
    """Every 'side, prefix, view, suffix' written without gaps: CC, LMLO, RSCC, CCID, ..."""
    bases = {view.value: view for view in View if view.value.isupper()}
    return {
        f"{side}{prefix}{base}{suffix}": Label(
            SIDES.get(side, Laterality.UNKNOWN),
            view,
            tuple(m for m in (PREFIXES.get(prefix), SUFFIXES.get(suffix)) if m),
        )
        for side in ("", *SIDES)
        for prefix in ("", *PREFIXES)
        for base, view in bases.items()
        for suffix in ("", *SUFFIXES)
    }


VIEW_LABELS = _view_labels() | {word: Label(view=view) for word, view in VIEW_WORDS.items()}

LABELS = (
    VIEW_LABELS
    | {word: Label(side=side) for word, side in LATERALITIES.items()}
    | {word: Label(modifiers=(modifier,)) for word, modifier in MODIFIER_WORDS.items()}
    | {
        f"{side}{word}": Label(side=SIDES[side], modifiers=(MODIFIER_WORDS[word],))
        for side in SIDES
        for word in ("CV", "AT", "TAN")
    }
)


NEUTRAL = {"BREAST", "MAMMO", "MAMMOGRAPHY", "TOMO"}
"""Words beside a label that say nothing; Fuji writes 'R MAMMOGRAPHY,CC' and 'TOMO R MAMMOGRAPHY,CC'."""

WORD = re.compile(r"[A-Z0-9]+")


def _merged(labels: Iterable[Label]) -> Label | None:
    """One label that says what all say; None where two of them name other sides or views."""
    known = list(labels)
    sides = {label.side for label in known} - {Laterality.UNKNOWN}
    views = {label.view for label in known} - {View.UNKNOWN}
    if len(sides) > 1 or len(views) > 1:
        return None
    return Label(
        next(iter(sides), Laterality.UNKNOWN),
        next(iter(views), View.UNKNOWN),
        tuple(dict.fromkeys(m for label in known for m in label.modifiers)),
    )


@lru_cache(maxsize=4096)
def read_label(value: str | None) -> Label | None:
    """What an element meant for labels says; None unless every word of it is in the table."""
    words = [word for word in WORD.findall((value or "").upper()) if word not in NEUTRAL]
    if joined := LABELS.get("".join(words)):
        return joined
    if not words or any(word not in LABELS for word in words):
        return None
    return _merged(LABELS[word] for word in words)


@lru_cache(maxsize=4096)
def find_label(value: str | None) -> Label | None:
    """What free text says in passing; None if it names no view and no side, or two of either.

    Words of the text that are no label do not count. A lone L or R counts beside a view only.
    """
    words = WORD.findall((value or "").upper())
    found = []
    for place, word in enumerate(words):
        if word in VIEW_LABELS:
            found.append(VIEW_LABELS[word])
        elif word in SIDE_WORDS:
            found.append(Label(side=SIDE_WORDS[word]))
        elif word in SIDES and VIEW_LABELS.keys() & words[max(place - 1, 0) : place + 2]:
            found.append(Label(side=SIDES[word]))
    return _merged(found) if found else None


def code_value(item: Elements) -> str | None:
    """Code Value (0008,0100) of a code sequence item that uses SNOMED; else None."""
    return text(item, "CodeValue") if code(item, "CodingSchemeDesignator") in SCHEMES else None


def coded(dataset: Elements) -> tuple[View, list[ViewModifier]]:
    """View and modifiers of View Code Sequence (0054,0220) and View Modifier Code Sequence (0054,0222).

    The view is UNKNOWN if missing or not in CID 4014. The standard nests the modifiers in the item of
    the view; some files have them beside it.
    """
    views = items(dataset, "ViewCodeSequence")
    view = next(
        (KNOWN_VIEWS[value] for value in map(code_value, views) if value in KNOWN_VIEWS),
        View.UNKNOWN,
    )
    values = [
        code_value(item)
        for place in (*views, dataset)
        for item in items(place, "ViewModifierCodeSequence")
    ]
    return view, [MODIFIER_CODES[value] for value in values if value in MODIFIER_CODES]
