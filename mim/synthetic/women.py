"""The population: who is invited, who comes, who has cancer, and what her breasts are like.

Each woman is drawn from streams of her own, so more women do not change the earlier ones.
"""

from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import IntEnum, StrEnum

import numpy as np

from mim.synthetic.anatomy import Breast, Position
from mim.synthetic.faults import BEST_GRADE, Fault, fault_of, worse
from mim.synthetic.lesions import CANCER_KINDS, Lesion, LesionKind, place_in
from mim.synthetic.makers import SITES, Device, Site
from mim.vocab import BREASTS, VIEW_SLOTS, Density, Laterality, Quality, View

FIRST_DAY = date(2012, 1, 2)
"""First day of the first round."""
ROUND_DAYS = 730
ATTENDANCE = 0.85
SCREEN_DETECTED_SHARE = 0.75
"""Share of the cancers that screening finds; the rest are interval cancers."""


class Stream(IntEnum):
    """Names of the independent random streams of one woman."""

    LIFE = 1
    BREASTS = 2
    BENIGN = 3
    CANCER = 4
    EXAM = 5
    TEXTURE = 6
    CHANGE = 7
    COMMON = 8
    DUCTS = 9
    QUANTA = 10
    READERS = 11
    REPEAT = 12
    LOOKALIKE = 13


class Extra(StrEnum):
    """What is odd about one exam's files."""

    FOR_PROCESSING = "for-processing twin"
    SPOT = "spot magnification"
    EXAGGERATED = "exaggerated cranio-caudal view"
    REPEATED = "repeated view"
    MISSING_VIEW = "missing view"
    NO_LATERALITY = "no laterality element"
    VIEW_IN_DESCRIPTION = "view only in the series description"


EXTRA_SHARES = {
    Extra.FOR_PROCESSING: 0.03,
    Extra.SPOT: 0.02,
    Extra.EXAGGERATED: 0.02,
    Extra.REPEATED: 0.02,
    Extra.MISSING_VIEW: 0.02,
    Extra.NO_LATERALITY: 0.02,
    Extra.VIEW_IN_DESCRIPTION: 0.02,
}
"""Share of the exams with each; an exam has one at most."""


@dataclass(frozen=True)
class Cancer:
    """The one cancer of a woman. ``found_by`` is the round that found it, or that it followed."""

    side: Laterality
    diagnosed: date
    found_by: int
    screen_detected: bool
    invasive: bool
    size_mm: float


@dataclass(frozen=True)
class Exam:
    """One attended round. Dictionaries are by side, or by (side, view)."""

    round: int
    exam_id: str
    day: date
    age: int
    site: Site
    device: Device
    breasts: dict[Laterality, Breast]
    density: dict[Laterality, Density]
    positions: dict[tuple[Laterality, View], Position]
    grades: dict[tuple[Laterality, View], Quality]
    faults: dict[tuple[Laterality, View], Fault | None]
    extra: Extra | None


@dataclass(frozen=True)
class Woman:
    """One invited woman and her attended exams, oldest first."""

    number: int
    woman_id: str
    birth_year: int
    followup_end: date
    exams: tuple[Exam, ...]
    lesions: tuple[Lesion, ...]
    cancer: Cancer | None


@dataclass(frozen=True)
class _Life:
    number: int
    birth_year: int
    sites: tuple[Site, ...]
    days: dict[int, date] = field(default_factory=dict)


def draw_woman(
    seed: int, number: int, rounds: int, cancer_share: float, lookalike_share: float = 0.0
) -> Woman:
    """Woman ``number`` (from 1) of the programme."""
    key = (seed, number)
    life = _life(key, rounds, cancer_share)
    build = _build(key)
    cancer, tumour = _cancer(key, life, build, cancer_share)
    days = {r: d for r, d in life.days.items() if cancer is None or r <= cancer.found_by}
    exams = tuple(_exam(key, life, build, r, day) for r, day in sorted(days.items()))
    lesions = [*_benign(key, build), *_lookalike(key, build, lookalike_share)]
    lesions += [tumour] if tumour else []
    return Woman(
        number,
        woman_id(number),
        life.birth_year,
        _followup_end(key, exams, cancer),
        exams,
        tuple(lesions),
        cancer,
    )


def woman_id(number: int) -> str:
    return f"W{number:06d}"


def lesions_on(woman: Woman, side: Laterality, day: date) -> list[tuple[Lesion, float]]:
    """The lesions that a breast shows on a day, with their sizes (mm)."""
    return [
        (lesion, lesion.size_on(day))
        for lesion in woman.lesions
        if lesion.side is side and lesion.visible_on(day)
    ]


