"""Planted names, birth dates and numbers stand in nothing that leaves the hospital or the index."""

import base64
import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, PngImagePlugin
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from scanner import identifiers, traces

from mim.pseudonyms.pseudonymise import pseudonymise_folder
from mim.pseudonyms.settings import PseudonymiseSettings
from mim.workers.settings import WorkersSettings

NAME, BORN, NUMBER = "Bøe-Planted", "19600217", "17026012345"
ALONE = WorkersSettings(workers=1)
PLANTED = (NAME, "Gudveig", BORN, "1960-02-17", NUMBER, "ACC-778899", "Storgata", "Dr.Quaresma")
HIDES_IDENTIFIERS = ("images", "headers", "pseudonym.key")
"""What an index may hold identifiers in: it stays where the images are."""


def image_with_text(path: Path, compressed: bool) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("comment", f"of {NAME}", zip=compressed)
    Image.new("L", (4, 4)).save(path, pnginfo=notes)


def page_with_picture(path: Path) -> None:
    picture = path.with_suffix(".png")
    image_with_text(picture, compressed=True)
    data = base64.b64encode(picture.read_bytes()).decode()
    picture.unlink()
    path.write_text(f'<img src="data:image/png;base64,{data}">')


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("inner.json", f'["{NAME}"]' * 50)


