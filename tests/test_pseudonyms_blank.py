"""Letters go, and no other pixel changes, in every transfer syntax."""

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders import RLELosslessEncoder
from pydicom.uid import UID

from mim.dicom.pixels import read_image
from mim.pseudonyms.blank import ENCODERS, blank, to_the_edge

ROWS, COLUMNS = 61, 43
BOXES = [(3, 9, 5, 17), (40, 61, 30, 43)]
EXPLICIT = "1.2.840.10008.1.2.1"
NATIVE = ("1.2.840.10008.1.2", EXPLICIT, "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2")
COMPRESSED = {
    "1.2.840.10008.1.2.4.57": lambda a: imagecodecs.jpeg8_encode(
        a, lossless=True, bitspersample=12, predictor=4
    ),
    "1.2.840.10008.1.2.4.70": lambda a: imagecodecs.jpeg8_encode(
        a, lossless=True, bitspersample=12
    ),
    "1.2.840.10008.1.2.4.80": imagecodecs.jpegls_encode,
    "1.2.840.10008.1.2.4.90": lambda a: imagecodecs.jpeg2k_encode(
        a, level=0, codecformat="j2k", bitspersample=12
    ),
    "1.2.840.10008.1.2.4.201": imagecodecs.htj2k_encode,
    "1.2.840.10008.1.2.4.91": lambda a: imagecodecs.jpeg2k_encode(
        a, level=60, codecformat="j2k", bitspersample=12
    ),
    "1.2.840.10008.1.2.5": lambda a: RLELosslessEncoder.encode(
        a, rows=ROWS, columns=COLUMNS, samples_per_pixel=1, number_of_frames=1,
        bits_allocated=16, bits_stored=12, photometric_interpretation="MONOCHROME2",
        pixel_representation=0,
    ),
}  # fmt: skip


def picture() -> np.ndarray:
    """Noise, a background of 100 on the left half, dead pixels, letters of 4000 in the boxes."""
    random = np.random.default_rng(8)
    pixels = random.integers(1000, 3000, (ROWS, COLUMNS)).astype(np.uint16)
    pixels[:, :25] = 100
    pixels[50, :4] = 0
    for top, bottom, left, right in BOXES:
        pixels[top + 1 : bottom - 1, left + 1 : right - 1 : 2] = 4000
    return pixels


def write(path: Path, syntax: str, pixels: np.ndarray, **changes: object) -> None:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.1.2")
    dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.1"
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = "2.25.1"
    dataset.Rows, dataset.Columns = ROWS, COLUMNS
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.LossyImageCompression = "01" if syntax.endswith(".91") else "00"
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    order = ">" if syntax.endswith("1.2.2") else "<"
    if syntax in NATIVE:
        dataset.add_new(
            "PixelData", "OW", pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
        )
    else:
        dataset.add_new("PixelData", "OB", encapsulate([bytes(COMPRESSED[syntax](pixels))]))
        dataset["PixelData"].is_undefined_length = True
    implicit = syntax == "1.2.840.10008.1.2"
    dataset.save_as(
        path, enforce_file_format=True, implicit_vr=implicit, little_endian=order == "<"
    )


def blanked(path: Path, out: Path) -> bool:
    stored, dataset = read_image(path), dcmread(path)
    recompressed = blank(dataset, stored, BOXES)
    dataset.save_as(out)
    return recompressed


def outside() -> np.ndarray:
    kept = np.ones((ROWS, COLUMNS), bool)
    for top, bottom, left, right in BOXES:
        kept[top:bottom, left:right] = False
    return kept


@pytest.mark.parametrize("syntax", [*NATIVE, *COMPRESSED])
def test_only_the_boxes_change(syntax: str, tmp_path: Path) -> None:
    write(tmp_path / "before", syntax, picture())
    recompressed = blanked(tmp_path / "before", tmp_path / "after")
    before, after = (read_image(tmp_path / name) for name in ("before", "after"))
    assert np.array_equal(after.pixels[outside()], before.pixels[outside()])
    assert np.unique(after.pixels[3:9, 5:17]).size == 1
    assert abs(int(after.pixels[3, 5]) - 100) <= (40 if syntax.endswith(".91") else 0)
    assert after.pixels[40:, 30:].max() < 3500
    assert recompressed is (syntax in COMPRESSED)
    kept = syntax in NATIVE or syntax in ENCODERS
    assert after.dataset.file_meta.TransferSyntaxUID == (syntax if kept else EXPLICIT)
    assert after.dataset.LossyImageCompression == before.dataset.LossyImageCompression


def test_signed_values_stay_what_they_were(tmp_path: Path) -> None:
    signed = (picture().astype(np.int16) - 2048) & 0xFFF
    write(
        tmp_path / "before",
        "1.2.840.10008.1.2.4.80",
        signed.astype(np.uint16),
        PixelRepresentation=1,
    )
    blanked(tmp_path / "before", tmp_path / "after")
    before, after = (read_image(tmp_path / name).pixels for name in ("before", "after"))
    assert before.min() < 0
    assert np.array_equal(after[outside()], before[outside()])


def test_stored_bits_may_be_the_high_ones(tmp_path: Path) -> None:
    pixels = picture() << 4
    write(tmp_path / "before", EXPLICIT, pixels, HighBit=15)
    blanked(tmp_path / "before", tmp_path / "after")
    before, after = (
        np.frombuffer(dcmread(tmp_path / name).PixelData, "<u2").reshape(ROWS, COLUMNS)
        for name in ("before", "after")
    )
    assert np.array_equal(after[outside()], before[outside()])
    assert (after[3:9, 5:17] == before[0, 0]).all()


def test_bytes_after_the_last_row_stay(tmp_path: Path) -> None:
    write(tmp_path / "before", EXPLICIT, picture())
    dataset = dcmread(tmp_path / "before")
    dataset.PixelData += b"\x07\x08"
    dataset.save_as(tmp_path / "before")
    blanked(tmp_path / "before", tmp_path / "after")
    assert dcmread(tmp_path / "after").PixelData[-2:] == b"\x07\x08"


@pytest.mark.parametrize(
    ("box", "moved"),
    [
        ((30, 60, 19, 80), (30, 60, 0, 80)),
        ((20, 60, 21, 80), (0, 60, 21, 80)),
        ((30, 981, 40, 781), (30, 1000, 40, 800)),
        ((30, 60, 40, 80), (30, 60, 40, 80)),
    ],
)
def test_letters_that_reach_the_frame_of_a_film_go_with_it(
    box: tuple[int, int, int, int], moved: tuple[int, int, int, int]
) -> None:
    assert to_the_edge(box, rows=1000, columns=800) == moved
