"""The page that an index ends with: what came, what of it is usable, and what to look at.

``index.html`` is one file that needs no network. It names women, exams and images by pseudonym only;
docs/index-page.md says what its pictures show and what they hide.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from mim.dicom.rows import PROBLEMS
from mim.ingest import meanings
from mim.ingest.months import Months, Span, month_name, months_svg, span_of
from mim.ingest.settings import Check, IndexSettings
from mim.ingest.sheets import Tile, make_tiles
from mim.ingest.tally import Class, Drawn, Noted, Tally, noted, tally
from mim.schemas.table import read_json, write_whole
from mim.vocab import Finding, maker_name

MOST_PICTURES = 480
"""Pictures on one page; more would make it too heavy to send."""

LINES = 10
"""Findings of a kind that the page names."""

OF_PIXELS = (
    Finding.SIDE_DISAGREES,
    Finding.STORED_MIRRORED,
    Finding.INVERTED,
    Finding.LETTERS_IN_BREAST,
)
"""Findings that a picture shows."""


class Grid(NamedTuple):
    """Counts of files by two columns: their names, and rows of name, counts, all and usable."""

    columns: list[str]
    rows: list[tuple[str, list[int], int, int]]


class Sheet(NamedTuple):
    """Pictures under one heading, how many files they were drawn from, and why some have none."""

    name: str
    of: int
    tiles: list[tuple[Drawn, Tile]]
    failed: dict[str, int]


class Suspicion(NamedTuple):
    """A finding: how many there are, some of them in words, and pictures."""

    name: str
    meaning: str
    files: int
    lines: list[dict[str, str | None]]
    sheet: Sheet


def write_page(index: Path, settings: IndexSettings) -> None:
    """Write ``index.html`` into an index.

    Raises:
        InputError: ``index`` is no finished index.
    """
    about = read_json(index / "index.json")
    found = noted(index, max(LINES, settings.pictures))
    in_pictures = [row for kind in OF_PIXELS for row in found.first.get(kind, ())]
    asked = {row["image"] for row in in_pictures if row["image"]}
    counts = tally(index, settings.pictures, asked)
    each = _pictures_each(counts, settings.pictures)
    tiles = make_tiles(Path(about["source"]), _drawn(counts, each))
    page = _page(about, counts, found, tiles, each, settings.check)
    write_whole(index / "index.html", page.encode())


def _pictures_each(counts: Tally, wanted: int) -> int:
    sheets = len(counts.of_maker) + len(counts.of_reason) + len(OF_PIXELS)
    return min(wanted, max(1, MOST_PICTURES // sheets))


def _drawn(counts: Tally, each: int) -> list[Drawn]:
    """Every image to be shown, once."""
    sheets = (*counts.of_maker.values(), *counts.of_reason.values())
    images = {image.path: image for sheet in sheets for image in sheet[:each]}
    return [*(images | {image.path: image for image in counts.found.values()}).values()]


def _page(
    about: Mapping[str, Any],
    counts: Tally,
    found: Noted,
    tiles: Mapping[str, Tile],
    each: int,
    check: Check,
) -> str:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(n="{:,}".format, percent=_percent, maker=maker_name)
    template = files("mim.ingest").joinpath("page.html.j2").read_text(encoding="utf-8")
    with_header = {group: n for group, n in counts.files.items() if group.header}
    total, usable = counts.files.total(), _sum(counts.files, lambda group: group.reason is None)
    span = span_of(counts.months)
    makers = _by_size((group.maker, n) for group, n in with_header.items())
    looked = [tile for image, tile in _shown(counts, tiles) if image.reason is None]
    return environment.from_string(template).render(
        mim=about["mim"],
        total=total,
        usable=usable,
        women=counts.women,
        exams=counts.exams,
        reasons=_reasons(counts.files),
        without_header=total - sum(with_header.values()),
        makers=_grid(with_header, lambda group: group.maker, lambda group: group.kind),
        views=_grid(with_header, lambda group: group.view, lambda group: group.laterality),
        deliveries=_deliveries(about),
        folders=about["deliveries"],
        span=span,
        chart=span and months_svg(counts.months, {name: maker_name(name) for name in makers}, span),
        months=_months(counts.months, [*makers], span),
        month_makers=[*makers],
        maker_sheets=_sheets(counts.of_maker, makers_usable(counts.files), tiles, each),
        reason_sheets=_sheets(counts.of_reason, reasons_left(counts.files), tiles, each),
        suspicions=_suspicions(counts, found, tiles, each, check),
        looked=usable
        if check == Check.pixels
        else sum(tile.address is not None for tile in looked),
        all_looked=check == Check.pixels,
        pictures=each,
    )


def makers_usable(counted: Mapping[Class, int]) -> dict[str, int]:
    """Usable images by maker, most first."""
    return _by_size((group.maker, n) for group, n in counted.items() if group.reason is None)


def reasons_left(counted: Mapping[Class, int]) -> dict[str, int]:
    """Left-out files by reason, most first."""
    return _by_size((group.reason, n) for group, n in counted.items() if group.reason)


def _reasons(counted: Mapping[Class, int]) -> list[dict[str, object]]:
    return [
        {
            "name": name,
            "count": n,
            "meaning": meanings.REASONS.get(name, ""),
            "problem": name in PROBLEMS,
        }
        for name, n in reasons_left(counted).items()
    ]


def _grid(
    counted: Mapping[Class, int], row: Callable[[Class], str], column: Callable[[Class], str]
) -> Grid:
    cells = Counter[tuple[str, str]]()
    usable = Counter[str]()
    for group, n in counted.items():
        cells[row(group), column(group)] += n
        usable[row(group)] += n if group.reason is None else 0
    columns = _by_size((name, n) for (_, name), n in cells.items())
    rows = _by_size((name, n) for (name, _), n in cells.items())
    return Grid(
        [*columns],
        [
            (name, [cells[name, other] for other in columns], n, usable[name])
            for name, n in rows.items()
        ],
    )


def _deliveries(about: Mapping[str, Any]) -> list[dict[str, object]]:
    """Named deliveries; files that lie in no folder come first and have number 0."""
    named: Sequence[Mapping[str, Any]] = about["by_delivery"]
    first = 1 + about["deliveries"] - len(named)
    return [
        {
            "number": number,
            "image": delivery["image"],
            "files": sum(delivery["counts"].values()),
            "usable": delivery["counts"].get("kept", 0),
        }
        for number, delivery in enumerate(named, start=first)
    ]


def _months(
    months: Months, makers: Sequence[str], span: Span | None
) -> list[tuple[str, list[int]]]:
    """Files of each month that has any, by maker; those without a date last."""
    by_month = Counter[tuple[int | None, str]]()
    for (maker, month, _), n in months.items():
        by_month[month, maker] += n
    dated = sorted({month for month, _ in by_month if month is not None})
    order: list[int | None] = [*dated, *([None] if span and span.undated else [])]
    return [
        (
            "no date" if month is None else month_name(month),
            [by_month[month, maker] for maker in makers],
        )
        for month in order
    ]


def _sheets(
    drawn: Mapping[str, list[Drawn]], sizes: Mapping[str, int], tiles: Mapping[str, Tile], each: int
) -> list[Sheet]:
    return [
        _sheet(name, n, drawn[name][:each], tiles) for name, n in sizes.items() if name in drawn
    ]


def _sheet(name: str, of: int, images: Iterable[Drawn], tiles: Mapping[str, Tile]) -> Sheet:
    made = _with_tiles(images, tiles)
    failed = _by_size((tile.words, 1) for _, tile in made if tile.address is None)
    return Sheet(name, of, [(image, tile) for image, tile in made if tile.address], failed)


def _suspicions(
    counts: Tally, found: Noted, tiles: Mapping[str, Tile], each: int, check: Check
) -> list[Suspicion]:
    """All that ``findings.parquet`` holds, and what the pictures made for this page show."""
    noted_in = Counter(found.counts)
    lines = {kind: list(rows) for kind, rows in found.first.items()}
    if check == Check.headers:
        for image, tile in _shown(counts, tiles):
            for finding, detail in tile.findings:
                noted_in[finding] += 1
                lines.setdefault(finding, []).append({"image": image.image, "detail": detail})
    by_name = {image.image: image for image, _ in _shown(counts, tiles)} | counts.found
    suspicions = []
    for kind, n in noted_in.most_common():
        named = [row.get("image") or "" for row in lines[kind]]
        shown = [by_name[name] for name in named if name in by_name]
        shown = shown[:each] if kind in OF_PIXELS else []
        sheet = _sheet(kind, n, shown, tiles)
        suspicions.append(
            Suspicion(kind, meanings.FINDINGS.get(kind, ""), n, lines[kind][:LINES], sheet)
        )
    return suspicions


def _shown(counts: Tally, tiles: Mapping[str, Tile]) -> list[tuple[Drawn, Tile]]:
    """Usable images that have a tile, in the order of their pseudonyms."""
    images = {image for sheet in counts.of_maker.values() for image in sheet}
    return _with_tiles(sorted(images | {*counts.found.values()}), tiles)


def _with_tiles(images: Iterable[Drawn], tiles: Mapping[str, Tile]) -> list[tuple[Drawn, Tile]]:
    return [(image, tiles[image.path]) for image in images if image.path in tiles]


def _by_size(pairs: Iterable[tuple[str | None, int]]) -> dict[str, int]:
    sums = Counter[str]()
    for name, n in pairs:
        sums[name or ""] += n
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


def _sum(counted: Mapping[Class, int], of: Callable[[Class], bool]) -> int:
    return sum(n for group, n in counted.items() if of(group))


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}\N{NO-BREAK SPACE}%" if whole else "-"
