"""The index of a delivery: what is written, what is said, what is refused."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from made_files import WHOLE, dicom

from mim.dicom.rows import PROBLEMS, scan
from mim.errors import InputError
from mim.ingest.index import write_index
from mim.ingest.listing import Cut
from mim.ingest.publish import NAMED
from mim.ingest.settings import IndexSettings
from mim.schemas.cohort import ATTRITION
from mim.schemas.images import IMAGES
from mim.schemas.table import read_table
from mim.vocab import Reason
from mim.workers.settings import WorkersSettings

ALONE = WorkersSettings(workers=1)
KEY = b"k" * 32


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A delivery: two breasts of one woman, a duplicate, a letter, a folder that leads back."""
    source = tmp_path / "delivery"
    for path, content in {
        "b/left.dcm": WHOLE,
        "b/right.dcm": dicom(SOPInstanceUID="1.2.3.2", ImageLaterality="R"),
        "b.txt": b"letter",
        "c/again.dcm": WHOLE,
        "a/cut.dcm": WHOLE[:-5],
        "a/nameless": dicom(SOPInstanceUID="1.2.3.3", ViewPosition=None),
    }.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(content)
    (source / "c" / "back").symlink_to(source, target_is_directory=True)
    (source / "c" / "gone").symlink_to(source / "nowhere")
    return source


EXPECTED = {
    "a/cut.dcm": Reason.DAMAGED_PIXELS,
    "a/nameless": Reason.VIEW_UNKNOWN,
    "b.txt": Reason.NOT_DICOM,
    "b/left.dcm": None,
    "b/right.dcm": None,
    "c/again.dcm": Reason.DUPLICATE_IMAGE,
    "c/gone": Reason.UNREADABLE,
}


def rows_of(out: Path) -> dict[str, dict[str, Any]]:
    return {row["path"]: row for row in read_table(out / "images", IMAGES).to_pylist()}


