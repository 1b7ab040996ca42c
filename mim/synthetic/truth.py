"""What is known about every screening image, since it was made."""

import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mim.schemas.registry import MEANINGS
from mim.schemas.table import Column, Schema, write_table, write_whole
from mim.vocab import SCREENING_VIEWS, Criterion, Laterality, Maker, Quality

TEXT = pa.string()
NUMBER = pa.float64()


def _point(name: str, meaning: str) -> tuple[Column, ...]:
    return (
        Column(
            f"{name}_x", NUMBER, f"{meaning}: column of the stored image; 0 is a pixel's centre"
        ),
        Column(f"{name}_y", NUMBER, f"{meaning}: row of the stored image"),
        Column(f"{name}_x_mm", NUMBER, f"{meaning}: mm from the stored image's left edge"),
        Column(f"{name}_y_mm", NUMBER, f"{meaning}: mm from the stored image's upper edge"),
        Column(f"{name}_visible", pa.bool_(), f"{meaning}: lies on the image"),
    )


TRUTH = Schema(
    "truth of images",
    key=("sop_uid",),
    columns=(
        Column("sop_uid", TEXT, "SOP Instance UID (0008,0018)", False),
        Column("study_uid", TEXT, "Study Instance UID (0020,000D)", False),
        Column("patient_id", TEXT, "Patient ID (0010,0020)", False),
        Column("exam_id", TEXT, "the registry's exam; equals the Accession Number", False),
        Column("path", TEXT, "path below dicom/", False),
        Column("laterality", TEXT, "side", False, tuple(Laterality)),
        Column("view", TEXT, "projection", False, tuple(SCREENING_VIEWS)),
        Column("maker", TEXT, "maker", False, tuple(Maker)),
        Column("retaken", pa.bool_(), "taken again later in the exam, as this one failed", False),
        Column("spacing_mm", NUMBER, "pixel spacing", False),
        Column("glandular", NUMBER, "share of the breast's volume that is fibroglandular", False),
        *_point("nipple", "nipple"),
        *_point("pectoral_upper", "upper end of the pectoral line, MLO"),
        *_point("pectoral_lower", "lower end of the pectoral line, MLO"),
        Column("grade", TEXT, "the grade that the image deserves", False, tuple(Quality)),
        *(Column(name.value, pa.bool_(), MEANINGS[name]) for name in Criterion),
        Column("lesion_kinds", pa.list_(TEXT), "lesions shown, in the order of the mask", False),
        Column("lesion_malignant", pa.list_(pa.bool_()), "whether each is cancer", False),
        Column("lesion_sizes_mm", pa.list_(NUMBER), "largest diameter of each on the day", False),
        Column(
            "lesion_boxes",
            pa.list_(pa.list_(pa.int32())),
            "x from, y from, x to, y to of each in the stored image; ends excluded",
            False,
        ),
    ),
)


def write_mask(path: Path, mask: NDArray[np.uint8]) -> None:
    """Write a lesion mask as PNG: 0 none, n the n-th lesion of the image's row."""
    _, data = cv2.imencode(".png", mask)
    write_whole(path, data.tobytes())


def write_rows(path: Path, rows: list[dict[str, object]]) -> None:
    """Keep the truth of one woman's images until all are there."""
    write_whole(path, json.dumps(rows).encode())


def gather_rows(parts: list[Path], path: Path) -> None:
    """Make the one truth table of the women's parts."""
    rows = [row for part in parts for row in json.loads(part.read_bytes())]
    write_table(TRUTH.from_rows(rows), path)
