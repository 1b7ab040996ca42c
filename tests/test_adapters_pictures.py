"""Pictures as DICOM files: the same values, shown as the picture shows them."""

from datetime import date

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydicom import dcmread

from mim.adapters.pictures import Picture, write_picture, write_pictures
from mim.adapters.sources import scan_headers
from mim.dicom.pixels import read_image
from mim.image.voi import voi_rules
from mim.vocab import Laterality, View

PICTURE = Picture("w/a.dcm", "w", "e", Laterality.LEFT, View.CC, 0.07, True, date(2015, 9, 29))

GREYS = st.sampled_from([np.uint8, np.uint16]).flatmap(
    lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9))
)


@settings(max_examples=50)
@given(pixels=GREYS)
def test_any_values_come_back(tmp_path_factory, pixels):
    path = tmp_path_factory.getbasetemp() / "any.dcm"
    write_picture(path, pixels, PICTURE, "1.2.3")
    stored = read_image(path).pixels
    assert stored.dtype == pixels.dtype
    assert np.array_equal(stored, pixels)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_black_is_zero_and_white_is_the_types_highest_value(tmp_path, kind):
    highest = np.iinfo(kind).max
    write_picture(tmp_path / "a.dcm", np.array([[0, highest]], kind), PICTURE, "1.2.3")
    (rule,) = voi_rules(dcmread(tmp_path / "a.dcm"))
    shown = rule.curve(np.array([0.0, highest / 4, highest]))
    assert shown == pytest.approx([0, 0.25, 1])


def test_the_index_reads_what_was_known_of_the_picture(tmp_path):
    write_picture(tmp_path / "a.dcm", np.zeros((4, 3), np.uint16), PICTURE, "1.2.3")
    names = ["patient_id", "accession_number", "sop_uid", "study_date", "laterality", "view"]
    names += ["kind", "presentation", "row_spacing_mm", "bits_stored", "reason"]
    (row,) = scan_headers(tmp_path, names).rows()
    known = ("w", "e", "1.2.3", date(2015, 9, 29), "L", "CC", "digitised film", "for presentation")
    assert row == (*known, 0.07, 16, None)


def test_what_is_not_known_is_not_written(tmp_path):
    unknown = Picture("a.dcm", "w", "e", Laterality.UNKNOWN, View.UNKNOWN)
    write_picture(tmp_path / "a.dcm", np.zeros((4, 3), np.uint8), unknown, "1.2.3")
    names = ["laterality", "view", "kind", "row_spacing_mm", "study_date"]
    (row,) = scan_headers(tmp_path, names).rows()
    assert row == ("unknown", "unknown", "full-field digital", None, None)


def test_every_format_is_read_and_what_cannot_be_is_counted(tmp_path):
    grey = np.arange(40, dtype=np.uint16).reshape(5, 8) * 1600
    for name in ("a.png", "b.tif", "c.pgm"):
        assert cv2.imwrite(str(tmp_path / name), grey)
    assert cv2.imwrite(str(tmp_path / "d.png"), np.dstack([grey] * 3))
    assert cv2.imwrite(str(tmp_path / "e.png"), np.dstack([grey, grey, grey + 1]))
    assert cv2.imwrite(str(tmp_path / "f.tif"), grey.astype(np.float32))
    (tmp_path / "g.png").write_bytes((tmp_path / "a.png").read_bytes()[:30])
    (tmp_path / "h.png").touch()
    pictures = [
        (tmp_path / name, Picture(f"{name}.dcm", "w", name, Laterality.LEFT, View.CC))
        for name in (
            "a.png",
            "b.tif",
            "c.pgm",
            "d.png",
            "e.png",
            "f.tif",
            "g.png",
            "h.png",
            "i.png",
        )
    ]
    assert write_pictures(pictures, tmp_path / "dicom") == [
        "1 pictures are left out: in colour",
        "1 pictures are left out: neither 8 nor 16 bit",
        "2 pictures are left out: no PGM, PNG or TIFF, or cut short",
        "1 pictures are left out: no such file",
    ]
    written = sorted((tmp_path / "dicom").iterdir())
    assert [path.name[0] for path in written] == ["a", "b", "c", "d"]
    assert all(np.array_equal(read_image(path).pixels, grey) for path in written)


def test_a_file_is_kept_as_long_as_nothing_new_is_known_of_its_picture(tmp_path):
    assert cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4), np.uint8))
    path = tmp_path / "dicom" / PICTURE.name

    def write(picture: Picture) -> int:
        write_pictures([(tmp_path / "a.png", picture)], tmp_path / "dicom")
        return path.stat().st_ino

    first = write(PICTURE)
    assert write(PICTURE) == first
    other = Picture(PICTURE.name, "w", "e", Laterality.RIGHT, View.CC)
    second = write(other)
    assert second != first
    assert dcmread(path).ImageLaterality == "R"
    path.write_bytes(path.read_bytes()[:100])
    assert write(other) != second
