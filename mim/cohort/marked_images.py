"""What the registry marks on single images, which it names by SOP Instance UID."""

from pathlib import Path

import polars as pl

from mim.cohort.images import scan_index_images
from mim.cohort.registry import Registry
from mim.vocab import Landmark


def find_marks(registry: Registry, index: Path) -> tuple[pl.DataFrame, pl.DataFrame, list[str]]:
    """Landmarks and lesions of all images of an index, and lines for the user.

    Landmarks: image, and of each landmark x, y and visible as they hold; a point outside its image
    is unknown. Lesions: image and what the registry says of them; those that lie outside their
    image are not used.
    """
    landmarks, lesions = registry.landmarks, registry.lesions
    if landmarks.is_empty() and lesions.is_empty():
        return landmarks.rename({"sop_uid": "image"}), lesions.rename({"sop_uid": "image"}), []
    images = _images(pl.concat([landmarks["sop_uid"], lesions["sop_uid"]]).unique(), index)
    marked = images.join(landmarks, on="sop_uid")
    shown = images.join(lesions, on="sop_uid")
    outside = marked.select(_outside(name).alias(name) for name in Landmark)
    on_image = shown.filter(_overlaps())
    unknown = lesions.join(images, on="sop_uid", how="anti")["sop_uid"].n_unique()
    counts = {
        "landmarks: {} images are marked that the index does not have; not used": landmarks.height
        - marked.height,
        "landmarks: {} landmarks lie outside their image; they count as unknown": int(
            outside.sum().sum_horizontal().item()
        ),
        "lesions: {} images are marked that the index does not have; not used": unknown,
        "lesions: {} lesions lie outside their image; not used": shown.height - on_image.height,
    }
    return (
        marked.select("image", *(column for name in Landmark for column in _settled(name))),
        on_image.drop("sop_uid", "rows", "columns"),
        [line.format(count) for line, count in counts.items() if count],
    )


def _images(sop_uids: pl.Series, index: Path) -> pl.DataFrame:
    """``sop_uid``, ``image``, ``rows`` and ``columns`` of those that the index has."""
    about = scan_index_images(index, ("sop_uid", "image", "rows", "columns", "reason"))
    found = about.join(sop_uids.to_frame().lazy(), on="sop_uid").collect(engine="streaming")
    # Copies of an image share its names; the one in use is left out for no reason, or for one that
    # the copies have too.
    found = found.sort(pl.col("reason").is_not_null(), "rows", "columns")
    return found.unique("image", keep="first", maintain_order=True).drop("reason")


def _overlaps() -> pl.Expr:
    """Whether a box has a part in common with its image, as far as the image's size is known."""
    parts = [
        (pl.col(start) < pl.col(pixels) - 0.5) & (pl.col(start) + pl.col(size) > -0.5)
        for start, size, pixels in (("x", "width", "columns"), ("y", "height", "rows"))
    ]
    return pl.all_horizontal(parts).fill_null(True)


def _outside(name: Landmark) -> pl.Expr:
    """Whether a point that is not said to lie elsewhere has a place beyond the image's pixels."""
    inside = [
        pl.col(f"{name}_{axis}").is_between(-0.5, pl.col(size) - 0.5)
        for axis, size in (("x", "columns"), ("y", "rows"))
    ]
    elsewhere = (~pl.col(f"{name}_visible")).fill_null(False)
    return ~pl.all_horizontal(inside).fill_null(True) & ~elsewhere


def _settled(name: Landmark) -> list[pl.Expr]:
    """A place only of points on the image, and whether the point is, where a place tells."""
    places = [f"{name}_x", f"{name}_y"]
    visible = pl.coalesce(f"{name}_visible", pl.when(pl.col(places[0]).is_not_null()).then(True))
    visible = pl.when(~_outside(name)).then(visible)
    return [
        *(pl.when(visible).then(place).alias(place) for place in places),
        visible.alias(f"{name}_visible"),
    ]
