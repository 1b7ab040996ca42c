"""Every transfer syntax gives back the planted pixels; nothing that is damaged gives any."""

import imagecodecs
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders import RLELosslessEncoder
from pydicom.uid import UID, DigitalMammographyXRayImageStorageForPresentation

from mim.dicom.pixels import DECODERS, PixelError, read_image
from mim.vocab import Reason

ROWS, COLUMNS = 61, 43

NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99")
BIG_ENDIAN = "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"
LOSSLESS = {
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
}


def planted(bits: int = 12) -> np.ndarray:
    random = np.random.default_rng(5)
    smooth = np.add.outer(np.arange(ROWS) * 20, np.arange(COLUMNS) * 11)
    return ((smooth + random.integers(0, 60, (ROWS, COLUMNS))) % (1 << bits)).astype(np.uint16)


def header(syntax: str, **changes: object) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.file_meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.1"
    dataset.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    dataset.SOPInstanceUID = "2.25.1"
    dataset.Rows, dataset.Columns = ROWS, COLUMNS
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    for name, value in changes.items():
        setattr(dataset, name, value)
    return dataset


def write(path, syntax, pixels, **changes):
    dataset = header(syntax, **changes)
    if syntax in NATIVE:
        data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    elif syntax == BIG_ENDIAN:
        data = pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()
    elif syntax == RLE:
        data = encapsulate(
            [
                RLELosslessEncoder.encode(
                    pixels.tobytes(),
                    rows=ROWS,
                    columns=COLUMNS,
                    samples_per_pixel=1,
                    bits_allocated=16,
                    bits_stored=12,
                    number_of_frames=1,
                    photometric_interpretation="MONOCHROME2",
                    pixel_representation=0,
                )
            ]
        )
    else:
        data = encapsulate([bytes(LOSSLESS[syntax](pixels))])
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OW" if syntax in (*NATIVE, BIG_ENDIAN) else "OB"
    dataset["PixelData"].is_undefined_length = syntax not in (*NATIVE, BIG_ENDIAN)
    dataset.save_as(path, enforce_file_format=True)
    return path


EVERY_LOSSLESS = (*NATIVE, BIG_ENDIAN, RLE, *LOSSLESS)


@pytest.mark.parametrize("syntax", EVERY_LOSSLESS)
def test_planted_pixels_come_back_bit_for_bit(tmp_path, syntax):
    found = read_image(write(tmp_path / "a.dcm", syntax, planted()))
    np.testing.assert_array_equal(found.pixels, planted())
    assert found.pixels.dtype == np.uint16
    assert "PixelData" not in found.dataset


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.97])
@pytest.mark.parametrize("syntax", [s for s in EVERY_LOSSLESS if s != "1.2.840.10008.1.2.1.99"])
def test_a_cut_file_gives_no_picture(tmp_path, syntax, share):
    path = write(tmp_path / "a.dcm", syntax, planted())
    whole = path.read_bytes()
    start = whole.rindex(b"\xe0\x7f\x10\x00" if syntax != BIG_ENDIAN else b"\x7f\xe0\x00\x10")
    path.write_bytes(whole[: start + 12 + int((len(whole) - start - 12) * share)])
    with pytest.raises(PixelError) as caught:
        read_image(path)
    assert caught.value.reason in (Reason.DAMAGED_PIXELS, Reason.NO_PIXELS, Reason.UNREADABLE)


@pytest.mark.parametrize("syntax", [s for s in EVERY_LOSSLESS if s not in NATIVE])
def test_a_header_that_lies_about_the_size_gives_no_picture(tmp_path, syntax):
    path = write(tmp_path / "a.dcm", syntax, planted())
    whole = path.read_bytes()
    order = "big" if syntax == BIG_ENDIAN else "little"
    rows, more = (value.to_bytes(2, order) for value in (ROWS, ROWS + 6))
    tag = b"\x28\x00\x10\x00US\x02\x00" if order == "little" else b"\x00\x28\x00\x10US\x00\x02"
    assert whole.count(tag + rows) == 1
    path.write_bytes(whole.replace(tag + rows, tag + more))
    with pytest.raises(PixelError) as caught:
        read_image(path)
    assert caught.value.reason is Reason.DAMAGED_PIXELS


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_a_cut_stream_that_was_wrapped_again_gives_no_picture(tmp_path, syntax):
    """Items and delimiter are whole; only the stream's own end is missing."""
    dataset = header(syntax)
    stream = bytes(LOSSLESS[syntax](planted()))
    dataset.PixelData = encapsulate([stream[: len(stream) // 3 * 2]])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(PixelError) as caught:
        read_image(tmp_path / "a.dcm")
    assert caught.value.reason is Reason.DAMAGED_PIXELS


def test_a_stream_with_more_bits_than_the_header_says_gives_no_picture(tmp_path):
    path = write(tmp_path / "a.dcm", "1.2.840.10008.1.2.4.90", planted(), BitsStored=10, HighBit=9)
    with pytest.raises(PixelError, match="10 bits"):
        read_image(path)


def test_signed_values_keep_their_sign(tmp_path):
    signed = (planted().astype(np.int16) - 2048).astype(np.int16)
    stored = (signed & 0x0FFF).astype(np.uint16)
    path = write(tmp_path / "a.dcm", "1.2.840.10008.1.2.1", stored, PixelRepresentation=1)
    np.testing.assert_array_equal(read_image(path).pixels, signed)


def test_bits_outside_bits_stored_are_dropped(tmp_path):
    overlay = planted() | 0x8000
    path = write(tmp_path / "a.dcm", "1.2.840.10008.1.2.1", overlay)
    np.testing.assert_array_equal(read_image(path).pixels, planted())


def test_values_stored_in_the_high_bits_are_moved_down(tmp_path):
    path = write(tmp_path / "a.dcm", "1.2.840.10008.1.2.1", planted() << 4, HighBit=15)
    np.testing.assert_array_equal(read_image(path).pixels, planted())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"NumberOfFrames": 3}, Reason.TOMOSYNTHESIS),
        ({"SamplesPerPixel": 3}, Reason.NOT_MAMMOGRAM),
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, Reason.DAMAGED_PIXELS),
    ],
)
def test_what_is_no_single_grey_frame_is_named(tmp_path, changes, reason):
    path = write(tmp_path / "a.dcm", "1.2.840.10008.1.2.1", planted(), **changes)
    with pytest.raises(PixelError) as caught:
        read_image(path)
    assert caught.value.reason is reason


def test_an_unknown_syntax_is_named(tmp_path):
    path = write(tmp_path / "a.dcm", "1.2.840.10008.1.2.4.80", planted())
    path.write_bytes(
        path.read_bytes().replace(b"1.2.840.10008.1.2.4.80", b"1.2.840.10008.1.2.4.99")
    )
    with pytest.raises(PixelError, match=r"1\.2\.840\.10008\.1\.2\.4\.99") as caught:
        read_image(path)
    assert caught.value.reason is Reason.UNSUPPORTED_SYNTAX


@pytest.mark.parametrize("content", [b"", b"no dicom at all", b"\0" * 128 + b"DICM"])
def test_what_is_no_image_is_no_image(tmp_path, content):
    path = tmp_path / "a.dcm"
    path.write_bytes(content)
    with pytest.raises(PixelError):
        read_image(path)


def test_every_decoder_is_for_a_transfer_syntax_of_the_standard():
    assert all(UID(syntax).is_transfer_syntax for syntax in DECODERS)
