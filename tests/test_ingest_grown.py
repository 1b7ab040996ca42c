"""A source that grows, a run that is killed: the index is that of one clean run."""

import fcntl
import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_files import WHOLE, dicom

from mim.errors import InputError
from mim.ingest import rules
from mim.ingest.index import write_index
from mim.ingest.listing import Cut
from mim.ingest.settings import Check, IndexSettings
from mim.schemas.images import IMAGES
from mim.schemas.table import read_table
from mim.workers.settings import WorkersSettings

ALONE = WorkersSettings(workers=1)
SMALL = Cut(least=1, most=4, one_in=2)
MIDDLE = Cut(least=4, most=32, one_in=8)

CONTENTS = [
    WHOLE,
    dicom(SOPInstanceUID="1.2.3.2", ImageLaterality="R"),
    dicom(SOPInstanceUID="1.2.3.2", ImageLaterality="R", PatientAge="050Y"),
    dicom(SOPInstanceUID="1.2.3.4", StudyInstanceUID="1.2.4"),
    WHOLE[:-5],
    b"letter",
]
PATHS = [f"{folder}/{name}" for folder in ("a", "b", "b.1") for name in "0123"] + ["1", "b.txt"]


@pytest.fixture(autouse=True)
def _same_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who edits a rule while the tests run has no rows read anew for it."""
    monkeypatch.setattr(rules, "HEADERS", ("errors.py",))


class Step(NamedTuple):
    """What happens to some files, and how the run after it ends: at a step on disk, or never."""

    files: dict[str, int | None]
    killed_at: int | None


STEPS = st.lists(
    st.builds(
        Step,
        st.dictionaries(
            st.sampled_from(PATHS), st.none() | st.integers(0, len(CONTENTS) - 1), max_size=6
        ),
        st.none() | st.integers(0, 25),
    ),
    min_size=1,
    max_size=4,
)


def change(source: Path, files: dict[str, int | None], clock: int) -> None:
    """Write files with the content of a number; None takes one away."""
    for path, number in files.items():
        file = source / path
        if number is None:
            file.unlink(missing_ok=True)
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(CONTENTS[number])
        # Clocks of file systems are coarse: two changes would fall on one time.
        os.utime(file, ns=(clock, clock))


def run_until(step: int, source: Path, out: Path, chosen: IndexSettings) -> None:
    """A run in a process of its own that is killed before its ``step``-th change of a name.

    The child never comes back from here: it would go on as a second runner of tests.
    """
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    # Threads of other tests are lost in the child, with what locks they held.
    signal.alarm(10)
    steps = count()

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def change_name(*args: Any, **kwargs: Any) -> Any:
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return change_name

    try:
        for name in ("replace", "rename", "unlink"):
            setattr(Path, name, counted(getattr(Path, name)))
        write_index(source, out, chosen, ALONE, SMALL)
    finally:
        os._exit(0)


def files_of(out: Path) -> dict[str, bytes]:
    """All of an index but what tells of the run."""
    return {
        str(file.relative_to(out)): file.read_bytes()
        for file in out.rglob("*")
        if file.is_file() and file.name != "index.json"
    }


def is_whole(out: Path) -> bool:
    """Whether what readers take for an index is one: all its files tell the same."""
    if not (out / "index.json").exists():
        return True
    about = json.loads((out / "index.json").read_text())
    reasons = read_table(out / "images", IMAGES)["reason"].to_pylist()
    counted = Counter(reason or "kept" for reason in reasons)
    attrition = {
        row["reason"]: row["count"]
        for row in pq.read_table(out / "attrition.parquet").to_pylist()
        if row["count"]
    }
    findings = Counter(pq.read_table(out / "findings.parquet")["finding"].to_pylist())
    return (counted, attrition, findings) == (
        {reason: count for reason, count in about["counts"].items() if count},
        counted,
        about["findings"],
    )


def check_steps(here: Path, steps: list[Step]) -> None:
    source, out = here / "source", here / "out"
    source.mkdir()
    (source / "first").write_bytes(WHOLE)
    (here / "key").write_text("6b" * 32)
    chosen = IndexSettings(key_file=str(here / "key"))
    for clock, step in enumerate(steps, 1):
        change(source, step.files, clock)
        if step.killed_at is None:
            write_index(source, out, chosen, ALONE, SMALL)
        else:
            run_until(step.killed_at, source, out, chosen)
            assert is_whole(out)
    write_index(source, out, chosen, ALONE, SMALL)
    write_index(source, here / "clean", chosen, ALONE, SMALL)
    assert files_of(out) == files_of(here / "clean")
    about, clean = (told(here / name) for name in ("out", "clean"))
    for name in OF_THE_RUN:
        del about[name], clean[name]
    assert about == clean


OF_THE_RUN = ("read", "taken_over", "gone")


def told(out: Path) -> dict[str, Any]:
    about: dict[str, Any] = json.loads((out / "index.json").read_text())
    return about


@settings(
    max_examples=6,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(STEPS)
def test_whatever_happened_the_index_is_that_of_a_clean_run(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step]
) -> None:
    check_steps(tmp_path_factory.mktemp("grown"), steps)


@pytest.mark.slow
@settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(STEPS)
def test_whatever_happened_the_index_is_that_of_a_clean_run_often(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step]
) -> None:
    check_steps(tmp_path_factory.mktemp("grown"), steps)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A hundred and twenty files of seven folders."""
    for number in range(120):
        path = tmp_path / "source" / str(number % 7) / f"{number:03}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENTS[number % 6])
    return tmp_path / "source"


