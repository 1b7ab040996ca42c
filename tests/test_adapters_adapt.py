"""What every adapter shares: finding and reading published files, and what is written of them."""

import json
import sys
import zipfile
from importlib import import_module
from pathlib import Path

import polars as pl
import pytest

from mim.adapters.adapt import adapt_dataset
from mim.adapters.adapted import About, Adapted, write_adapted
from mim.adapters.settings import Dataset
from mim.adapters.sources import compare, find_file, list_files, read_cells
from mim.cohort.registry import read_registry
from mim.errors import InputError

ABOUT = About("Made", "none", "doi 10.0/0", ("days of the exams",))


def made(images: Path) -> Adapted:
    exams = pl.DataFrame({"woman_id": ["w2", "w1"], "exam_id": ["e2", "e1"]})
    outcomes = pl.DataFrame({"exam_id": ["e1"], "breast": ["L"], "outcome": ["cancer"]})
    overrides = pl.DataFrame({"path": ["b.dcm", "a.dcm"], "accession_number": ["e2", None]})
    tables = {"exams": exams, "outcomes": outcomes}
    return Adapted(ABOUT, images, tables, overrides, ["one is odd"])


def test_what_is_written_is_a_registry_with_licence_and_account(tmp_path):
    write_adapted(made(tmp_path / "images"), tmp_path)
    registry = read_registry(tmp_path / "registry")
    assert registry.exams["exam_id"].to_list() == ["e1", "e2"]
    assert registry.exams["exam_date"].null_count() == 2
    assert "Licence: none" in (tmp_path / "registry" / "note.txt").read_text()
    account = json.loads((tmp_path / "adapted.json").read_text())
    assert account["rows"] == {"exams": 2, "outcomes": 1}
    assert account["cannot_know"] == ["days of the exams"]
    assert account["notices"] == ["one is odd"]


def test_nothing_of_another_collection_stays_in_the_registry(tmp_path):
    first = made(tmp_path)
    first.tables["density"] = pl.DataFrame({"exam_id": ["e1"], "breast": ["L"], "density": ["a"]})
    write_adapted(first, tmp_path)
    write_adapted(made(tmp_path), tmp_path)
    assert read_registry(tmp_path / "registry").density.is_empty()


def test_every_collection_says_what_binds_it_and_what_it_cannot_know():
    for dataset in Dataset:
        about = import_module(f"mim.adapters.{dataset.value}").ABOUT
        assert about.licence
        assert "doi" in about.source or "://" in about.source
        assert about.cannot_know


def test_the_user_reads_licence_gaps_notices_and_the_next_step(tmp_path, capsys):
    source = tmp_path / "source"
    source.mkdir()
    (source / "Info.txt").write_text("mdb001 G NORM\nmdb002 G CALC M 1 2 3\n")
    (source / "mdb001.pgm").write_bytes(b"P5 2 2 255\n" + bytes(4))
    adapt_dataset(Dataset.mini_mias, source, tmp_path / "out")
    said = capsys.readouterr().out
    for words in ("licence: that of", "not known: days", "notice: 1 of the 2", "mim index source="):
        assert words in said


def test_the_nearest_file_of_the_first_name_is_found(tmp_path):
    for name in ("deep/er/b.csv", "deep/b.csv", "deep/a.csv", "x/a.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert find_file(tmp_path, ["b.csv", "a.csv"], "") == tmp_path / "deep" / "b.csv"
    (tmp_path / "x" / "a.csv").touch()
    with pytest.raises(InputError, match="also there as"):
        find_file(tmp_path, ["a.csv"], "")
    with pytest.raises(InputError, match=r"holds no c.csv or d.csv; expected the lot"):
        find_file(tmp_path, ["c.csv", "d.csv"], "the lot")


def test_links_in_a_circle_end(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").symlink_to(tmp_path)
    with pytest.raises(InputError):
        find_file(tmp_path, ["none"], "")


def test_files_are_listed_by_suffix_without_what_macos_adds(tmp_path):
    for name in ("b.PGM", "a.pgm", "._a.pgm", "c.png"):
        (tmp_path / name).touch()
    assert list_files(tmp_path, [".pgm"]) == ["a.pgm", "b.PGM"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_cells_are_text_without_blanks_and_missing_where_empty(tmp_path, separator):
    path = tmp_path / "table.csv"
    lines = ["\ufeffid, word ,other", " 007,  ,x", ",,", '8,"a b",y']
    path.write_text("\n".join(line.replace(",", separator) for line in lines), encoding="utf-8")
    rows = read_cells(path, ["id", "word"], ["lacking"]).rows()
    assert rows == [("007", None, None), ("8", "a b", None)]


def test_a_table_without_a_column_or_that_is_none_is_named(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("id,word\n1,2\n")
    with pytest.raises(InputError, match=r"table.csv: column 'side' is missing"):
        read_cells(path, ["id", "side"])
    path.write_text("")
    with pytest.raises(InputError, match="cannot be read as a table"):
        read_cells(path, ["id"])
    path.write_text("id,word\n,\n")
    with pytest.raises(InputError, match="no row below the header"):
        read_cells(path, ["id"])


def test_excel_sheets_read_as_separated_ones(tmp_path):
    pytest.importorskip("fastexcel")
    path = tmp_path / "table.xlsx"
    write_excel(path, [["id", "month", "word"], ["D1-1", 201001, " a "], ["", "", ""]])
    assert read_cells(path, ["id", "month", "word"]).rows() == [("D1-1", "201001", "a")]
    path.write_bytes(b"no zip")
    with pytest.raises(InputError, match="cannot be read as a table"):
        read_cells(path, ["id"])


def test_excel_without_its_reader_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastexcel", None)
    write_excel(tmp_path / "table.xlsx", [["id"]])
    with pytest.raises(InputError, match=r"pip install 'mim\[adapt\]', or save .* table.csv"):
        read_cells(tmp_path / "table.xlsx", ["id"])


def test_partial_downloads_are_counted_and_other_folders_refused():
    assert compare(["a", "b"], ["a", "b"], "t.csv") == []
    lacking, strange = compare(["a", "b", "c"], ["a", "x", "y"], "t.csv")
    assert lacking.startswith("2 of the 3 images in t.csv are not in the folder")
    assert strange.startswith("2 images in the folder are not in t.csv")
    with pytest.raises(InputError, match=r"t.csv: the folder holds none of its 1 images"):
        compare(["a"], ["b"], "t.csv")


SPREADSHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def write_excel(path: Path, rows: list[list[str | int]]) -> None:
    """The least that is a workbook: ECMA-376 part 1, 12.2."""

    def cell(value: str | int) -> str:
        if isinstance(value, int):
            return f"<c><v>{value}</v></c>"
        return f'<c t="inlineStr"><is><t xml:space="preserve">{value}</t></is></c>'

    def relation(kind: str, target: str) -> str:
        link = f'<Relationship Id="r1" Type="{OFFICE}/{kind}" Target="{target}"/>'
        return f'<Relationships xmlns="{RELATIONS}">{link}</Relationships>'

    sheet = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("_rels/.rels", relation("officeDocument", "xl/workbook.xml"))
        book.writestr("xl/_rels/workbook.xml.rels", relation("worksheet", "sheet.xml"))
        book.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{SPREADSHEET}" xmlns:r="{OFFICE}"><sheets>'
            '<sheet name="s" sheetId="1" r:id="r1"/></sheets></workbook>',
        )
        book.writestr(
            "xl/sheet.xml",
            f'<worksheet xmlns="{SPREADSHEET}"><sheetData>{sheet}</sheetData></worksheet>',
        )