def _life(key: tuple[int, int], rounds: int, cancer_share: float) -> _Life:
    rng = np.random.default_rng([*key, Stream.LIFE])
    oldest_start = max(50, 69 - 2 * (rounds - 1))
    age = int(rng.integers(50, oldest_start + 1))
    start = FIRST_DAY + timedelta(days=int(rng.integers(ROUND_DAYS)))
    home = int(rng.integers(len(SITES)))
    sites, days = [], {}
    for number in range(rounds):
        came, delay, moves, target = (
            rng.random(),
            rng.normal(0, 25),
            rng.random(),
            rng.integers(len(SITES)),
        )
        if number and moves < 0.04:
            home = int(target)
        sites.append(SITES[home])
        if came < ATTENDANCE:
            days[number] = start + timedelta(
                days=ROUND_DAYS * number + int(np.clip(delay, -60, 60))
            )
    has_cancer = _cancer_draw(key) < cancer_share
    if has_cancer and not days:
        days[0] = start
    return _Life(key[1], start.year - age, tuple(sites), days)


def _cancer_draw(key: tuple[int, int]) -> float:
    return float(np.random.default_rng([*key, Stream.CANCER]).random())


@dataclass(frozen=True)
class _Build:
    breasts: dict[Laterality, Breast]
    density: dict[Laterality, float]


def _build(key: tuple[int, int]) -> _Build:
    rng = np.random.default_rng([*key, Stream.BREASTS])
    depth = float(np.clip(rng.normal(98, 16), 65, 135))
    half = float(np.clip(0.82 * depth + rng.normal(8, 6), 58, 125))
    thickness = float(np.clip(rng.normal(30, 6) + 0.27 * depth, 32, 85))
    pectoral, roundness = float(rng.uniform(45, 68)), float(rng.uniform(1.9, 2.3))
    latent = float(rng.normal())
    breasts, density = {}, {}
    for side in BREASTS:
        scale = float(np.clip(rng.normal(1, 0.025), 0.93, 1.07))
        breasts[side] = Breast(
            side, depth * scale, half * scale, thickness, 0.0, pectoral, roundness
        )
        density[side] = latent + float(rng.normal(0, 0.1))
    return _Build(breasts, density)


_LATENT = (-3.2, -1.28, 0.0, 1.28, 3.0)
_SHARES = (0.03, 0.07, 0.14, 0.28, 0.45)


def _density(latent: float, age: int) -> tuple[Density, float]:
    """BI-RADS class (10, 40, 40, 10 % of women) and glandular share; both fall with age."""
    aged = latent - 0.02 * (age - 58)
    share = float(np.interp(aged, _LATENT, _SHARES))
    return list(Density)[int(np.searchsorted(_LATENT[1:4], aged))], share


def _cancer(
    key: tuple[int, int], life: _Life, build: _Build, cancer_share: float
) -> tuple[Cancer | None, Lesion | None]:
    rng = np.random.default_rng([*key, Stream.CANCER])
    if rng.random() >= cancer_share:
        return None, None
    side = BREASTS[int(rng.integers(2))]
    found_by = sorted(life.days)[int(rng.integers(len(life.days)))]
    screen_detected = bool(rng.random() < SCREEN_DETECTED_SHARE)
    if screen_detected:
        days = int(rng.integers(14, 57))
        size = float(np.clip(rng.lognormal(np.log(15), 0.3), 8, 25))
        doubling, contrast = float(rng.uniform(130, 320)), float(rng.uniform(1.7, 2.6))
    else:
        days = int(rng.integers(122, 700))
        size = float(np.clip(rng.lognormal(np.log(19), 0.3), 10, 40))
        doubling, contrast = float(rng.uniform(70, 180)), float(rng.uniform(1.2, 2.2))
    kind = list(CANCER_KINDS)[int(rng.choice(len(CANCER_KINDS), p=list(CANCER_KINDS.values())))]
    diagnosed = life.days[found_by] + timedelta(days=days)
    invasive = bool(rng.random() < (0.35 if kind is LesionKind.CALCIFICATIONS else 0.93))
    place = place_in(build.breasts[side], rng)
    seed = (*key, int(Stream.CANCER), 1)
    lesion = Lesion(side, kind, True, place, size, contrast, seed, diagnosed, doubling)
    return Cancer(side, diagnosed, found_by, screen_detected, invasive, round(size, 1)), lesion


def _benign(key: tuple[int, int], build: _Build) -> list[Lesion]:
    lesions = []
    for index, side in enumerate(BREASTS):
        rng = np.random.default_rng([*key, Stream.BENIGN, index])
        for kind, share, low, high in (
            (LesionKind.SMOOTH_MASS, 0.09, 6.0, 18.0),
            (LesionKind.COARSE_CALCIFICATION, 0.10, 1.5, 4.0),
        ):
            present, size, contrast = (
                rng.random() < share,
                rng.uniform(low, high),
                rng.uniform(0.5, 1.1),
            )
            place = place_in(build.breasts[side], rng)
            seed = (*key, int(Stream.BENIGN), index, list(LesionKind).index(kind))
            if present:
                lesions.append(
                    Lesion(side, kind, False, place, float(size), float(contrast), seed, FIRST_DAY)
                )
    return lesions


