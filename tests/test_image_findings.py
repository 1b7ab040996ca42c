"""What is planted in a picture is found, and what only looks like it is not."""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from mim.dicom.pixels import PixelError, StoredImage
from mim.image.findings import letters_outside, look, picture
from mim.vocab import Finding, Laterality, Reason, View

ROWS, COLUMNS = 1024, 800
AIR, WHITE = 20, 4095
Pixels = np.ndarray


def breast(mlo: bool = False, noise: float = 30.0) -> Pixels:
    return _breast(mlo, noise).copy()


@cache
def _breast(mlo: bool, noise: float) -> Pixels:
    """A left breast of twelve bits, tissue about 1200 to 2400; an MLO with muscle up to the corner."""
    y, x = np.mgrid[0:ROWS, 0:COLUMNS].astype(np.float32)
    across, down = x / 480, (y - 560) / 380
    texture = np.sin(x / 37) * np.cos(y / 51) + np.sin((x + 2 * y) / 83)
    grey = np.where(across**2 + down**2 < 1, 1500 + 500 * (1 - across) + 200 * texture, AIR)
    if mlo:
        grey = np.where(x / 300 + y / 700 < 1, np.maximum(grey, 2300), grey)
    random = np.random.default_rng(1).normal(0, noise, grey.shape)
    return np.clip(grey + random * (grey > AIR), 0, WHITE).astype(np.uint16)


def image(pixels: Pixels, **elements: object) -> StoredImage:
    dataset = Dataset()
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.WindowCenter, dataset.WindowWidth = 1900, 2400
    for name, value in elements.items():
        setattr(dataset, name, value)
    return StoredImage(pixels, dataset)


def found(stored: StoredImage, side: Laterality = Laterality.UNKNOWN) -> set[Finding]:
    return {finding for finding, _ in look(stored, side, View.CC).findings}


LEFT, RIGHT, UNKNOWN = Laterality.LEFT, Laterality.RIGHT, Laterality.UNKNOWN
SIDE, MIRRORED = {Finding.SIDE_DISAGREES}, {Finding.STORED_MIRRORED}


@pytest.mark.parametrize(
    ("side", "orientation", "wall_at_left", "expected"),
    [
        # The usual display: left breast, rows run to the front, chest wall at column 0.
        (LEFT, ["A", "R"], True, set()),
        (RIGHT, ["P", "L"], False, set()),
        # The same, mirrored, and the file says so.
        (LEFT, ["P", "FR"], False, MIRRORED),
        (RIGHT, ["A", "FL"], True, MIRRORED),
        # The pixels contradict side and orientation.
        (LEFT, ["A", "R"], False, SIDE),
        (RIGHT, ["P", "L"], True, SIDE),
        # Nothing but the side to go by; CBIS-DDSM writes the view there.
        (LEFT, None, True, set()),
        (LEFT, None, False, SIDE),
        (RIGHT, "MLO", True, SIDE),
        # The side agrees, so only the orientation can be wrong: nothing to look at.
        (LEFT, ["P", "R"], True, set()),
        (UNKNOWN, ["A", "R"], False, set()),
    ],
)
def test_side_against_pixels(side, orientation, wall_at_left, expected):
    pixels = breast() if wall_at_left else breast()[:, ::-1]
    assert found(image(pixels, PatientOrientation=orientation), side) == expected


def test_words_do_not_repeat_what_is_no_orientation():
    odd = image(breast(), PatientOrientation=["A", "HANSEN"])
    ((finding, words),) = look(odd, RIGHT, View.CC).findings
    assert finding is Finding.SIDE_DISAGREES
    assert words == "chest wall at the left of a picture of side R, without Patient Orientation"


def test_a_specimen_has_no_chest_wall():
    assert look(image(breast()[:, ::-1]), LEFT, View.SPECIMEN).findings == []


def test_a_body_as_high_at_both_edges_says_nothing_of_the_side():
    y = np.mgrid[0:ROWS, 0:COLUMNS][0]
    band = np.where(abs(y - 500) < 200, 2000, AIR) + np.mgrid[0:ROWS, 0:COLUMNS][1] // 8
    assert found(image(band.astype(np.uint16)), RIGHT) == set()


@pytest.mark.parametrize("mlo", [False, True])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_picture_whose_photometric_interpretation_lies(mlo, mirrored, photometric):
    pixels = breast(mlo)[:, ::-1] if mirrored else breast(mlo)
    true = pixels if photometric == "MONOCHROME2" else WHITE - pixels
    assert found(image(true, PhotometricInterpretation=photometric)) == set()
    lying = image(WHITE - true, PhotometricInterpretation=photometric)
    assert found(lying) == {Finding.INVERTED}


def test_tissue_in_both_corners_of_the_chest_wall_is_no_air():
    """A large breast between muscle and belly, both calm and white."""
    pixels = breast()
    pixels[:160, :200] = pixels[-160:, :200] = 3000
    assert found(image(pixels)) == set()


