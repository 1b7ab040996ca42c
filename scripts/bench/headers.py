"""Header scan: rows of the index by mim, and the same fields by the obvious loop with pydicom.

    python scripts/bench/headers.py [--files 400] [--rounds 5] [--seed 5]

Made headers of about 150 elements with private blocks, nested code sequences and now and then a
VOI LUT lie in a temporary folder. All ways read all files in turn, in one process; the CPU time of
each is the median of the rounds. The fields must come out equal.
"""

import argparse
import os
import platform
import random
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

from pydicom import dcmread
from pydicom.datadict import dictionary_VR, keyword_dict
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.multival import MultiValue
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLosslessSV1

from mim.dicom.elements import items, text, texts
from mim.dicom.header import describe
from mim.dicom.parse import WINDOW, parse
from mim.dicom.reading import read_header

FIELDS = """PatientID StudyInstanceUID SeriesInstanceUID SOPInstanceUID AccessionNumber StudyDate
AcquisitionDate AcquisitionTime AcquisitionDateTime ContentDate ContentTime ContentDateTime
SOPClassUID Modality Manufacturer ManufacturerModelName SoftwareVersions ImageLaterality Laterality
ViewPosition PatientOrientation AcquisitionDeviceProcessingDescription SeriesDescription ImageType
PresentationIntentType PhotometricInterpretation Rows Columns BitsStored PatientAge PartialView
NumberOfFrames SamplesPerPixel ImagerPixelSpacing PixelSpacing NominalScannedPixelSpacing
PaddleDescription EstimatedRadiographicMagnificationFactor QualityControlImage DetectorType
ConversionType BodyPartExamined PartialViewCodeSequence SharedFunctionalGroupsSequence"""
CODES = (
    ("ViewCodeSequence", "ViewModifierCodeSequence"),
    ("AnatomicRegionSequence", "AnatomicRegionModifierSequence"),
)
GIVEN = r"""SpecificCharacterSet=ISO_IR 100|SOPClassUID=1.2.840.10008.5.1.4.1.1.1.2|Modality=MG
ImageType=DERIVED\PRIMARY\\RIGHT|PresentationIntentType=FOR PRESENTATION|Manufacturer=HOLOGIC, Inc.
ManufacturerModelName=Selenia Dimensions|SoftwareVersions=AWS:1.7.4.1\PXCM:1.7.1\ARR:1.7.3.10
SeriesDescription=R MLO|PatientAge=060Y|ImageLaterality=R|ViewPosition=MLO|PatientOrientation=P\L
PaddleDescription=24CM X 29CM|ImagerPixelSpacing=0.07\0.07|InstitutionName=Vågå sjukehus
EstimatedRadiographicMagnificationFactor=1.060606|PhotometricInterpretation=MONOCHROME2
QualityControlImage=NO|PartialView=NO|SamplesPerPixel=1|Rows=16|Columns=16|BitsAllocated=16
BitsStored=12|DetectorType=DIRECT|BodyPartExamined=BREAST|AcquisitionDate=20200131
AcquisitionTime=101112.120|ContentDate=20200131|ContentTime=101113.250"""
BY_VR = {"DS": "1.25", "IS": "7", "LO": "a text", "CS": "CODE"}
FILLER = [
    word
    for word, tag in keyword_dict.items()
    if 0x00180012 <= tag < 0x00181300 and dictionary_VR(word) in BY_VR
][:75]
"""Elements of acquisition."""


