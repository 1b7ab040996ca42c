"""From stored values to what a reader is shown; docs/recipe.md has the policy as a table.

Images for presentation: modality LUT, VOI, MONOCHROME1, in the order of DICOM PS3.4 section N.2.
Images for processing: attenuation, the logarithm of the beam's intensity turned round. Every step
is folded into one table, so that an image pays for a single look-up however many steps it asks for.
"""

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from mim.dicom.elements import code, count, items, number, text, texts
from mim.dicom.kinds import find_presentation
from mim.dicom.pixels import PixelError
from mim.image.geometry import Picture, Tissue
from mim.image.settings import NoWindow
from mim.image.voi import Curve, FaultError, Values, lookup_table, voi_rules
from mim.vocab import Presentation, Reason

FULL_SCALE = 65535
"""White of 16 bits. The recipe's own white is the nearest below that its significant bits hold."""

LEAST_CONTRAST = 0.01
"""A rule shows nothing where dark and bright tissue differ by less than this share of full scale."""


@dataclass(frozen=True)
class GreyScale:
    """How one image's stored values become grey levels.

    ``lowest`` is the smallest value Bits Stored (0028,0101) can hold; ``bits`` how many bits
    that is; ``falling`` says that larger stored values are shown darker; ``processing`` that the
    image is for processing; ``logged`` that its values are a logarithm already; ``faults`` are
    what the file says that is not followed.
    """

    dataset: Dataset
    lowest: int
    bits: int
    falling: bool
    processing: bool
    logged: bool
    modality: Curve
    faults: tuple[str, ...]

    @property
    def highest(self) -> int:
        """The largest stored value."""
        return self.lowest + (1 << self.bits) - 1

    @property
    def black(self) -> int:
        """The stored value that is shown darkest."""
        return self.highest if self.falling else self.lowest

    def upright(self, picture: Picture) -> Picture:
        """Stored values on a scale where tissue is brighter than air."""
        if not self.processing or self.logged:
            return -picture if self.falling else picture
        intensity = picture if self.falling else self.lowest + self.highest - picture
        # A detector's offset may leave values at and below zero, where there is no logarithm.
        attenuation: Picture = -np.log(np.maximum(intensity, 1.0))
        return attenuation

    def shown(self, stored: Values, tissue: Tissue, no_window: NoWindow) -> tuple[Values, str]:
        """Grey levels 0 (black) to 1 (white) of stored values, and the rule that gave them.

        Args:
            stored: stored values, not only whole ones.
            tissue: levels of air and breast on the ``upright`` scale.
            no_window: what to do where the file says nothing that can be used.

        Raises:
            PixelError: the policy refuses the image.
        """
        if self.processing:
            name = "attenuation, logarithm by the maker" if self.logged else "attenuation"
            levels = self.upright(stored.astype(np.float32)).astype(np.float64)
            return _between(levels, tissue.background, tissue.brightest), self._named(name)
        return self._for_presentation(stored, tissue, no_window)

    def _for_presentation(
        self, stored: Values, tissue: Tissue, no_window: NoWindow
    ) -> tuple[Values, str]:
        sign = -1.0 if self.falling else 1.0
        output, levels = self.modality(stored), self.modality(sign * np.array(tissue))
        inverse = _is_monochrome1(self.dataset)
        faults = []
        for rule in voi_rules(self.dataset):
            if rule.fault:
                faults.append(f"{rule.name}: {rule.fault}")
            if rule.curve is None:
                continue
            _, dark, bright, _ = rule.curve(levels)
            if abs(bright - dark) < LEAST_CONTRAST:
                faults.append(f"{rule.name}: shows nothing")
                continue
            grey = rule.curve(output)
            # Presentation LUT Shape INVERSE (2050,0020) only repeats what MONOCHROME1 says.
            return 1.0 - grey if inverse else grey, self._named(rule.name, *faults)
        if no_window == NoWindow.refuse:
            raise PixelError(Reason.NO_WINDOW, "; ".join(faults) or "no VOI LUT and no window")
        air, _, _, brightest = levels
        return _between(output, air, brightest), self._named("breast range", *faults)

    def _named(self, name: str, *faults: str) -> str:
        all_faults = [*self.faults, *faults]
        return f"{name} ({'; '.join(all_faults)})" if all_faults else name


def grey_scale(dataset: Dataset) -> GreyScale:
    """The grey scale of an image, from the elements around its pixels."""
    bits = count(dataset, "BitsStored") or 16
    lowest = -(1 << (bits - 1)) if number(dataset, "PixelRepresentation") == 1 else 0
    modality, faults = _modality(dataset)
    presentation, _ = find_presentation(dataset, text(dataset, "SOPClassUID"))
    if presentation is Presentation.FOR_PROCESSING:
        relationship = code(dataset, "PixelIntensityRelationship")
        if relationship not in ("LIN", "LOG"):
            faults = (*faults, "no Pixel Intensity Relationship: taken for LIN")
        # PS3.3 C.8.11.3.1.2: 1, the default here, says that low values are little intensity.
        falling = number(dataset, "PixelIntensityRelationshipSign") != -1.0
        logged = relationship == "LOG"
    else:
        first, last = modality(np.array([lowest, lowest + (1 << bits) - 1], np.float64))
        falling = bool(last < first) != _is_monochrome1(dataset)
        logged = False
    processing = presentation is Presentation.FOR_PROCESSING
    return GreyScale(dataset, lowest, bits, falling, processing, logged, modality, faults)


def _is_monochrome1(dataset: Dataset) -> bool:
    return code(dataset, "PhotometricInterpretation") == "MONOCHROME1"


def _modality(dataset: Dataset) -> tuple[Curve, tuple[str, ...]]:
    """Modality LUT Sequence (0028,3000), else Rescale Slope and Intercept; PS3.3 C.11.1."""
    faults: tuple[str, ...] = ()
    if items(dataset, "ModalityLUTSequence"):
        try:
            return lookup_table(dataset, "ModalityLUTSequence").look_up, ()
        except FaultError as error:
            faults = (f"Modality LUT: {error}",)
    if not (texts(dataset, "RescaleSlope") or texts(dataset, "RescaleIntercept")):
        return lambda stored: stored, faults
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    if not slope or intercept is None:
        return lambda stored: stored, (*faults, "Rescale: no numbers")
    return lambda stored: stored * slope + intercept, faults


def _between(values: Values, black: float, white: float) -> Values:
    grey: Values = np.clip((values - black) / ((white - black) or 1.0), 0.0, 1.0)
    return grey