def work_of(source: Path, out: Path, cut: Cut = MIDDLE, **chosen: Any) -> tuple[int, ...]:
    """Files read, taken over and gone in a run."""
    write_index(source, out, IndexSettings(**chosen), ALONE, cut)
    return tuple(told(out)[name] for name in OF_THE_RUN)


def test_only_new_and_changed_files_are_read(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert work_of(source, out) == (120, 0, 0)
    before = {path.name for path in (out / "headers").iterdir()}
    assert work_of(source, out) == (0, 120, 0)
    assert {path.name for path in (out / "headers").iterdir()} == before
    (source / "3" / "new").write_bytes(WHOLE)
    (source / "3" / "003").write_bytes(b"other text")
    os.utime(source / "5" / "005", ns=(1, 1))
    (source / "6" / "006").unlink()
    assert work_of(source, out) == (3, 117, 1)
    after = {path.name for path in (out / "headers").iterdir()}
    assert len(after - before) <= 5, "parts without a change were written anew"


def test_rows_are_taken_over_wherever_parts_begin(source: Path, tmp_path: Path) -> None:
    """A new path may end a part where none ended, and a path that goes no longer ends one."""
    work_of(source, tmp_path / "out")
    (source / "4" / "011").unlink()
    assert work_of(source, tmp_path / "out", Cut(3, 16, 5)) == (0, 119, 1)
    assert work_of(source, tmp_path / "out", Cut(8, 64, 16)) == (0, 119, 0)


def test_a_file_of_equal_size_and_time_is_not_read(source: Path, tmp_path: Path) -> None:
    """The limit of an index that is incremental; the cache compares checksums."""
    work_of(source, tmp_path / "out")
    file = source / "5" / "005"
    times = file.stat()
    file.write_bytes(b"LETTER")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert work_of(source, tmp_path / "out") == (0, 120, 0)


def test_what_the_rows_depend_on_makes_them_be_read_anew(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    work_of(source, out)
    table = tmp_path / "overrides.csv"
    table.write_text("path,view\n0/000,MLO\n1/001,MLO\n")
    assert work_of(source, out, overrides=str(table)) == (2, 118, 0)
    table.write_text("path,view\n0/000,MLO\n1/001,CC\n")
    assert work_of(source, out, overrides=str(table)) == (1, 119, 0)
    (tmp_path / "key").write_text("6b" * 32)
    assert work_of(source, out, key_file=str(tmp_path / "key")) == (120, 0, 0)
    monkeypatch.setattr(rules, "HEADERS", ("schemas/images.py", "errors.py"))
    assert work_of(source, out, key_file=str(tmp_path / "key")) == (120, 0, 0)


def test_what_could_not_be_read_is_tried_again(tmp_path: Path) -> None:
    """Rights may change, and a network disk come back, without a sign in size and time."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "cut").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "source" / "whole").write_bytes(WHOLE)
    work_of(tmp_path / "source", tmp_path / "out")
    assert work_of(tmp_path / "source", tmp_path / "out") == (1, 1, 0)


def test_a_broken_part_is_made_again(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    work_of(source, out)
    images = (out / "images" / "part-00000.parquet").read_bytes()
    first, second, *_ = sorted((out / "headers").iterdir())
    first.write_bytes(first.read_bytes()[:100])
    whole = second.read_bytes()
    second.write_bytes(whole[:50] + b"broken" * 20 + whole[170:])
    work_of(source, out)
    assert (out / "images" / "part-00000.parquet").read_bytes() == images
    assert second.read_bytes() == whole


def test_the_rules_are_known_by_their_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "files", lambda _: tmp_path)
    monkeypatch.setattr(rules, "HEADERS", ("room", "one.py"))
    (tmp_path / "room").mkdir()
    seen = set()
    for path, text in (("one.py", "1"), ("one.py", "2"), ("room/a.py", "1"), ("room/b.py", "1")):
        (tmp_path / path).write_text(text)
        seen.add(rules.rules_id(b"key", Check.headers))
    assert len(seen) == 4
    (tmp_path / "room" / "notes").write_text("no rule")
    assert rules.rules_id(b"key", Check.headers) in seen


def test_a_second_run_into_one_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "1").write_bytes(WHOLE)
    out = tmp_path / "out"
    (out / "headers").mkdir(parents=True)
    (out / "index.html").write_text("the page of an earlier run")
    held = os.open(out, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        with pytest.raises(InputError, match="another process"):
            write_index(tmp_path / "source", out, IndexSettings(), ALONE)
    finally:
        os.close(held)
    write_index(tmp_path / "source", out, IndexSettings(), ALONE)
    assert (out / "index.json").is_file()
    assert not (out / "index.html").exists()
