"""The index's page: its counts against plain Python, what it draws, and what it must not show."""

import base64
import random
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from made_page import NAME, index_with_page, is_plain, with_letters
from numpy.typing import NDArray
from scanner import identifiers, traces

from mim.dicom.pixels import read_image
from mim.image.findings import picture
from mim.ingest import meanings
from mim.ingest.index import write_index
from mim.ingest.months import Span, month_name, months_svg, span_of
from mim.ingest.page import write_page
from mim.ingest.settings import IndexSettings
from mim.ingest.sheets import BLOCKS, SheetTask, Tile, discreet, in_blocks, make_some, make_tile
from mim.ingest.tally import Drawn, tally
from mim.schemas.findings import FINDINGS
from mim.schemas.images import IMAGES
from mim.schemas.table import write_json, write_table
from mim.vocab import Finding, Kind, Laterality, Reason, View
from mim.workers.settings import WorkersSettings

Row = dict[str, Any]


@pytest.fixture
def paged(programme: Path) -> Path:
    return index_with_page(programme)


def made_rows(count: int, seed: int) -> list[Row]:
    chance = random.Random(seed)
    rows = []
    for number in range(count):
        header = chance.random() < 0.9
        reason = chance.choice([None, None, "spot", "unreadable"]) if header else "not dicom"
        woman = chance.randrange(count // 4)
        rows.append(
            {
                **{"path": f"{number:05}.dcm", "bytes": 1, "modified_ns": 1, "reason": reason},
                "maker": chance.choice(["ge", "siemens"]) if header else "unknown",
                "kind": "full-field digital" if header else "unknown",
                "laterality": chance.choice(["L", "R"]) if header else "unknown",
                "view": chance.choice(["CC", "MLO", "ML"]) if header else "unknown",
                "presentation": "unknown",
                "sop_class": "1.2" if header else None,
                "study_date": chance.choice([date(2009, 12, 31), date(2010, 1, 1), None]),
                "rows": 40 if header else None,
                "frames": chance.choice([None, 1, 1, 30]),
                **{"woman": f"w{woman}", "exam": f"e{woman % 7}"},
                "image": f"{chance.getrandbits(80):020x}",
            }
        )
    return rows


def write_rows(index: Path, rows: list[Row], each: int) -> Path:
    for part, start in enumerate(range(0, len(rows), each)):
        table = IMAGES.from_rows(rows[start : start + each])
        write_table(table, index / "images" / f"part-{part:05}.parquet")
    write_table(FINDINGS.from_rows([]), index / "findings.parquet")
    about = {"source": "gone", "mim": "0", "deliveries": 0, "by_delivery": []}
    write_json(index / "index.json", about)
    return index


@pytest.mark.parametrize("each", [1000, 37])
def test_counts_and_draw_are_those_of_plain_python(tmp_path: Path, each: int) -> None:
    rows = made_rows(200, seed=3)
    counts = tally(write_rows(tmp_path, rows, each), 5, {rows[0]["image"], "nobody"})
    names = ("reason", "maker", "kind", "laterality", "view")
    expected = Counter((*(r[n] for n in names), r["sop_class"] is not None) for r in rows)
    assert counts.files == expected
    dated = [r for r in rows if r["sop_class"]]
    months = {None: None, date(2009, 12, 31): 2009 * 12 + 11, date(2010, 1, 1): 2010 * 12}
    assert counts.months == Counter(
        (r["maker"], months[r["study_date"]], r["reason"] is None) for r in dated
    )
    usable = [r for r in rows if r["reason"] is None]
    assert counts.women == len({r["woman"] for r in usable})
    assert counts.exams == len({r["exam"] for r in usable})

    def lowest(of: list[Row]) -> list[str]:
        return sorted(r["image"] for r in of if r["rows"] and r["frames"] in (None, 1))[:5]

    for maker in ("ge", "siemens"):
        drawn = [image.image for image in counts.of_maker[maker]]
        assert drawn == lowest([r for r in usable if r["maker"] == maker])
    for reason in ("spot", "unreadable"):
        drawn = [image.image for image in counts.of_reason[reason]]
        assert drawn == lowest([r for r in rows if r["reason"] == reason])
    assert "not dicom" not in counts.of_reason
    asked = {r["image"] for r in rows[:1] if r["reason"] is None and r["frames"] in (None, 1)}
    assert counts.found.keys() == asked


def test_every_reason_and_finding_is_explained() -> None:
    assert meanings.REASONS.keys() == set(Reason)
    assert meanings.FINDINGS.keys() == set(Finding)


def breast_with_letters(text: str) -> NDArray[np.uint8]:
    """320 x 240: a breast at the left, letters at the right."""
    across, down = np.meshgrid(np.arange(240), np.arange(320))
    inside = (across / 110) ** 2 + ((down - 160) / 130) ** 2
    grey = np.where(inside < 1, 90 + 60 * np.sin(across / 3) * np.sin(down / 3), 4)
    shown = np.clip(grey, 0, 255).astype(np.uint8)
    cv2.putText(shown, text, (140, 60), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 255, 2)
    return shown


def blocks(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[row of blocks, column of blocks, pixel] of a picture of 320 x 240."""
    return grey.reshape(BLOCKS, 10, 24, 10).swapaxes(1, 2).reshape(BLOCKS, 24, 100)


def test_the_breast_stays_and_letters_beside_it_dissolve() -> None:
    grey = breast_with_letters(NAME)
    shown = discreet(grey)
    beside = blocks(shown)[:, 13:]
    assert (beside == beside[..., :1]).all()
    assert beside.max() > 30
    assert np.array_equal(shown[60:260, :60], grey[60:260, :60])


def test_without_a_breast_all_dissolves() -> None:
    grey = np.zeros((320, 240), np.uint8)
    cv2.putText(grey, NAME, (10, 160), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 255, 2)
    shown = blocks(discreet(grey))
    assert (shown == shown[..., :1]).all()


def pixels_of(tile: Tile) -> NDArray[np.uint8]:
    assert tile.address is not None
    data = base64.b64decode(tile.address.removeprefix("data:image/jpeg;base64,"))
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE), np.uint8)


def drawn(path: str, reason: Reason | None) -> Drawn:
    return Drawn("0" * 20, path, reason, Laterality.LEFT, View.MLO, Kind.FFDM)


@pytest.mark.parametrize(
    ("reason", "letters", "in_blocks_only"),
    [
        (None, False, False),
        (Reason.FOR_PROCESSING, False, False),
        # A name across the breast, in whatever image.
        (None, True, True),
        (Reason.PARTIAL_VIEW, True, True),
        # Nobody knows where names stand in a copy of a screen.
        (Reason.SECONDARY_CAPTURE, False, True),
        (Reason.NOT_MAMMOGRAM, False, True),
    ],
)
def test_what_is_shown_finely(
    programme: Path, tmp_path: Path, reason: Reason | None, letters: bool, in_blocks_only: bool
) -> None:
    path = next(path for path in sorted(programme.rglob("*.dcm")) if is_plain(path))
    if letters:
        with_letters(path, tmp_path / "letters.dcm")
        path = tmp_path / "letters.dcm"
    tile = make_tile(path, drawn(path.name, reason))
    coarse = in_blocks(picture(read_image(path)))
    size = pixels_of(tile).shape[::-1]
    off = cv2.absdiff(pixels_of(tile), cv2.resize(coarse, size, interpolation=cv2.INTER_AREA))
    assert bool(off.max() < 40) is in_blocks_only
    found = {finding for finding, _ in tile.findings}
    assert (Finding.LETTERS_IN_BREAST in found) is (letters and reason is None)


def test_files_without_a_picture_say_why(programme: Path, tmp_path: Path) -> None:
    whole = next(path for path in sorted(programme.rglob("*.dcm")) if is_plain(path))
    (tmp_path / "cut.dcm").write_bytes(whole.read_bytes()[:-400])
    (tmp_path / "deadly.dcm").write_bytes(whole.read_bytes())
    images = tuple(drawn(name, None) for name in ("cut.dcm", "gone.dcm", "deadly.dcm"))
    task = SheetTask(0, tmp_path, tmp_path, images).without("deadly.dcm")
    made = make_some(task)
    words = [Reason.DAMAGED_PIXELS, Reason.UNREADABLE, Reason.DECODER_DIED]
    assert made == [Tile(None, word) for word in words]
    assert not task.in_hand.exists()


def test_odd_months_do_not_stretch_the_picture() -> None:
    months = {("ge", 2010 * 12 + n, True): 500 for n in range(5)}
    months |= {("ge", 1900 * 12, True): 1, ("ge", 2099 * 12, False): 1, ("ge", None, True): 7}
    span = span_of(months)
    assert span == Span(2010 * 12, 2010 * 12 + 4, 2, 7)
    svg = str(months_svg(months, {"ge": "G<E"}, span))
    assert svg.count('<rect class="usable"') == 5
    assert "G&lt;E, 2010-05: 500 usable, 0 left out" in svg
    assert span_of({("ge", None, True): 7}) is None
    assert month_name(2010 * 12 + 11) == "2010-12"


def test_a_page_of_nothing_usable_and_no_pictures(tmp_path: Path) -> None:
    rows = [r | {"study_date": None} for r in made_rows(20, 1) if r["reason"]]
    write_page(write_rows(tmp_path, rows, 99), IndexSettings(pictures=0))
    page = (tmp_path / "index.html").read_text()
    assert f"<h1>{len(rows)} files, 0 usable</h1>" in page
    assert "No file has a study date" in page
    assert "<img" not in page


def test_what_pictures_show_is_told_where_only_headers_were_read(
    programme: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    path = next(path for path in sorted(programme.rglob("*.dcm")) if is_plain(path))
    with_letters(path, source / "a.dcm")
    settings = IndexSettings(pictures=2)
    write_index(source, tmp_path / "index", settings, WorkersSettings(workers=1))
    write_page(tmp_path / "index", settings)
    page = (tmp_path / "index" / "index.html").read_text()
    assert "The pixels of 1 of 1 usable images were looked at" in page
    assert f"<h3>{Finding.LETTERS_IN_BREAST}: 1" in page


def test_the_page_holds_no_identifier_and_needs_no_network(
    programme: Path, paged: Path, tmp_path: Path
) -> None:
    page = (paged / "index.html").read_text()
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "index.html").write_text(page)
    known = {*identifiers(programme), NAME, "note.txt", str(paged.parent)}
    assert traces(tmp_path / "alone", known) == set()
    assert "http" not in page
    assert "<script" not in page
    assert len(page) < 500_000
