"""From a breast to the stored pixels of one image: attenuation, quantum noise, grey levels."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mim.synthetic.anatomy import Box, Breast, Position, Projection, Shapes, box_of, resample
from mim.synthetic.faults import Fault, fold, moved
from mim.synthetic.lesions import Lesion, draw
from mim.synthetic.makers import Device, Greys
from mim.synthetic.texture import HEIGHT_MM, Spectrum, power_law_noise
from mim.vocab import View

Field = NDArray[np.float32]
Pixels = NDArray[np.uint16]

FAT_PER_MM = 0.046
"""Linear attenuation of adipose tissue at about 20 keV."""
GLAND_OVER_FAT = 0.034
"""What fibroglandular tissue attenuates more."""
CALCIUM_PER_MM = 1.3
"""What hydroxyapatite attenuates more, thinned as in real specks."""
SKIN_MM = 1.6
"""Thickness of the skin."""
QUANTA_PER_MM2 = 1.5e5
"""X-ray quanta detected per square millimetre behind the average breast."""
TISSUE_MM = 0.15
"""Tissue is drawn no finer than this; finer detail of power-law noise drowns in quanta."""
BASE, GAIN = 0.02, 0.62
"""Glandular share of a ray through fat alone, and what gland adds: no ray meets gland alone."""
BRIGHTEST = 0.75
"""Glandular share that the makers' processing takes for full contrast."""
SOFTNESS = 1.6
"""Softness of the border between fat and gland, in standard deviations of the noise."""


@dataclass(frozen=True)
class Scene:
    """All that one image shows. ``lesions`` holds each lesion with its size (mm) on the day."""

    breast: Breast
    view: View
    position: Position
    lesions: Sequence[tuple[Lesion, float]]
    quantum_seed: list[int]
    fault: Fault | None = None


@dataclass
class Exposure:
    """What the detector saw, in the box of pixels that holds the breast.

    ``inside`` is the distance from the skin (mm), ``thickness`` what is compressed (mm), ``gland``
    the share of dense tissue along each ray, ``attenuation`` the logarithm of open-field over
    detected quanta. ``mask`` numbers the lesions from 1, in the order of the scene. ``glandular``
    is the share of gland in the breast's volume, muscle and lesions left out.
    """

    projection: Projection
    box: Box
    inside: Field
    thickness: Field
    gland: Field
    attenuation: Field
    mask: NDArray[np.uint8]
    glandular: float