WRAPPINGS: dict[str, Callable[[Path], object]] = {
    "plain": lambda path: path.write_text(f"saw {NAME.upper()} today"),
    "latin": lambda path: path.write_bytes(NAME.encode("latin-1")),
    "windows": lambda path: path.write_bytes(NAME.encode("utf-16-le")),
    "parquet": lambda path: pq.write_table(
        pa.table({"who": [[NAME, "x"]] * 500}), path, compression="zstd"
    ),
    "parquet metadata": lambda path: pq.write_table(
        pa.table({"a": [1]}).replace_schema_metadata({"by": NAME}), path
    ),
    "gzip": lambda path: path.write_bytes(gzip.compress(NAME.encode() * 20)),
    "zip": archive,
    "png": lambda path: image_with_text(path.with_suffix(".png"), compressed=True),
    "page": lambda path: page_with_picture(path.with_suffix(".html")),
    "file name": lambda path: path.with_name(f"{NAME}.txt").write_text(""),
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_the_scanner_finds_a_name_in_any_packing(wrapping: str, tmp_path: Path) -> None:
    WRAPPINGS[wrapping](tmp_path / "file")
    assert {identifier for _, identifier in traces(tmp_path, PLANTED)} == {NAME}


def plant(dataset: Dataset) -> None:
    """Identity in every kind of place where deliveries have it."""
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName, dataset.PatientBirthDate = f"{NAME}^Gudveig", BORN
    dataset.PatientID, dataset.AccessionNumber = NUMBER, "ACC-778899"
    dataset.OtherPatientIDs, dataset.PatientAddress = NUMBER, "Storgata 1"
    dataset.ReferringPhysicianName = "Dr.Quaresma^A"
    dataset.ImageComments = f"{NAME} called, born 17.02.1960"
    dataset.SeriesDescription = f"L CC {NAME}"
    dataset.StationName = "Gudveig"
    dataset.ContentTime = NAME[:12]
    dataset.SeriesDate = BORN
    item, inner = Dataset(), Dataset()
    inner.PatientName, inner.CodeMeaning = f"{NAME}^Gudveig", f"for {NAME}"
    item.ReferencedSOPInstanceUID = dataset.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = Sequence([inner])
    dataset.SourceImageSequence = Sequence([item])
    dataset.private_block(0x0019, "HOLOGIC, Inc.", create=True).add_new(6, "LO", NAME)
    dataset.add_new(0x60004000, "LT", NAME)
    dataset.add_new(0xFFFCFFFC, "OB", NAME.encode("latin-1").ljust(12))
    dataset.preamble = f"{NAME} {NUMBER}".encode("latin-1").ljust(128, b"\0")


def test_a_pseudonymised_delivery_tells_nothing(
    programme: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "source" / NAME, tmp_path / "out"
    source.mkdir(parents=True)
    originals = sorted((programme / "dicom").rglob("*.dcm"))[:12]
    for number, path in enumerate(originals):
        dataset = dcmread(path)
        plant(dataset)
        dataset.save_as(source / f"{NUMBER}-{number}.dcm")
    (source / "letter.txt").write_text(f"Dear {NAME}")
    assert traces(tmp_path / "source", PLANTED)
    key = tmp_path / "key"
    left = pseudonymise_folder(tmp_path / "source", out, key, None, PseudonymiseSettings(), ALONE)
    assert left == 1
    secrets = {
        *PLANTED,
        *identifiers(programme),
        "planted",
        "17.02.1960",
        key.read_text().strip(),
    }
    assert traces(out, secrets) == set()
    said = tmp_path / "said"
    said.mkdir()
    (said / "log").write_text("".join(capfd.readouterr()))
    assert traces(said, PLANTED) == set()


def test_the_index_keeps_identifiers_where_it_says(programme: Path, index: Path) -> None:
    found = {place for place, _ in traces(index, identifiers(programme))}
    assert {place for place in found if not place.startswith(HIDES_IDENTIFIERS)} == set()
    assert found, "the scanner sees them where they may be"


@pytest.mark.parametrize("artefact", ["cohort", "cache", "run", "bundle"])
def test_nothing_after_the_index_tells(
    artefact: str, programme: Path, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(artefact)
    assert traces(folder, identifiers(programme)) == set()


def test_the_watch_over_named_studies_tells_nothing(
    programme: Path, bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Predictions name studies; the page, its tables and what is printed do not."""
    from made_watch import made, write_bundle_card

    from mim.cli.main import main

    folder, out = tmp_path / "predictions", tmp_path / "out"
    assert (
        main(["predict", f"bundle={bundle}", f"source={programme / 'dicom'}", f"out={folder}"]) < 2
    )
    assert traces(folder, identifiers(programme)), "the scanner sees studies where they may be"
    checksum = json.loads((bundle / "bundle.json").read_text())["checksum"]
    card = write_bundle_card(made(), tmp_path / "card", checksum=checksum)
    capfd.readouterr()
    words = [f"bundle={card}", f"predictions=[{folder}]", f"out={out}/page", "period=quarter"]
    assert main(["monitor", *words, "least_exams=10"]) == 1
    (out / "said").write_text("".join(capfd.readouterr()))
    assert {path.name for path in (out / "page").iterdir()} >= {"index.html", "drift.csv"}
    assert traces(out, identifiers(programme)) == set()


@pytest.mark.slow
def test_names_in_a_delivery_reach_nothing_after_its_index(
    programme: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The whole way from named files to a bundle and a report, with all that it says."""
    for path in sorted((programme / "dicom").rglob("*.dcm")):
        dataset = dcmread(path)
        own = {keyword: dataset[keyword].value for keyword in ("PatientID", "AccessionNumber")}
        series = dataset.SeriesDate
        plant(dataset)
        dataset.SeriesDate, dataset.StationName = series, "MAMMO 1"
        for keyword, value in own.items():
            setattr(dataset, keyword, value)
        place = tmp_path / "named" / path.relative_to(programme / "dicom")
        place.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(place)
    capfd.readouterr()
    out = tmp_path / "out"
    everything(tmp_path / "named", programme / "registry", out)
    (out / "said").write_text("".join(capfd.readouterr()))
    names = {NAME, "Gudveig", "1960-02-17", "Storgata", "Quaresma"}
    secrets = names | identifiers(programme)
    found = {place for place, _ in traces(out, secrets)}
    assert {place for place in found if not place.startswith(index_paths())} == set()


def index_paths() -> tuple[str, ...]:
    return tuple(f"index/{name}" for name in HIDES_IDENTIFIERS)


def everything(dicom: Path, registry: Path, out: Path) -> None:
    """Index, cohort, cache, run, report and bundle by the command line, in this process."""
    from mim.cli.main import main

    net = [
        "model.encoder.name=convnext_atto",
        "model.fusion.width=16",
        "model.fusion.layers=1",
        "model.fusion.heads=2",
    ]
    steps = (
        ["index", f"source={dicom}", f"out={out}/index", "workers=1"],
        ["cohort", f"index={out}/index", f"registry={registry}", f"out={out}/cohort"],
        ["cache", f"cohort={out}/cohort", f"out={out}/cache", "recipe.height=64", "recipe.width=32", "workers=1"],
        ["train", f"cohort={out}/cohort", f"cache={out}/cache", f"out={out}/run", *net,
         "train.epochs=1", "train.accelerator=cpu", "train.wandb=off", "data.batch_size=4"],
        ["evaluate", f"run={out}/run", f"out={out}/report"],
        ["export", f"run={out}/run", f"out={out}/bundle"],
    )  # fmt: skip
    for step in steps:
        assert main(step) in (0, 1), step
