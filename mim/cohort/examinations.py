"""The cohort's exams: what registry and images say of each examination, its split and its priors."""

import numpy as np
import polars as pl
import pyarrow as pa

from mim.cohort.join import KEYS
from mim.cohort.labels import label_exams
from mim.cohort.priors import pair_priors
from mim.cohort.registry import Registry
from mim.cohort.settings import OutcomeSettings, PriorSettings


def describe_examinations(registry: Registry, settings: OutcomeSettings) -> pl.DataFrame:
    """Every examination of a registry whose repeats are merged, with its outcomes.

    ``examination`` is its number from 0; beside it stand the columns of the registry's exams and of
    ``label_exams``, ``birth_year`` and ``density``, that of the denser breast.
    """
    density = registry.density.group_by("exam_id").agg(pl.col("density").max())
    women = registry.women.select("woman_id", "birth_year")
    labels = label_exams(registry, settings)
    return (
        registry.exams.with_row_index("examination")
        .join(labels, on="exam_id", maintain_order="left")
        .join(women, on="woman_id", how="left", maintain_order="left")
        .join(density, on="exam_id", how="left", maintain_order="left")
    )


def find_exams(
    examinations: pl.DataFrame, studies: pl.DataFrame, images: pl.DataFrame
) -> pl.DataFrame:
    """The examinations with an image in use, under their pseudonyms, by woman and day.

    ``studies`` joined an examination: exam (pseudonym), woman, examination, joined_by; the first of
    several pseudonyms names the exam. ``images`` are in use. Maker and machine (model and software)
    are those of most of the exam's images, of equals the first by name; ``makers`` are all of them;
    the age is that of the year of birth, else the lowest in the headers.
    """
    names = (
        studies.with_columns(pl.col("joined_by").cast(pl.Enum(KEYS)))
        .group_by("examination")
        .agg(pl.col("exam", "woman", "joined_by").min())
    )
    made = ["maker", "model", "software_version"]
    makes = images.group_by("examination", *made).agg(pl.len(), pl.col("age_years").min())
    machine = pl.concat_str("model", "software_version", separator=" ", ignore_nulls=True)
    makes = makes.with_columns(machine=machine.replace("", None))
    makers = pl.col("maker").cast(pl.String).unique().alias("makers")
    of_birth = pl.col("exam_date").dt.year() - pl.col("birth_year")
    return (
        examinations.join(names, on="examination")
        .join(_of_most_images(makes, "maker"), on="examination")
        .join(_of_most_images(makes.drop_nulls("machine"), "machine"), "examination", "left")
        .join(
            makes.group_by("examination").agg(makers, pl.col("age_years").min()), on="examination"
        )
        .with_columns(pl.col("maker").cast(pl.String), age_years=pl.coalesce(of_birth, "age_years"))
        .sort("woman", "exam_date", "exam")
    )


def add_priors(exams: pl.DataFrame, settings: PriorSettings) -> pl.DataFrame:
    """Beside the exams, sorted by woman, day and name: priors, months_before and prior_makers."""
    women = exams["woman"].rle_id().to_numpy().astype(np.int64)
    rows, months = pair_priors(women, exams["exam_date"].to_numpy(), settings)
    found = rows >= 0
    ends = np.append(0, found.sum(axis=1).cumsum())
    priors = exams[["exam", "maker"]][rows[found]]

    def listed(name: str, values: pl.Series) -> pl.Series:
        return pl.Series(name, pa.LargeListArray.from_arrays(ends, values.to_arrow()))

    return exams.with_columns(
        listed("priors", priors["exam"]),
        listed("months_before", pl.Series(months[found])),
        listed("prior_makers", priors["maker"]),
    )


def _of_most_images(makes: pl.DataFrame, column: str) -> pl.DataFrame:
    """For each examination the value of ``column`` that most of its images have."""
    counts = makes.group_by("examination", column).agg(pl.col("len").sum())
    first = counts.sort("len", column, descending=[True, False])
    return first.unique("examination", keep="first", maintain_order=True).drop("len")
