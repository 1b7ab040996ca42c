"""The walk over a folder: every file once, in the order of the paths, whatever links there are."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mim.dicom.tree import Found, find_files, walk
from mim.errors import InputError

NAMES = st.text("ab.-/0ø", min_size=1, max_size=8).filter(
    lambda path: not {"", ".", ".."} & set(path.split("/"))
)


def make(top: Path, paths: list[str]) -> list[str]:
    """Files of these paths, as far as they can lie beside each other."""
    for path in paths:
        try:
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).touch()
        except OSError:
            continue
    return [
        os.path.relpath(os.path.join(folder, name), top)
        for folder, _, names in os.walk(top)
        for name in names
    ]


@settings(max_examples=50)
@given(st.lists(NAMES, max_size=12))
def test_all_files_come_in_the_order_of_their_paths(
    tmp_path_factory: pytest.TempPathFactory, paths: list[str]
) -> None:
    top = tmp_path_factory.mktemp("tree")
    made = sorted(make(top, paths), key=str.encode)
    assert [file.path for file in walk(top)] == made


def link(path: Path, target: Path) -> None:
    path.symlink_to(target, target_is_directory=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source and, beside it, a store that links may lead to."""
    make(tmp_path, ["source/b/file", "source/c/file", "store/image", "store/deep/image"])
    return tmp_path / "source"


def paths(source: Path, skip: Path | None = None) -> list[str]:
    return [file.path for file in find_files(source, skip)]


def test_links_within_the_source_lead_to_nothing_new(tree: Path) -> None:
    link(tree / "a", tree / "b")
    link(tree / "b" / "up", tree)
    link(tree / "b" / "self", tree / "b")
    assert paths(tree) == ["b/file", "c/file"]


def test_a_folder_elsewhere_is_entered_by_the_first_link(tree: Path) -> None:
    for name in ("b/one", "d", "e"):
        link(tree / name, tree.parent / "store")
    link(tree.parent / "store" / "back", tree)
    link(tree.parent / "store" / "self", tree.parent / "store")
    assert paths(tree) == ["b/file", "b/one/deep/image", "b/one/image", "c/file"]


@pytest.mark.parametrize("inner", ["a", "z"])
def test_links_to_a_folder_and_into_it_list_its_files_once(tree: Path, inner: str) -> None:
    link(tree / inner, tree.parent / "store" / "deep")
    link(tree / "m", tree.parent / "store")
    below = "a/image" if inner == "a" else "m/deep/image"
    assert paths(tree) == sorted(["b/file", "c/file", below, "m/image"])


def test_a_link_to_what_holds_the_source_ends(tree: Path) -> None:
    link(tree / "d", tree.parent)
    assert paths(tree) == ["b/file", "c/file", "d/store/deep/image", "d/store/image"]


def test_a_folder_is_left_out(tree: Path) -> None:
    link(tree / "d", tree / "c")
    assert paths(tree, skip=tree / "c") == ["b/file"]
    assert paths(tree, skip=tree / "d") == ["b/file"]


def test_links_to_files_are_files(tree: Path) -> None:
    (tree / "c" / "again").symlink_to(tree / "b" / "file")
    assert paths(tree) == ["b/file", "c/again", "c/file"]


def test_what_cannot_be_opened_is_listed_with_its_problem(tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    link(tree / "circle", tree / "circle")
    link(tree / "gone", tree / "nowhere")
    (tree / os.fsdecode(b"bj\xf8rn.dcm")).touch()
    (tree / os.fsdecode(b"\xf8")).mkdir()
    found = {file.path: file.problem or "" for file in walk(tree)}
    assert found.keys() == {
        *("b/file", "c/file", "pipe", "circle", "gone", "bj\\xf8rn.dcm", "\\xf8/")
    }
    assert "no regular file" in found["pipe"]
    assert "link to nothing" in found["gone"]
    assert "cannot be opened: OSError" in found["circle"]
    assert "not UTF-8" in found["bj\\xf8rn.dcm"]
    assert "files are not listed" in found["\\xf8/"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_listed(tree: Path) -> None:
    (tree / "c").chmod(0)
    problem = "folder cannot be listed: PermissionError"
    assert find_files(tree) == [Found("b/file"), Found("c/", problem)]
    (tree / "c").chmod(0o700)
    tree.chmod(0)
    with pytest.raises(InputError, match="cannot be listed"):
        find_files(tree)
    tree.chmod(0o700)


def test_a_folder_that_goes_away_is_listed(tree: Path) -> None:
    files = walk(tree)
    assert next(files).path == "b/file"
    (tree / "c" / "file").unlink()
    (tree / "c").rmdir()
    assert list(files) == [Found("c/", "folder cannot be listed: FileNotFoundError")]
