"""The demo: which exam it shows, what it may delete, and (slow) the whole way."""

from pathlib import Path

import pytest

from mim.cli.demo import MARK, _clear, telling_exam
from mim.cli.main import main
from mim.errors import InputError


def exam(name: str, split: str, cancer: bool | None, priors: list[str]) -> dict[str, object]:
    return {
        "exam": name,
        "split": split,
        "left_cancer": cancer,
        "right_cancer": None,
        "priors": priors,
    }


def test_the_shown_exam_is_a_test_exam_with_cancer_and_prior() -> None:
    exams = [
        exam("a", "train", True, ["p"]),
        exam("b", "test", True, []),
        exam("c", "test", False, ["p"]),
        exam("d", "test", None, []),
    ]
    assert telling_exam(exams)["exam"] == "b"
    assert telling_exam([*exams, exam("e", "test", True, ["p"])])["exam"] == "e"
    assert telling_exam(exams[2:])["exam"] == "c"
    with pytest.raises(InputError, match="test split"):
        telling_exam(exams[:1])


def test_only_an_earlier_demo_is_replaced(tmp_path: Path) -> None:
    mine = tmp_path / "run" / "thesis.txt"
    mine.parent.mkdir()
    mine.touch()
    with pytest.raises(InputError, match="something other than a demo"):
        _clear(tmp_path, {})
    assert mine.is_file()
    (tmp_path / MARK).touch()
    _clear(tmp_path, {})
    assert not mine.exists()


@pytest.mark.slow
def test_demo_goes_all_the_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "demo"
    assert main(["demo", f"out={out}", "women=40", "workers=1"]) == 0
    said = capsys.readouterr().out
    assert "[9/9]" in said
    assert (out / "audit" / "index.html").is_file()
    assert "AUC by breast" in said
    assert str(out / "report" / "index.html") in said
    assert (out / "report" / "index.html").is_file()
    assert (out / "bundle" / "bundle.json").is_file()
    assert (out / "prediction" / "predictions.json").is_file()
    assert any((out / "exam").rglob("*.dcm"))