def _lookalike(key: tuple[int, int], build: _Build, share: float) -> list[Lesion]:
    """A benign lesion of a cancer's kind, size and contrast that does not grow."""
    rng = np.random.default_rng([*key, Stream.LOOKALIKE])
    if rng.random() >= share:
        return []
    side = BREASTS[int(rng.integers(2))]
    size = float(np.clip(rng.lognormal(np.log(15), 0.3), 8, 25))
    contrast = float(rng.uniform(1.7, 2.6))
    kind = list(CANCER_KINDS)[int(rng.choice(len(CANCER_KINDS), p=list(CANCER_KINDS.values())))]
    place = place_in(build.breasts[side], rng)
    seed = (*key, int(Stream.LOOKALIKE), 1)
    return [Lesion(side, kind, False, place, size, contrast, seed, FIRST_DAY)]


_GRADES = {
    Quality.PERFECT: 0.12,
    Quality.GOOD: 0.55,
    Quality.MODERATE: 0.29,
    Quality.INADEQUATE: 0.04,
}
_WORST = {  # rotation (degrees), breast lost at the chest wall (mm), end of the muscle (mm)
    Quality.PERFECT: (2.0, 2.0, 4.0),
    Quality.GOOD: (4.0, 6.0, -10.0),
    Quality.MODERATE: (7.0, 13.0, -32.0),
    Quality.INADEQUATE: (10.0, 26.0, -60.0),
}
_BEST_END = {
    Quality.PERFECT: 15.0,
    Quality.GOOD: 4.0,
    Quality.MODERATE: -10.0,
    Quality.INADEQUATE: -32.0,
}


def draw_position(rng: np.random.Generator) -> tuple[Quality, Position]:
    """A positioning grade and a position that deserves it."""
    grade = list(_GRADES)[int(rng.choice(len(_GRADES), p=list(_GRADES.values())))]
    rotation, lost, end = _WORST[grade]
    return grade, Position(
        rotation_deg=float(rng.uniform(-rotation, rotation)),
        lost_mm=float(rng.uniform(0.4, 1.0) * lost),
        shift_mm=float(rng.normal(0, 5)),
        pectoral_end_mm=float(rng.uniform(end, _BEST_END[grade])),
    )


def _exam(key: tuple[int, int], life: _Life, build: _Build, number: int, day: date) -> Exam:
    rng = np.random.default_rng([*key, Stream.EXAM, number])
    site = life.sites[number]
    age = day.year - life.birth_year
    squeeze = float(np.clip(rng.normal(1, 0.04), 0.9, 1.1))
    drawn = {slot: draw_position(rng) for slot in VIEW_SLOTS}
    faults = {slot: fault_of(key, number, *slot) for slot in VIEW_SLOTS}
    breasts, density = {}, {}
    for side in BREASTS:
        shape = build.breasts[side]
        density[side], share = _density(build.density[side], age)
        breasts[side] = Breast(
            side,
            shape.depth_mm,
            shape.half_width_mm,
            shape.thickness_mm * squeeze,
            share,
            shape.pectoral_mm,
            shape.roundness,
        )
    return Exam(
        number,
        f"{woman_id(key[1])}R{number + 1}",
        day,
        age,
        site,
        site.device_on(day),
        breasts,
        density,
        {slot: position for slot, (_, position) in drawn.items()},
        {slot: _graded(grade, faults[slot]) for slot, (grade, _) in drawn.items()},
        faults,
        _extra(float(rng.random())),
    )


def _graded(grade: Quality, fault: Fault | None) -> Quality:
    return grade if fault is None else worse(grade, BEST_GRADE[fault])


def _extra(drawn: float) -> Extra | None:
    for extra, share in EXTRA_SHARES.items():
        if drawn < share:
            return extra
        drawn -= share
    return None


def _followup_end(key: tuple[int, int], exams: tuple[Exam, ...], cancer: Cancer | None) -> date:
    """Three to five years after the last exam for most; 3 % leave or die within two years."""
    rng = np.random.default_rng([*key, Stream.LIFE, 1])
    last = exams[-1].day if exams else FIRST_DAY
    leaves, early, late = rng.random(), int(rng.integers(60, 700)), int(rng.integers(1100, 1800))
    if cancer is None and leaves < 0.03:
        return last + timedelta(days=early)
    end = last + timedelta(days=late)
    return end if cancer is None else max(end, cancer.diagnosed + timedelta(days=late))
