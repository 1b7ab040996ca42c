"""Orders to a PACS and what came of them. All but ``SITES`` and ``IMAGES`` hold identifiers."""

import pyarrow as pa

from mim.schemas.table import Column, Schema
from mim.vocab import VIEW_SLOTS, Came, Reason, Standing

TEXT = pa.string()
LIST = pa.list_(pa.string())
COUNT = pa.int64()

VIEWS = tuple(f"{side} {view}" for side, view in VIEW_SLOTS)
"""The views expected of an exam, as they are written in orders and receipts."""

USABLE = "usable"
"""What a count by reason calls images that the index leaves in."""

REORDERED = tuple(came for came in Came if came is not Came.COMPLETE)

ORDER = Schema(
    "order",
    key=("exam_id",),
    columns=(
        Column("exam_id", TEXT, "the registry's exam; an identifier", False),
        Column("woman_id", TEXT, "the woman examined; an identifier", False),
        Column("exam_date", pa.date32(), "day of the examination; missing: unknown"),
        Column("study_uid", TEXT, "Study Instance UID (0020,000D), if known; an identifier"),
        Column("site", TEXT, "screening unit of the exam"),
        Column(
            "ordered", pa.bool_(), "false: known, so that joins agree, but not asked for", False
        ),
        Column("reason", TEXT, "what came before; missing: not compared", True, REORDERED),
        Column("detail", TEXT, "the reason in words"),
    ),
)

RECEIPT = Schema(
    "receipt",
    key=("exam_id",),
    columns=(
        Column("exam_id", TEXT, "the ordered exam; an identifier", False),
        Column("woman_id", TEXT, "the woman examined; an identifier", False),
        Column("exam_date", pa.date32(), "day of the examination; missing: unknown"),
        Column("site", TEXT, "screening unit of the exam"),
        Column("came", TEXT, "what came of it", False, tuple(Came)),
        Column("missing_views", LIST, "views without a usable image", False, VIEWS),
        Column("reasons", LIST, "why images of it are left out, each once", False, tuple(Reason)),
        Column("detail", TEXT, "in words; missing: complete"),
        Column("joined_by", LIST, "what joined its studies, each once", False),
        Column("studies", COUNT, "studies that joined it", False),
        Column("images", COUNT, "files of these studies", False),
        Column("usable", COUNT, "usable ones among them", False),
    ),
)

STUDIES = Schema(
    "studies that came",
    key=("study_uid",),
    columns=(
        Column("study_uid", TEXT, "Study Instance UID (0020,000D); an identifier", False),
        Column("patient_id", TEXT, "Patient ID (0010,0020), of several the first; an identifier"),
        Column("accession_number", TEXT, "(0008,0050), of several the first; an identifier"),
        Column("study_date", pa.date32(), "Study Date (0008,0020), of several the first"),
        Column("standing", TEXT, "towards the order", False, tuple(Standing)),
        Column("exam_id", TEXT, "the exam it joins, ordered or not; an identifier"),
        Column("joined_by", TEXT, "what joined it"),
        Column("doubt", TEXT, "why it joins none though a key of it names one"),
        Column("woman_ordered", pa.bool_(), "an exam of its woman is ordered", False),
        Column("images", COUNT, "files of it", False),
        Column("usable", COUNT, "usable ones among them", False),
    ),
)

CAME = tuple(Column(came, COUNT, f"exams of which this came: {came}", False) for came in Came)

SITES = Schema(
    "sites",
    key=("site",),
    columns=(
        Column("site", TEXT, "screening unit; missing: exams without one"),
        Column("ordered", COUNT, "exams ordered; the sum of the next five", False),
        *CAME,
        Column("images", COUNT, "files of these exams", False),
        Column("usable", COUNT, "usable ones among them", False),
    ),
)

WOMEN = Schema(
    "women",
    key=("woman_id",),
    columns=(
        Column("woman_id", TEXT, "the woman; an identifier", False),
        Column("ordered", COUNT, "her exams ordered; the sum of the next five", False),
        *CAME,
        Column("unasked", COUNT, "her studies that came unasked", False),
    ),
)

IMAGES = Schema(
    "images by standing",
    key=("standing", "site", "reason"),
    columns=(
        Column("standing", TEXT, "towards the order", False, tuple(Standing)),
        Column("site", TEXT, "screening unit of the ordered exam, where there is one"),
        Column("reason", TEXT, "why left out, or usable", False, (USABLE, *Reason)),
        Column("images", COUNT, "files; they sum to the rows of the index", False),
    ),
)
