"""One image of each view: only images that have a rival go through the rule, and it shows nowhere."""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from mim.cohort.images import COLUMNS, choose_images
from mim.dicom.screening import choose_screening_images
from mim.schemas.images import IMAGES
from mim.vocab import Reason

SOME = {
    "exam": st.sampled_from(["a", "a again", "b", "c", "nobody's"]),
    "reason": st.sampled_from([None, None, "for processing", "synthetic 2D", "unreadable"]),
    "laterality": st.sampled_from(["L", "R", "unknown"]),
    "view": st.sampled_from(["CC", "MLO", "ML"]),
    "view_modifiers": st.sampled_from([None, [], ["partial view"], ["implant displaced"]]),
    "kind": st.sampled_from(["full-field digital", "synthetic 2D"]),
    "presentation": st.sampled_from(["for presentation", "for processing"]),
    "acquired": st.sampled_from([None, "1", "2"]),
    "sop_uid": st.sampled_from(["1.2", "1.3"]),
    "maker": st.just("ge"),
    "detail": st.none(),
}
STUDIES = pl.DataFrame(
    {
        "exam": ["a", "a again", "b", "c"],
        "examination": [0, 0, 1, 2],
        "days_after": [0, 3, 0, 0],
        "after_diagnosis": [False, False, False, True],
    }
)
STAND_INS = (Reason.FOR_PROCESSING, Reason.SYNTHETIC_2D)


@settings(max_examples=60)
@given(
    st.lists(st.fixed_dictionaries(SOME), min_size=1, max_size=24),
    st.sets(st.sampled_from(STAND_INS)),
)
def test_the_quick_way_is_the_rule(rows: list[dict[str, object]], stand_ins: set[Reason]) -> None:
    for number, row in enumerate(rows):
        row |= {"path": f"{number}.dcm", "image": str(number), "bytes": 1, "modified_ns": 1}
    frame = pl.DataFrame(IMAGES.from_rows(rows)).lazy().select(COLUMNS)
    found = dict(choose_images(frame, STUDIES, stand_ins)["image", "left_out"].iter_rows())
    of = {name: rest for name, *rest in STUDIES.iter_rows()}
    expected: dict[object, str | None] = {}
    candidates: dict[int, list[dict[str, object]]] = {}
    for row in rows:
        if row["reason"] not in (None, *stand_ins):
            continue
        examination, days_after, after_diagnosis = of.get(row["exam"], (None, None, None))
        if examination is None:
            expected[row["image"]] = "no registry exam"
        elif after_diagnosis:
            expected[row["image"]] = "after diagnosis"
        else:
            candidates.setdefault(examination, []).append(row | {"days_after": days_after})
    for images in candidates.values():
        kept, left = choose_screening_images(images, stand_ins)
        expected |= {row["image"]: None for row in kept.values()}
        expected |= {row["image"]: reason for row, reason, _ in left}
    assert found == expected
