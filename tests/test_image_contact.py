"""Contact sheets show what is there, under its name, and leave a gap where nothing is."""

import cv2
import numpy as np

from mim.image.contact import CAPTION_HEIGHT, augmented_sheet, contact_sheet, exam_tiles


def test_tiles_are_named_by_side_view_and_months():
    images = np.arange(2 * 4, dtype=np.uint16).reshape(2, 4, 1, 1, 1)
    present = np.array([[True, True, True, False], [False, True, False, False]])
    tiles, titles = exam_tiles(images, present, np.array([0.0, 25.2], np.float32))
    assert titles == [
        "L CC",
        "L MLO",
        "R CC",
        "absent",
        "absent",
        "L MLO -25 mo",
        "absent",
        "absent",
    ]
    assert [None if tile is None else int(tile.item()) for tile in tiles] == [
        *(0, 1, 2, None),
        *(None, 5, None, None),
    ]


def test_a_sheet_has_its_rows_and_grey_levels(tmp_path):
    white = np.full((64, 32), 65535, np.uint16)
    sheet = tmp_path / "new" / "sheet.png"
    contact_sheet([white, None, white], ["a", "absent", "b"], sheet, columns=2, tile_height=64)
    found = cv2.imread(str(sheet), cv2.IMREAD_GRAYSCALE)
    assert found is not None
    assert found.shape == (2 * (64 + CAPTION_HEIGHT), 2 * (32 + 2))
    assert (found[CAPTION_HEIGHT : CAPTION_HEIGHT + 64, :32] == 255).all()
    assert (found[CAPTION_HEIGHT : CAPTION_HEIGHT + 64, 34:66] < 255).all(), "a gap"
    assert [path.name for path in sheet.parent.iterdir()] == ["sheet.png"]


def test_tiles_are_as_wide_as_the_widest_image(tmp_path):
    wide, narrow = np.full((40, 80), 255, np.uint8), np.full((64, 8), 100 * 256 + 200, np.uint16)
    contact_sheet([wide, narrow], ["a", "b"], tmp_path / "sheet.png", columns=2, tile_height=64)
    found = cv2.imread(str(tmp_path / "sheet.png"), cv2.IMREAD_GRAYSCALE)
    assert found is not None
    tiles = found[CAPTION_HEIGHT:]
    assert tiles.shape == (64, 2 * (128 + 2))
    assert (tiles[:, :128] == 255).all()
    assert (tiles[:, 130:138] == 100).all()
    assert (tiles[:, 138:] == 48).all()


def test_an_absent_image_stands_beside_coloured_ones(tmp_path):
    red = np.zeros((64, 32, 3), np.uint8)
    red[..., 2] = 255
    contact_sheet([None, red], ["", ""], tmp_path / "sheet.png", columns=2, tile_height=64)
    found = cv2.imread(str(tmp_path / "sheet.png"))
    assert found is not None
    left, right = np.split(found[CAPTION_HEIGHT:], 2, axis=1)
    assert (left == 48).all()
    assert (right[:, :32] == (0, 0, 255)).all()


def test_versions_of_an_image_stand_in_a_row_with_a_ring_at_each_known_landmark(tmp_path):
    versions = np.full((3, 64, 32), 100 * 257, np.uint16)
    points = np.full((3, 3, 2), np.nan, np.float32)
    points[1, 0] = 0.5, 0.75
    rows = [(versions, points), (versions, np.full_like(points, np.nan))]
    augmented_sheet(rows, ["L CC", "R MLO"], tmp_path / "sheet.png", tile_height=64)
    found = cv2.imread(str(tmp_path / "sheet.png"), cv2.IMREAD_GRAYSCALE)
    assert found is not None
    assert found.shape == (2 * (64 + CAPTION_HEIGHT), 3 * (32 + 2))
    first_row, second_row = np.split(found, 2)
    tiles = np.stack(np.split(first_row[CAPTION_HEIGHT:], 3, axis=1))[..., :32]
    rows_of_ring, columns_of_ring = np.nonzero(tiles[1] == 255)
    assert (rows_of_ring.mean(), columns_of_ring.mean()) == (48, 16)
    assert (tiles[[0, 2]] == 100).all()
    assert (np.stack(np.split(second_row[CAPTION_HEIGHT:], 3, axis=1))[..., :32] == 100).all()