def expose(scene: Scene, white: Spectrum, ducts: Field, device: Device, shrink: int) -> Exposure:
    """The exposure of a scene, on a detector whose matrix is divided by ``shrink``.

    Args:
        white: coefficients of this breast's texture, as ``texture.white_spectrum`` gives them.
        ducts: its ducts on the same grid, as ``texture.ducts`` gives them.
    """
    pitch = device.pitch_mm * shrink
    shape = (device.rows // shrink, device.columns // shrink)
    projection = Projection(
        scene.breast,
        scene.view,
        scene.position,
        shape[0] * pitch,
        shape[1] * pitch,
        nipple_in_profile=scene.fault is not Fault.NIPPLE_TURNED,
    )
    shapes = projection.shapes()
    coarse = max(1, int(TISSUE_MM / pitch + 1e-6))
    box = box_of(shapes.inside, pitch * coarse, shape[0] // coarse, shape[1] // coarse)
    exposure = _tissue(projection, shapes, box, white, ducts)
    if coarse > 1:
        _refine(exposure, coarse)
    for number, (lesion, size_mm) in enumerate(scene.lesions, start=1):
        _add_lesion(exposure, lesion, size_mm, number)
    _add_fault(exposure, scene.fault)
    _add_quanta(exposure, scene.quantum_seed)
    return exposure


def _tissue(
    projection: Projection, shapes: Shapes, box: Box, white: Spectrum, ducts: Field
) -> Exposure:
    """The breast without lesions and noise."""
    inside, muscle = resample(shapes.inside, box), resample(shapes.muscle, box)
    roll = np.clip(inside / (0.5 * projection.breast.thickness_mm), 0, 1)
    thickness = projection.breast.thickness_mm * np.sqrt(roll * (2 - roll))
    noise = power_law_noise(white)
    structure = _sample(noise, projection, box, HEIGHT_MM / 2)
    detail = _sample(noise, projection, box, 0.0)
    tree = _sample(ducts, projection, box, HEIGHT_MM / 2)
    preference = resample(shapes.preference, box)
    breast = (inside > 2) & (muscle < -1)
    structure += preference
    threshold = _threshold(structure, thickness, breast, projection.breast.glandular)
    gland = _share(structure, threshold) + 0.02 * detail + 0.09 * tree * np.exp(preference / 2)
    np.clip(gland, 0.0, 1.0, out=gland)
    weight = thickness * breast
    glandular = float((gland * weight).sum() / weight.sum())
    flesh = 1 / (1 + np.exp(-np.clip(muscle / 1.8, -30, 30)))
    gland += flesh * (0.45 + 0.02 * detail - gland)
    gland += 0.3 * np.exp(-np.maximum(inside, 0) / SKIN_MM) * (1 - gland)
    attenuation = thickness * (FAT_PER_MM + GLAND_OVER_FAT * gland)
    mask = np.zeros(inside.shape, np.uint8)
    return Exposure(projection, box, inside, thickness, gland, attenuation, mask, glandular)


def _sample(field: Field, projection: Projection, box: Box, centre_mm: float) -> Field:
    """A periodic field of the breast frame at the pixels of a box."""
    warped = cv2.warpAffine(
        field,
        projection.sampling(HEIGHT_MM / field.shape[0], centre_mm, box),
        (box.columns, box.rows),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_WRAP,
    )
    return np.asarray(warped, np.float32)


def _share(structure: Field, threshold: float) -> Field:
    share: Field = BASE + GAIN / (1 + np.exp((threshold - structure) / SOFTNESS))
    return share


def _threshold(
    structure: Field, thickness: Field, breast: NDArray[np.bool_], glandular: float
) -> float:
    """What structure has to exceed so that gland makes up a share of the breast's volume."""
    step = max(1, int(np.sqrt(breast.size / 6000)))
    chosen = breast[::step, ::step]
    values, weight = structure[::step, ::step][chosen], thickness[::step, ::step][chosen]
    weight = weight / weight.sum()
    low, high = float(values.min()) - 6, float(values.max()) + 6
    for _ in range(16):
        middle = (low + high) / 2
        dense = float(_share(values, middle) @ weight) > glandular
        low, high = (middle, high) if dense else (low, middle)
    return (low + high) / 2


def _refine(exposure: Exposure, factor: int) -> None:
    """Bring a noiseless exposure to a pixel spacing ``factor`` times finer."""
    box = exposure.box.finer(factor)
    for name in ("inside", "thickness", "gland", "attenuation"):
        field = getattr(exposure, name)
        size = (box.columns, box.rows)
        setattr(exposure, name, cv2.resize(field, size, interpolation=cv2.INTER_LINEAR))
    exposure.box, exposure.mask = box, np.zeros((box.rows, box.columns), np.uint8)


def _add_lesion(exposure: Exposure, lesion: Lesion, size_mm: float, number: int) -> None:
    """Add a lesion's attenuation and mask; dense tissue around it leaves it less contrast."""
    projection, box = exposure.projection, exposure.box
    patch = draw(lesion, projection.view, size_mm, box.pitch_mm)
    x, y = projection.to_image(*lesion.place.seen(projection.breast, projection.view))
    reach = patch.mask.shape[0] // 2
    top = int(y / box.pitch_mm) - box.row - reach
    left = int(x / box.pitch_mm) - box.column - reach
    rows = slice(max(top, 0), min(top + 2 * reach + 1, box.rows))
    columns = slice(max(left, 0), min(left + 2 * reach + 1, box.columns))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    here = (rows, columns)
    there = (
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    breast = exposure.inside[here] > 0
    room = np.maximum(1.25 - exposure.gland[here], 0.3)
    added = GLAND_OVER_FAT * patch.solid_mm[there] * room
    added += CALCIUM_PER_MM * patch.calcium_mm[there]
    exposure.attenuation[here] += added * breast
    exposure.mask[here][patch.mask[there] & breast] = number


def _add_fault(exposure: Exposure, fault: Fault | None) -> None:
    box = exposure.box
    if fault is Fault.SKIN_FOLD:
        height = (np.arange(box.rows, dtype=np.float32)[:, None] + box.row + 0.5) * box.pitch_mm
        added = fold(exposure.inside, height, exposure.projection.nipple[1])
        exposure.attenuation += GLAND_OVER_FAT * added * (exposure.inside > 0)
    elif fault is Fault.BLURRED:
        exposure.attenuation = moved(exposure.attenuation, box.pitch_mm)


def _add_quanta(exposure: Exposure, seed: list[int]) -> None:
    """Add the noise of Poisson counts, as it shows in their logarithm."""
    attenuation, thickness = exposure.attenuation, exposure.thickness
    typical = float(attenuation[thickness > 0.9 * thickness.max()].mean())
    counts = QUANTA_PER_MM2 * exposure.box.pitch_mm**2
    noise = np.random.default_rng(seed).standard_normal(attenuation.shape, np.float32)
    noise *= np.exp((attenuation - typical) / 2) / float(np.sqrt(counts))
    attenuation += noise


def for_presentation(exposure: Exposure, device: Device, shape: tuple[int, int]) -> Pixels:
    """Stored values [rows, columns] after the maker's processing; chest wall at column 0."""
    greys = device.greys
    grey = greys.curve(_contrast(exposure, greys))
    value = greys.dark + (greys.bright - greys.dark) * grey
    stored = np.clip(value + 0.5, 0, (1 << device.bits_stored) - 1).astype(np.uint16)
    stored[exposure.inside <= 0] = greys.background
    return _on_field(stored, exposure.box, shape, greys.background)


def _contrast(exposure: Exposure, greys: Greys) -> Field:
    """Tissue contrast, thickness equalised and edges enhanced: 0 (skin line) to 1.3."""
    contrast = exposure.attenuation - greys.equalisation * FAT_PER_MM * exposure.thickness
    fat = (1 - greys.equalisation) * FAT_PER_MM
    contrast /= exposure.projection.breast.thickness_mm * (fat + BRIGHTEST * GLAND_OVER_FAT)
    unsharp = _blur(contrast, greys.sharpening_mm / exposure.box.pitch_mm)
    contrast += greys.sharpening * (contrast - unsharp)
    return np.clip(contrast, 0, 1.3, out=contrast)


def _blur(field: Field, sigma: float) -> Field:
    """Gaussian blur; a wide one on a coarser grid."""
    step = max(1, int(sigma / 2))
    if step == 1:
        return np.asarray(cv2.GaussianBlur(field, (0, 0), sigma), np.float32)
    size = (max(1, field.shape[1] // step), max(1, field.shape[0] // step))
    small = cv2.resize(field, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / step)
    full = (field.shape[1], field.shape[0])
    return np.asarray(cv2.resize(small, full, interpolation=cv2.INTER_LINEAR), np.float32)


def for_processing(exposure: Exposure, shape: tuple[int, int]) -> Pixels:
    """Detected quanta as a linear detector of 14 bits stores them; air is the brightest."""
    counts = np.minimum(12000 * np.exp(1.2 - exposure.attenuation), 16383)
    return _on_field(counts.astype(np.uint16), exposure.box, shape, 16383)


def _on_field(pixels: Pixels, box: Box, shape: tuple[int, int], outside: int) -> Pixels:
    field = np.full(shape, outside, np.uint16)
    field[box.row : box.row + box.rows, box.column : box.column + box.columns] = pixels
    return field