def item(**elements: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def code(value: str, **more: object) -> Dataset:
    return item(CodeValue=value, CodingSchemeDesignator="SRT", CodeMeaning="a meaning", **more)


def write(path: Path, number: int, rng: random.Random) -> None:
    dataset = item(**{word: BY_VR[dictionary_VR(word)] for word in FILLER})
    for pair in GIVEN.replace("\n", "|").split("|"):
        keyword, _, value = pair.partition("=")
        setattr(dataset, keyword, int(value) if dictionary_VR(keyword) == "US" else value)
    dataset.PatientID, dataset.AccessionNumber = f"{rng.randrange(10**11):011}", f"A{number:09}"
    dataset.StudyDate = f"20{rng.randrange(10, 25)}0131"
    for level in ("Study", "Series", "SOP"):
        setattr(dataset, f"{level}InstanceUID", f"1.2.826.0.1.{rng.randrange(10**20)}.{number}")
    dataset.ViewCodeSequence = [code("R-10226", ViewModifierCodeSequence=[])]
    dataset.AnatomicRegionSequence = [code("T-04000")]
    dataset.AcquisitionContextSequence = [code("113681"), code("113682")]
    dataset.RequestAttributesSequence = [code("P5-40010", ProcedureCodeSequence=[code("P5")])]
    if number % 8 == 0:
        lut = item(LUTDescriptor=[4096, 0, 12], LUTExplanation="NORMAL")
        lut.add_new("LUTData", "OW", rng.randbytes(8192))
        dataset.VOILUTSequence = [lut]
    for group, creator in ((0x0019, "LORAD Selenia"), (0x0029, "SIEMENS"), (0x0033, "HOLOGIC")):
        block = dataset.private_block(group, creator, create=True)
        for place in range(10):
            block.add_new(place, "LO" if place % 3 else "DS", f"{rng.randrange(10**6)}")
        block.add_new(0x80, "OB", rng.randbytes(rng.choice((64, 700, 3000))))
    for element in dataset:
        element.is_undefined_length = element.VR == "SQ" and number % 2 == 0
    syntax = (ExplicitVRLittleEndian, JPEGLosslessSV1, ImplicitVRLittleEndian)[number % 3]
    dataset.PixelData = encapsulate([bytes(64)]) if syntax == JPEGLosslessSV1 else bytes(512)
    dataset["PixelData"].VR = "OB" if syntax == JPEGLosslessSV1 else "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True)


def obvious(path: Path) -> dict[str, object]:
    """Each field as string, number, list of them or None, and the codes of view and side."""
    dataset = dcmread(path, stop_before_pixels=True)
    found = {}
    for keyword in FIELDS.split():
        value = dataset.get(keyword)
        found[keyword] = list(value) if isinstance(value, MultiValue) else value
    for outer, inner in CODES:
        codes = dataset.get(outer) or []
        nested = [code for one in codes for code in one.get(inner) or []]
        for sequence, named in ((outer, codes), (inner, nested)):
            found[sequence] = [(c.get("CodeValue"), c.get("CodingSchemeDesignator")) for c in named]
    found["TransferSyntaxUID"] = dataset.file_meta.get("TransferSyntaxUID")
    return found


def whole_row(path: Path) -> dict[str, object]:
    return describe(read_header(path)[0])


def parser_alone(path: Path) -> object:
    with path.open("rb", buffering=0) as file:
        return parse(file, os.fstat(file.fileno()).st_size, file.read(WINDOW))


def check(path: Path) -> None:
    """Hold mim's values against those of pydicom."""
    (header, problem), found = read_header(path), obvious(path)
    assert problem is None
    for keyword in FIELDS.split():
        value = found[keyword]
        several = value if isinstance(value, list) else [value]
        assert list(texts(header, keyword)) == [str(v) for v in several if v not in (None, "")]
    for outer, _ in CODES:
        codes = items(header, outer)
        named = [(text(c, "CodeValue"), text(c, "CodingSchemeDesignator")) for c in codes]
        assert named == found[outer]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("files", 400), ("rounds", 5), ("seed", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    ways = {"pydicom, the fields": obvious, "mim, the whole row": whole_row, "parser": parser_alone}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.dcm" for number in range(args.files)]
        rng = random.Random(args.seed)
        for number, path in enumerate(paths):
            write(path, number, rng)
            check(path)
        for _ in range(args.rounds):
            for name, way in ways.items():
                start = time.process_time()
                for path in paths:
                    way(path)
                seconds[name].append(time.process_time() - start)
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print(f"pydicom {version('pydicom')}; {args.files} files, seed {args.seed}")
    print(f"{'way':22}{'files/s':>9}{'against pydicom':>17}")
    base = median(seconds["pydicom, the fields"])
    for name, times in seconds.items():
        print(f"{name:22}{args.files / median(times):9.0f}{base / median(times):16.1f}x")


if __name__ == "__main__":
    main()