def test_tissue_that_fills_the_picture_is_no_air():
    """A spot view without any air, as bright in its corners as anywhere."""
    y, x = np.mgrid[0:500, 0:400]
    spot = 1500 + 400 * np.sin(x / 11) * np.cos(y / 13)
    assert found(image(spot.astype(np.uint16))) == set()


def write(pixels: Pixels, text: str, place: tuple[int, int], height: int, value: int) -> Pixels:
    """Letters burnt in, their lower left at ``place`` (column, row), soft at their edges."""
    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(1, height // 7)
    stencil = np.zeros(pixels.shape, np.uint8)
    scale = cv2.getFontScaleFromHeight(font, height, thickness)
    cv2.putText(stencil, text, place, font, scale, 255, thickness, cv2.LINE_AA)
    share = stencil / 255.0
    return np.round(pixels * (1 - share) + value * share).astype(np.uint16)


@pytest.mark.parametrize("text", ["R", "5 MLO"])
@pytest.mark.parametrize("height", [30, 70])
@pytest.mark.parametrize("value", [WHITE, 0, 3000])
def test_letters_in_the_breast(text, height, value):
    pixels = write(breast(), text, (60, 600), height, value)
    assert found(image(pixels)) == {Finding.LETTERS_IN_BREAST}
    inverse = image(WHITE - pixels, PhotometricInterpretation="MONOCHROME1")
    assert found(inverse) == {Finding.LETTERS_IN_BREAST}


def noise_alone(_: Pixels) -> None: ...


def saturated_tissue(pixels: Pixels) -> None:
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    bright = 2600 * np.exp(-((x - 200) ** 2 + (y - 560) ** 2) / 60**2)
    pixels[:] = np.clip(pixels + bright, 0, WHITE)


def calcifications(pixels: Pixels) -> None:
    random = np.random.default_rng(2)
    for row, column in random.integers(-30, 30, (40, 2)):
        cv2.circle(pixels, (200 + int(column), 560 + int(row)), 1, WHITE, -1)


def bead(pixels: Pixels) -> None:
    cv2.circle(pixels, (200, 560), 9, WHITE, -1)


def two_beads(pixels: Pixels) -> None:
    bead(pixels)
    cv2.circle(pixels, (230, 562), 9, WHITE, -1)


def ring(pixels: Pixels) -> None:
    cv2.circle(pixels, (200, 560), 30, WHITE, 3)


def triangle(pixels: Pixels) -> None:
    cv2.polylines(pixels, [np.array([[200, 530], [230, 590], [170, 590]])], True, WHITE, 3)


def clips(pixels: Pixels) -> None:
    for left, top in ((200, 560), (221, 563), (260, 600), (180, 500)):
        cv2.line(pixels, (left, top), (left + 3, top + 14), WHITE, 2)


def bent_clips(pixels: Pixels) -> None:
    """Each like a small V, beside each other at other heights and of other sizes."""
    for left, top, size in ((200, 560, 12), (222, 570, 12), (300, 600, 10), (322, 598, 16)):
        corners = [[left, top], [left + size // 2, top + size], [left + size, top]]
        cv2.polylines(pixels, [np.array(corners)], False, WHITE, 2)


def saturated_duct(pixels: Pixels) -> None:
    """Open like a C, as white as letters within, and soft at its edges."""
    line = np.ones(pixels.shape, np.uint8)
    cv2.ellipse(line, (200, 560), (34, 34), 0, 50, 310, 0, 1)
    beside = cv2.distanceTransform(line, cv2.DIST_L2, 5)
    pixels[:] = np.clip(pixels + 2600 * np.exp(-((beside / 9) ** 2) / 2), 0, WHITE)


def pacemaker(pixels: Pixels) -> None:
    """Metal throughout, open like an L, and far too thick for a letter."""
    pixels[500:620, 150:200] = pixels[570:620, 150:250] = WHITE


def wire(pixels: Pixels) -> None:
    cv2.line(pixels, (100, 500), (420, 620), WHITE, 2)


def bent_wire(pixels: Pixels) -> None:
    cv2.ellipse(pixels, (200, 560), (120, 120), 0, -60, 60, WHITE, 2)


def specks_like_letters(pixels: Pixels) -> None:
    for left in (200, 209):
        pixels[560:567, left] = pixels[566, left : left + 5] = WHITE


def letters_in_the_air(pixels: Pixels) -> None:
    pixels[:] = write(pixels, "LMLO", (560, 120), 40, WHITE)


def letters_in_a_corner_of_the_crop(pixels: Pixels) -> None:
    saturated_tissue(pixels)
    pixels[:] = write(pixels, "CC", (400, 230), 30, WHITE)


@pytest.mark.parametrize(
    "draw",
    [
        noise_alone,
        saturated_tissue,
        calcifications,
        bead,
        two_beads,
        ring,
        triangle,
        clips,
        bent_clips,
        saturated_duct,
        pacemaker,
        wire,
        bent_wire,
        specks_like_letters,
        letters_in_the_air,
        letters_in_a_corner_of_the_crop,
    ],
)
@pytest.mark.parametrize("noise", [0.0, 30.0])
def test_what_is_no_letter(draw: Callable[[Pixels], None], noise):
    pixels = breast(noise=noise)
    draw(pixels)
    assert found(image(pixels)) == set()


def covered(pixels: Pixels, boxes: list[tuple[int, int, int, int]]) -> Pixels:
    cover = np.zeros(pixels.shape, bool)
    for top, bottom, left, right in boxes:
        cover[top:bottom, left:right] = True
    return cover


@pytest.mark.parametrize("value", [WHITE, 600])
@pytest.mark.parametrize(("place", "height"), [((560, 120), 9), ((640, 1000), 18), ((10, 90), 60)])
def test_letters_outside_are_covered_and_the_breast_is_not(value, place, height):
    pixels = write(breast(), "RMLO 7", place, height, value)
    stored = image(pixels)
    cover = covered(pixels, letters_outside(stored))
    assert cover[pixels != breast()].all()
    assert not cover[breast() > 600].any()
    assert cover.mean() < 0.12
    turned = image(WHITE - pixels[:, ::-1], PhotometricInterpretation="MONOCHROME1")
    mirrored = covered(pixels, letters_outside(turned))
    np.testing.assert_array_equal(mirrored[:, ::-1].sum(), cover.sum())


def test_no_box_of_letters_in_a_bay_of_the_breast_reaches_into_it():
    """An L of lead that embraces the nipple: its box alone would."""
    pixels = breast()
    pixels[300:980, 600:620] = pixels[960:980, 380:620] = WHITE
    boxes = letters_outside(image(pixels))
    cover = covered(pixels, boxes)
    assert len(boxes) > 1
    assert cover[300:980, 600:620].all()
    assert not cover[breast() > 600].any()


def test_letters_on_a_glow_at_the_edge_are_covered():
    glow = 900 * np.exp(-(COLUMNS - 1 - np.arange(COLUMNS)) / 40)
    film = np.maximum(breast(), glow[None]).astype(np.uint16)
    assert letters_outside(image(film)) == [], "a glow alone is no letter"
    pixels = write(film, "LCC", (690, 150), 40, 3500)
    cover = covered(pixels, letters_outside(image(pixels)))
    assert cover[pixels != film].all()
    assert not cover[breast() > 600].any()


def test_letters_close_to_the_breast_are_covered_up_to_it():
    pixels = breast()
    skin = int(np.flatnonzero(pixels[560] > 600)[-1])
    pixels[540:580, skin + 12 : skin + 22] = WHITE
    cover = covered(pixels, letters_outside(image(pixels)))
    assert cover[540:580, skin + 12 : skin + 22].all()
    assert not cover[breast() > 600].any()


def test_tissue_that_hangs_together_with_the_breast_stays():
    """A fold along the chest wall, narrower than what the mask follows."""
    pixels = breast()
    pixels[60:300, :24] = 1800
    assert letters_outside(image(pixels)) == []


def test_an_image_with_dust_alone_has_no_boxes():
    pixels = breast()
    assert letters_outside(image(pixels)) == []
    for row, column in np.random.default_rng(3).integers(20, 160, (30, 2)):
        pixels[row : row + 3, 560 + column : 563 + column] = 900
    assert len(letters_outside(image(pixels))) < 6, "specks that touch may be one body"


def test_without_a_breast_nobody_knows_what_is_outside_it():
    with pytest.raises(PixelError) as caught:
        letters_outside(image(np.full((300, 200), 9, np.uint16)))
    assert caught.value.reason is Reason.BREAST_NOT_FOUND


def test_the_picture_is_that_of_the_window():
    shown = picture(image(breast(noise=0.0)))
    assert shown.shape == (320, 250)
    assert shown.dtype == np.uint8
    assert shown[:20].max() == 0
    middle = breast(noise=0.0)[560 - 2 : 560 + 2, 100 - 2 : 100 + 2].mean()
    expected = 255 * ((middle - 1899.5) / 2399 + 0.5)
    assert abs(int(shown[175, 31]) - expected) < 6


@settings(max_examples=25)
@given(
    st.integers(1, 400),
    st.integers(1, 400),
    st.sampled_from([np.uint8, np.uint16, np.int16]),
    st.sampled_from(["FOR PROCESSING", "FOR PRESENTATION"]),
    st.integers(0, 2**32 - 1),
)
def test_any_decoded_image_has_a_picture(rows, columns, dtype, intent, seed):
    bits = 8 * np.dtype(dtype).itemsize
    random = np.random.default_rng(seed)
    ends = np.iinfo(dtype)
    pixels = random.integers(ends.min, ends.max, (rows, columns), dtype, endpoint=True)
    stored = image(
        pixels,
        BitsStored=bits,
        PixelRepresentation=int(dtype is np.int16),
        PresentationIntentType=intent,
    )
    looked = look(stored, LEFT, View.MLO)
    assert looked.picture.shape == picture(stored).shape
    assert looked.picture.shape[0] == min(rows, 320)
