"""What the settings change of a device's processing: its distance from the other makers', and new
software. Headers, pitch, bits and windows stay the maker's own, and so does the woman.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from math import exp

import numpy as np
from numpy.typing import NDArray

from mim.synthetic.makers import INSPIRATION, REVELATION, Device, Greys, Voi
from mim.synthetic.settings import ProgrammeSettings
from mim.vocab import Maker

Field = NDArray[np.float32]
Curve = Callable[[Field], Field]

UPDATE_DAY = date(2015, 1, 1)
"""First day of the new software: the middle of three rounds, and of the second one's exams."""
NEW_SOFTWARE = {INSPIRATION.model: "VB60C", REVELATION.model: "VC21B"}
"""Software Versions (0018,1020) from ``UPDATE_DAY`` on, by model; other models keep theirs."""


@dataclass(frozen=True)
class Character:
    """How a processing differs from today's: what ``brighter_harder`` takes, and what is added."""

    brighter: float
    harder: float
    equalisation: float
    sharpening: float


UPDATE = Character(0.9, 1.5, 0.10, 1.0)
"""The new software against the old one."""
FURTHER = {
    Maker.SIEMENS: Character(0.6, 0.8, 0.08, -0.3),
    Maker.HOLOGIC: Character(-1.0, 1.3, -0.20, 1.4),
    Maker.GE: Character(0.7, 1.2, 0.06, 0.8),
    Maker.PHILIPS: Character(-0.6, 1.1, -0.10, -0.9),
}
"""Each maker at gap 2 against gap 1."""
MOST_EQUALISED = 0.97
LEAST_SHARPENED = -0.9
"""A negative gain smooths; at -1 nothing is left of what is finer than ``sharpening_mm``."""
ALIKE = {"equalisation": 0.78, "sharpening": 0.5, "sharpening_mm": 1.2}
"""Fields of all makers' ``Greys`` at gap 0."""
HIGHEST_CONTRAST = 1.3
"""The contrast that the renderer clips to; see ``render``."""


def device_in_use(device: Device, day: date, settings: ProgrammeSettings) -> Device:
    """The device as the programme's settings have it on a day."""
    if settings.maker_gap != 1:
        device = replace(device, greys=greys_at(device, settings.maker_gap))
    if settings.software_update and day >= UPDATE_DAY and device.model in NEW_SOFTWARE:
        greys = _changed(device.greys, UPDATE, 1.0)
        device = replace(device, software=NEW_SOFTWARE[device.model], greys=greys)
    return device


def greys_at(device: Device, gap: float) -> Greys:
    """A device's processing at a gap between makers: 0 all alike, 1 its own, 2 far apart."""
    own = device.greys
    if gap > 1:
        return _changed(own, FURTHER[device.maker], gap - 1)
    alike = _before_sigmoid if device.voi in (Voi.SIGMOID, Voi.TABLES) else _before_line
    mixed = {name: gap * getattr(own, name) + (1 - gap) * ALIKE[name] for name in ALIKE}
    return replace(own, curve=lambda c: gap * own.curve(c) + (1 - gap) * alike(c), **mixed)


def _before_sigmoid(contrast: Field) -> Field:
    """The curve of gap 0 where a sigmoid window follows."""
    return contrast / HIGHEST_CONTRAST


def _before_line(contrast: Field) -> Field:
    """The curve of gap 0 where a linear window follows: shown, both curves are the same."""
    grey: Field = 1 / (1 + np.exp(-4 * (_before_sigmoid(contrast) - 0.5)))
    return grey


def _changed(greys: Greys, character: Character, times: float) -> Greys:
    return replace(
        greys,
        curve=brighter_harder(greys.curve, times * character.brighter, character.harder**times),
        equalisation=min(greys.equalisation + times * character.equalisation, MOST_EQUALISED),
        sharpening=max(greys.sharpening + times * character.sharpening, LEAST_SHARPENED),
    )


def brighter_harder(curve: Curve, brighter: float, harder: float) -> Curve:
    """A curve with its middle lifted and its slope there changed; it rises where ``curve`` does.

    From 0 to 1 the logit of a grey is multiplied by ``harder`` and ``brighter`` is added, both
    ends stay; above 1 ``curve`` is kept. 0 and 1 change nothing.
    """

    def bent(contrast: Field) -> Field:
        grey = curve(contrast)
        inside = np.clip(grey, 0, 1)
        light = exp(brighter) * inside**harder
        return np.where(grey < 1, light / (light + (1 - inside) ** harder), grey)

    return bent
