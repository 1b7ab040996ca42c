"""What the settings change of a device's processing: new software.

``brighter_harder`` bends a tone curve; nothing else of the woman or of the device changes.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from math import exp

import numpy as np
from numpy.typing import NDArray

from mim.synthetic.makers import INSPIRATION, REVELATION, Device, Greys
from mim.synthetic.settings import ProgrammeSettings

Field = NDArray[np.float32]
Curve = Callable[[Field], Field]

UPDATE_DAY = date(2015, 1, 1)
"""First day of the new software: the middle of three rounds, and of the second one's exams."""
NEW_SOFTWARE = {INSPIRATION.model: "VB60C", REVELATION.model: "VC21B"}
"""Software Versions (0018,1020) from ``UPDATE_DAY`` on, by model; other models keep theirs."""
_BRIGHTER, _HARDER = 0.9, 1.5
_EQUALISATION, _SHARPENING = 0.10, 1.0


def device_in_use(device: Device, day: date, settings: ProgrammeSettings) -> Device:
    """The device as the programme's settings have it on a day."""
    if settings.software_update and day >= UPDATE_DAY and device.model in NEW_SOFTWARE:
        device = replace(
            device, software=NEW_SOFTWARE[device.model], greys=_new_greys(device.greys)
        )
    return device


def _new_greys(greys: Greys) -> Greys:
    return replace(
        greys,
        curve=brighter_harder(greys.curve, _BRIGHTER, _HARDER),
        equalisation=greys.equalisation + _EQUALISATION,
        sharpening=greys.sharpening + _SHARPENING,
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
