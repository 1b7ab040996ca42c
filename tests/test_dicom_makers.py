"""Makers, models and software versions, as tables of meanings: one row per case."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_headers import header

from mim.dicom.header import describe
from mim.dicom.makers import MAKERS, MODELS, identify
from mim.synthetic.makers import DEVICES
from mim.vocab import Maker

MANUFACTURERS = [
    ("GE MEDICAL SYSTEMS", Maker.GE),
    ("GE HEALTHCARE", Maker.GE),
    ("G.E. Medical Systems", Maker.GE),
    ("GEMS", Maker.GE),
    ("General Electric Company", Maker.GE),
    ("SIEMENS", Maker.SIEMENS),
    ("Siemens Healthineers", Maker.SIEMENS),
    ("Siemens-Healthineers AG", Maker.SIEMENS),
    ("HOLOGIC, Inc.", Maker.HOLOGIC),
    ("LORAD", Maker.HOLOGIC),
    ("Lorad, A Hologic Company", Maker.HOLOGIC),
    ("Philips Medical Systems", Maker.PHILIPS),
    ("Philips Digital Mammography Sweden AB", Maker.PHILIPS),
    ("Sectra Imtec AB", Maker.PHILIPS),
    ("FUJIFILM Corporation", Maker.FUJI),
    ("FUJI PHOTO FILM Co., ltd.", Maker.FUJI),
    ("PLANMED OY", Maker.PLANMED),
    ("IMS s.r.l.", Maker.GIOTTO),
    ("I.M.S. s.r.l.", Maker.GIOTTO),
    ("IMS GIOTTO S.p.A.", Maker.GIOTTO),
    ("Internazionale Medico Scientifica", Maker.GIOTTO),
    ("Agfa-Gevaert", Maker.AGFA),
    ("CARESTREAM HEALTH", Maker.CARESTREAM),
    ("EASTMAN KODAK COMPANY", Maker.CARESTREAM),
    ("Kodak", Maker.CARESTREAM),
    ("KONICA MINOLTA", Maker.KONICA),
    ("Konica-Minolta", Maker.KONICA),
    ("VIDAR Systems", Maker.FILM_DIGITISER),
    ("Howtek", Maker.FILM_DIGITISER),
    ("Lumisys", Maker.FILM_DIGITISER),
    ("DBA Systems Inc.", Maker.FILM_DIGITISER),
    ("iCAD, Inc.", Maker.FILM_DIGITISER),
    # GE is a word, not two letters.
    ("General Imaging", Maker.UNKNOWN),
    ("Agega", Maker.UNKNOWN),
    ("GEORGE", Maker.UNKNOWN),
    ("Imaging by GE", Maker.UNKNOWN),
    # Makers that no table has, and converters.
    ("Metaltronica", Maker.UNKNOWN),
    ("MathWorks", Maker.UNKNOWN),
    ("", Maker.UNKNOWN),
    (None, Maker.UNKNOWN),
]


@pytest.mark.parametrize(("manufacturer", "expected"), MANUFACTURERS)
def test_the_manufacturer_names_the_maker(manufacturer: str | None, expected: Maker) -> None:
    device = identify(manufacturer, None)
    assert device.maker == expected
    assert device.maker_rule == (None if expected == Maker.UNKNOWN else "Manufacturer")


def test_every_maker_of_the_vocabulary_is_in_the_tables() -> None:
    assert set(MAKERS.values()) == set(Maker) - {Maker.UNKNOWN}
    assert MODELS.keys() == set(Maker) - {Maker.UNKNOWN}


OWN = "Manufacturer"
BY_MODEL = "ManufacturerModelName"

MODEL_NAMES = [
    # manufacturer, model name, maker, rule, model
    ("SIEMENS", "Mammomat Inspiration", Maker.SIEMENS, OWN, "Mammomat Inspiration"),
    ("SIEMENS", "MAMMOMAT Revelation", Maker.SIEMENS, OWN, "Mammomat Revelation"),
    ("SIEMENS", "MAMMOMAT B.brilliant", Maker.SIEMENS, OWN, "Mammomat B.brilliant"),
    ("SIEMENS", "Mammomat NovationDR", Maker.SIEMENS, OWN, "Mammomat Novation"),
    ("LORAD", "Lorad Selenia", Maker.HOLOGIC, OWN, "Selenia"),
    ("HOLOGIC, Inc.", "Selenia Dimensions", Maker.HOLOGIC, OWN, "Selenia Dimensions"),
    ("HOLOGIC, Inc.", "3Dimensions", Maker.HOLOGIC, OWN, "3Dimensions"),
    ("Lorad, A Hologic Company", "DSM", Maker.HOLOGIC, OWN, "DSM"),
    ("GE MEDICAL SYSTEMS", "Senograph 2000D ADS_17.4.5", Maker.GE, OWN, "Senographe 2000D"),
    ("GE MEDICAL SYSTEMS", "Senograph DS VERSION ADS_53.40", Maker.GE, OWN, "Senographe DS"),
    (
        "GE MEDICAL SYSTEMS",
        "Senographe Essential DBT Reconstruction Box_01.10.4",
        Maker.GE,
        OWN,
        "Senographe Essential DBT",
    ),
    ("GE MEDICAL SYSTEMS", "SenoIris_1SP2(440)", Maker.GE, OWN, "SenoIris"),
    ("GE MEDICAL SYSTEMS", "VolumePreviewApp_4.7.0(396)", Maker.GE, OWN, "Volume Preview"),
    ("GE HEALTHCARE", "Senographe Pristina", Maker.GE, OWN, "Senographe Pristina"),
    ("Sectra Imtec AB", "L30", Maker.PHILIPS, OWN, "MicroDose L30"),
    ("Philips Medical Systems", "MammoDiagnost MicroDose SI", Maker.PHILIPS, OWN, "MicroDose SI"),
    ("FUJIFILM Corporation", "FDR-3000AWS", Maker.FUJI, OWN, "FDR-3000AWS"),
    ("FUJIFILM Corporation", "Clearview CSm", Maker.FUJI, OWN, "ClearView CSm"),
    ("Planmed", "Planmed Nuance", Maker.PLANMED, OWN, "Nuance"),
    ("IMS srl", "GIOTTO IMAGE 3DL", Maker.GIOTTO, OWN, "Giotto Image 3DL"),
    ("IMS Giotto SpA", "GIOTTO CLASS", Maker.GIOTTO, OWN, "Giotto Class"),
    ("KONICA MINOLTA", "REGIUS 190", Maker.KONICA, OWN, "Regius"),
    ("GE MEDICAL SYSTEMS", "Something new", Maker.GE, OWN, None),
    # Nobody, an archive or a converter where the maker should be.
    (None, "Senographe Essential ADS_56.21.3", Maker.GE, BY_MODEL, "Senographe Essential"),
    ("", "Mammomat Inspiration", Maker.SIEMENS, BY_MODEL, "Mammomat Inspiration"),
    ("PACS 2000", "Hologic Selenia", Maker.HOLOGIC, BY_MODEL, "Selenia"),
    ("R2 Technology, Inc.", "DigitalNow", Maker.FILM_DIGITISER, BY_MODEL, "DigitalNow"),
    # A maker of archives too.
    (
        "Agfa",
        "Lorad Selenia",
        Maker.HOLOGIC,
        "ManufacturerModelName against Manufacturer agfa",
        "Selenia",
    ),
    (None, "GE", Maker.UNKNOWN, None, None),
    (None, "Selenium", Maker.UNKNOWN, None, None),
    ("PACS 2000", None, Maker.UNKNOWN, None, None),
]


@pytest.mark.parametrize(("manufacturer", "name", "maker", "rule", "model"), MODEL_NAMES)
def test_the_model_has_one_name_and_decides_where_the_manufacturer_does_not(
    manufacturer: str | None, name: str | None, maker: Maker, rule: str | None, model: str | None
) -> None:
    device = identify(manufacturer, name)
    assert (device.maker, device.maker_rule, device.model) == (maker, rule, model)


def test_no_model_is_listed_for_two_makers() -> None:
    words = [words for models in MODELS.values() for words in models]
    assert len(words) == len(set(words))


VERSIONS = [
    # manufacturer, model name, software versions, version
    ("HOLOGIC, Inc.", "", ["AWS:1.8.3.63", "PXCM:1.4.0.7", "ARR:1.7.3.10"], "1.8.3.63"),
    ("HOLOGIC, Inc.", "", ["PXCM:1.4.0.7", "AWS:1.8.3.63"], "1.8.3.63"),
    ("Lorad", "", ["AWS:MAMMODROC_3_4_1_8_PXCM:1.4.0.7_ARR:1.7.3.10"], "3.4.1.8"),
    ("GE MEDICAL SYSTEMS", "", ["Ads Application Package VERSION ADS_54.10"], "54.10"),
    ("GE MEDICAL SYSTEMS", "", ["2.1", "ADS_54.10"], "54.10"),
    ("GE MEDICAL SYSTEMS", "Senograph DS ADS_32.04", [], "32.04"),
    ("GE HEALTHCARE", "Senographe Pristina", ["1.22.0"], "1.22.0"),
    ("GE MEDICAL SYSTEMS", "Senographe Essential DBT Reconstruction Box_01.10.4", [], "01.10.4"),
    ("GE MEDICAL SYSTEMS", "SenoIris_1SP2(440)", [], "1SP2(440)"),
    ("SIEMENS", "Mammomat Inspiration", ["VB30E"], "VB30E"),
    ("SIEMENS", "Mammomat Inspiration", ["VB30", "SL5"], "VB30"),
    ("SIEMENS", "MAMMOMAT Revelation", ["MAMMOMAT VC20A SP01"], "VC20A"),
    ("Sectra Imtec AB", "L30", ["8.3.0"], "8.3.0"),
    ("Philips Medical Systems", "", ["MicroDose 9.0.2 SP1"], "9.0.2"),
    ("FUJIFILM Corporation", "FDR-3000AWS", ["V9.3"], "9.3"),
    ("FUJIFILM Corporation", "", ["A18"], "A18"),
    ("HOLOGIC, Inc.", "Selenia Dimensions", ["unknown"], None),
    ("", "", ["7.1.2"], "7.1.2"),
    ("SIEMENS", "", [], None),
]


@pytest.mark.parametrize(("manufacturer", "name", "software", "version"), VERSIONS)
def test_software_version(
    manufacturer: str, name: str, software: list[str], version: str | None
) -> None:
    assert identify(manufacturer, name, tuple(software)).software_version == version


def test_the_row_keeps_what_was_written() -> None:
    elements: dict[str, Any] = {
        "Manufacturer": "HOLOGIC, Inc.",
        "ManufacturerModelName": "Selenia Dimensions",
        "SoftwareVersions": ["AWS:1.8.3.63", "PXCM:1.4.0.7"],
    }
    row = describe(header(**elements))
    assert (row["maker"], row["maker_rule"], row["model"]) == (
        Maker.HOLOGIC,
        "Manufacturer",
        "Selenia Dimensions",
    )
    assert (row["software"], row["software_version"]) == ("AWS:1.8.3.63/PXCM:1.4.0.7", "1.8.3.63")
    other = describe(header(Manufacturer="Metaltronica", ManufacturerModelName="Helianthus"))
    assert (other["maker"], other["maker_rule"], other["model"]) == (Maker.UNKNOWN, None, None)
    assert (other["manufacturer"], other["model_name"]) == ("Metaltronica", "Helianthus")


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.model)
def test_the_made_up_programme_writes_names_and_versions_that_are_known(device) -> None:
    found = identify(device.manufacturer, device.model, tuple(device.software.split("\\")))
    assert (found.maker, found.maker_rule) == (device.maker, "Manufacturer")
    assert found.model
    assert found.software_version


@given(st.text(max_size=30), st.text(max_size=30), st.lists(st.text(max_size=12), max_size=3))
def test_any_text_is_a_maker_or_unknown(manufacturer: str, name: str, software: list[str]) -> None:
    device = identify(manufacturer, name, tuple(software))
    assert (device.maker == Maker.UNKNOWN) == (device.maker_rule is None)
    assert device.model is None or device.model in MODELS[device.maker].values()