def test_an_index_is_written(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "index"
    problems = write_index(tree, out, IndexSettings(), ALONE)
    rows = rows_of(out)
    assert {path: row["reason"] for path, row in rows.items()} == EXPECTED
    assert list(rows) == sorted(EXPECTED)
    counts = {
        row["reason"]: row["count"]
        for row in read_table(out / "attrition.parquet", ATTRITION).to_pylist()
    }
    assert counts == {
        "kept": 2,
        "damaged pixels": 1,
        "view unknown": 1,
        "not dicom": 1,
        "duplicate image": 1,
        "unreadable": 1,
    }
    assert problems == sum(counts.get(reason, 0) for reason in PROBLEMS) == 3
    about = json.loads((out / "index.json").read_text())
    assert (about["source"], about["counts"], about["files"]) == (str(tree), counts, 7)
    assert (about["read"], about["taken_over"], about["gone"]) == (7, 0, 0)
    assert about["deliveries"] == 3
    by_delivery = [Counter(delivery["counts"]) for delivery in about["by_delivery"]]
    assert sum(by_delivery, Counter()) == Counter(counts)
    assert by_delivery[2] == {"kept": 2}, "b comes after the files in no folder and a"
    assert about["by_delivery"][2]["image"] == rows["b/left.dcm"]["image"]
    assert {file.name for file in out.iterdir()} == {
        *("images", "headers", "findings.parquet"),
        *("attrition.parquet", "index.json", "pseudonym.key"),
    }
    said = "".join(capsys.readouterr())
    assert "7 files, 2 usable screening views" in said
    assert not [word for word in ("Nordmann", "1.2.3", "b/left") if word in said]


def test_of_many_deliveries_only_the_number_is_told(tmp_path: Path) -> None:
    """Where each woman has a folder of her own, say."""
    for number in range(NAMED + 1):
        (tmp_path / "source" / str(number)).mkdir(parents=True)
        (tmp_path / "source" / str(number) / "letter").write_bytes(b"text")
    write_index(tmp_path / "source", tmp_path / "out", IndexSettings(), ALONE)
    about = json.loads((tmp_path / "out" / "index.json").read_text())
    assert (about["deliveries"], about["by_delivery"]) == (NAMED + 1, [])


def test_its_rows_are_those_of_a_scan(tree: Path, tmp_path: Path) -> None:
    """Deploy reads small folders with ``scan``: both must judge alike."""
    key = tmp_path / "key"
    key.write_text(KEY.hex())
    write_index(tree, tmp_path / "out", IndexSettings(key_file=str(key)), ALONE, Cut(1, 2, 2))
    scanned = IMAGES.from_rows(scan(tree, None, KEY))
    assert read_table(tmp_path / "out" / "images", IMAGES).equals(scanned)


def test_only_rows_hold_identifiers(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "index"
    write_index(tree, out, IndexSettings(), ALONE)
    secret = (b"Nordmann", b"1.2.3", b"left.dcm")
    for file in out.rglob("*"):
        if file.suffix == ".parquet" and file.parent == out:
            # Parquet may be compressed: look at what is read, too.
            text = str(pq.read_table(file).to_pylist()).encode() + file.read_bytes()
        elif file.parent.name in ("images", "headers") or file.is_dir():
            continue
        else:
            text = file.read_bytes()
        assert not [word for word in secret if word in text], file.name


def test_a_second_index_gives_the_same_names(tree: Path, tmp_path: Path) -> None:
    """Also where the index lies in the folder it describes."""
    inside, outside = tree / "index", tmp_path / "other"
    write_index(tree, inside, IndexSettings(), ALONE)
    first = read_table(inside / "images", IMAGES)
    write_index(tree, inside, IndexSettings(), ALONE)
    assert read_table(inside / "images", IMAGES).equals(first)
    key_file = tmp_path / "key"
    (inside / "pseudonym.key").rename(key_file)
    inside.rename(tmp_path / "moved")
    write_index(tree, outside, IndexSettings(key_file=str(key_file)), ALONE)
    assert read_table(outside / "images", IMAGES).equals(first)
    assert not (outside / "pseudonym.key").exists()


def test_overrides_replace_the_header(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "overrides.csv"
    table.write_text("path,view,patient_id\na/nameless,MLO,77\nb/left.dcm,,77\nlost.dcm,CC,\n")
    out = tmp_path / "index"
    write_index(tree, out, IndexSettings(overrides=str(table)), ALONE)
    rows = rows_of(out)
    nameless = rows["a/nameless"]
    assert (nameless["reason"], nameless["view"]) == (None, "MLO")
    assert nameless["woman"] == rows["b/left.dcm"]["woman"] != rows["b/right.dcm"]["woman"]
    assert rows["b/right.dcm"]["overridden"] == []
    assert "1 rows of the overrides name no file" in capsys.readouterr().out
    assert json.loads((out / "index.json").read_text())["overrides_without_file"] == 1


def csv(folder: Path, text: str) -> str:
    (folder / "overrides.csv").write_text(text)
    return str(folder / "overrides.csv")


REFUSED: list[tuple[str, Callable[[Path, Path], tuple[Path, Path, IndexSettings]]]] = [
    ("no such folder", lambda tree, here: (here / "nowhere", here / "out", IndexSettings())),
    ("is the source", lambda tree, here: (tree, tree, IndexSettings())),
    (
        "cannot be read",
        lambda tree, here: (tree, here / "out", IndexSettings(key_file=str(here / "no"))),
    ),
    (
        "none of its paths",
        lambda tree, here: (
            tree,
            here / "out",
            IndexSettings(overrides=csv(here, "path,view\nd/b/left.dcm,CC\n")),
        ),
    ),
    (
        "column 'veiw' is unknown",
        lambda tree, here: (
            tree,
            here / "out",
            IndexSettings(overrides=csv(here, "path,veiw\nb/left.dcm,CC\n")),
        ),
    ),
]


@pytest.mark.parametrize(("words", "given"), REFUSED, ids=[words for words, _ in REFUSED])
def test_wrong_input_is_refused(
    tree: Path,
    tmp_path: Path,
    words: str,
    given: Callable[[Path, Path], tuple[Path, Path, IndexSettings]],
) -> None:
    source, out, settings = given(tree, tmp_path)
    with pytest.raises(InputError, match=words):
        write_index(source, out, settings, ALONE)
    assert not (out / "images").exists()


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no file"):
        write_index(tmp_path / "empty", tmp_path / "out", IndexSettings(), ALONE)


@pytest.mark.parametrize("name", ["images", "headers"])
def test_a_folder_that_is_no_index_is_not_emptied(tree: Path, tmp_path: Path, name: str) -> None:
    """Say a source that is called images, with the index written beside the files' folders."""
    tree.rename(tmp_path / name)
    with pytest.raises(InputError, match="which no index writes"):
        write_index(tmp_path / name, tmp_path, IndexSettings(), ALONE)
    assert (tmp_path / name / "b" / "left.dcm").read_bytes() == WHOLE


def test_an_index_is_not_replaced_by_that_of_another_folder(tree: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    (tree / "c" / "back").unlink()
    write_index(tree, out, IndexSettings(), ALONE)
    rows = rows_of(out)
    shutil.copytree(tree / "b", other)
    with pytest.raises(InputError, match="is the index of .*delivery; give this source"):
        write_index(other, out, IndexSettings(), ALONE)
    assert rows_of(out) == rows
    tree.rename(tmp_path / "moved")
    (out / "index.json").unlink()
    write_index(tmp_path / "moved", out, IndexSettings(), ALONE)
    assert rows_of(out) == rows


def test_many_processes_give_the_rows_of_one(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(1003):
        content = WHOLE if number % 50 == 0 else b"text"
        (source / f"{number:04}").write_bytes(content)
    key = tmp_path / "key"
    key.write_text(KEY.hex())
    settings = IndexSettings(key_file=str(key))
    tables = []
    for workers in (1, 2):
        out = tmp_path / str(workers)
        write_index(source, out, settings, WorkersSettings(workers=workers), Cut(8, 64, 16))
        assert len(list((out / "headers").iterdir())) > 1
        tables.append((out / "images" / "part-00000.parquet").read_bytes())
    assert tables[0] == tables[1]
    reasons = pq.read_table(out / "images")["reason"].to_pylist()
    assert reasons.count(Reason.DUPLICATE_IMAGE) == 20
