"""``images/``: one row per file of a DICOM tree, whether it can be used or not."""

import pyarrow as pa

from mim.schemas.table import Column, Schema
from mim.vocab import Kind, Laterality, Maker, Presentation, Reason, View, ViewModifier

TEXT = pa.string()
LIST = pa.list_(pa.string())

IMAGES = Schema(
    "images",
    key=("path",),
    columns=(
        Column("path", TEXT, "path below the indexed folder, POSIX separators", False),
        Column("bytes", pa.int64(), "size of the file", False),
        Column("modified_ns", pa.int64(), "last change of the file, ns since 1970", False),
        Column("checksum", TEXT, "xxh3_64 of the file's bytes, where its pixels were checked"),
        Column("reason", TEXT, "why the image is left out; missing: usable", True, tuple(Reason)),
        Column("detail", TEXT, "the reason in words"),
        Column("woman", TEXT, "pseudonym of the woman"),
        Column("exam", TEXT, "pseudonym of the study"),
        Column("image", TEXT, "pseudonym of the SOP instance"),
        Column("patient_id", TEXT, "Patient ID (0010,0020); an identifier: never leaves the index"),
        Column("study_uid", TEXT, "Study Instance UID (0020,000D); an identifier"),
        Column("series_uid", TEXT, "Series Instance UID (0020,000E); an identifier"),
        Column("sop_uid", TEXT, "SOP Instance UID (0008,0018); an identifier"),
        Column("accession_number", TEXT, "Accession Number (0008,0050); an identifier"),
        Column("study_date", pa.date32(), "Study Date (0008,0020)"),
        Column("acquired", TEXT, "Acquisition, else Content Date and Time, YYYYMMDDHHMMSS"),
        Column("sop_class", TEXT, "SOP Class UID (0008,0016)"),
        Column("modality", TEXT, "Modality (0008,0060)"),
        Column("maker", TEXT, "maker of the mammograph", False, tuple(Maker)),
        Column("maker_rule", TEXT, "the element that decided the maker"),
        Column("manufacturer", TEXT, "Manufacturer (0008,0070) as written"),
        Column("model", TEXT, "model of the mammograph by the table of ``mim.dicom.makers``"),
        Column("model_name", TEXT, "Manufacturer's Model Name (0008,1090)"),
        Column("software", TEXT, "Software Versions (0018,1020), joined by a slash"),
        Column("software_version", TEXT, "version of the acquisition software, normalised"),
        Column("kind", TEXT, "what made the picture", False, tuple(Kind)),
        Column("kind_rule", TEXT, "the element that decided the kind"),
        Column("laterality", TEXT, "side of the breast", False, tuple(Laterality)),
        Column("laterality_rule", TEXT, "the element that decided the side"),
        Column("view", TEXT, "projection", False, tuple(View)),
        Column("view_rule", TEXT, "the element that decided the projection"),
        Column("view_modifiers", LIST, "changes to the projection", True, tuple(ViewModifier)),
        Column("modifiers_rule", TEXT, "the elements that named the modifiers"),
        Column("presentation", TEXT, "for presentation or processing", False, tuple(Presentation)),
        Column("presentation_rule", TEXT, "the element that decided the presentation"),
        Column("transfer_syntax", TEXT, "Transfer Syntax UID (0002,0010)"),
        Column("photometric", TEXT, "Photometric Interpretation (0028,0004)"),
        Column("frames", pa.int32(), "Number of Frames (0028,0008); missing: 1"),
        Column("rows", pa.int32(), "Rows (0028,0010)"),
        Column("columns", pa.int32(), "Columns (0028,0011)"),
        Column("bits_stored", pa.int32(), "Bits Stored (0028,0101)"),
        Column("row_spacing_mm", pa.float64(), "distance between rows at the detector, mm"),
        Column("column_spacing_mm", pa.float64(), "distance between columns at the detector, mm"),
        Column("spacing_rule", TEXT, "the element that gave the spacing"),
        Column("age_years", pa.int32(), "Patient's Age (0010,1010), whole years"),
        Column("findings", LIST, "what its pixels look suspicious for, where they were looked at"),
        Column("overridden", LIST, "columns that the overrides table decided"),
    ),
)
