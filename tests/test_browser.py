"""The pages in a real browser: complete, silent, alone, and no wider than the window."""

import csv
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from made_page import index_with_page

from mim.schemas.cohort import EXAMS
from mim.schemas.images import IMAGES
from mim.schemas.table import read_table

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)

NOT_LOADED = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
TOO_WIDE = "document.documentElement.scrollWidth - innerWidth"
CELLS = "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim()))"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=[*QUIET])
        yield browser
        browser.close()


class Visit:
    """A page, opened from its file, and what went wrong or went out while it loaded."""

    def __init__(self, browser: Any, path: Path, width: int, scheme: str = "light") -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("requestfailed", lambda request: self.said.append(request.url[:80]))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())

    def check(self, path: Path) -> None:
        assert self.said == []
        assert [url for url in self.asked if not url.startswith("data:")] == [path.as_uri()]
        assert self.page.evaluate(NOT_LOADED) == 0
        assert self.page.evaluate(TOO_WIDE) <= 0

    def table(self, name: str) -> dict[str, list[str]]:
        """Cells of the body of a table, by the first of each row."""
        self.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        rows = self.page.eval_on_selector_all(f"#{name} tbody tr", CELLS)
        return {row[0]: row[1:] for row in rows}


def number(text: str) -> int:
    return int(text.replace(",", "").replace("\N{MINUS SIGN}", ""))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's report, of scores made here."""
    from made_report import report, tables

    out = tmp_path_factory.mktemp("report")
    report(tables("test", 1), out, None, resamples=100)
    return out / "index.html"


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An audit's page, of a cohort made here that has problems and warnings."""
    from made_cohort import audited, made_cohort

    out = tmp_path_factory.mktemp("audit")
    made = made_cohort()
    made.exam("w0b")["split"] = "test"
    made.exam("w1b").update(prior_makers=["fuji"], site="A site of a long name that will not break")
    made.exam("w4a").update(left_outcome="interval cancer", left_cancer=True)
    assert audited(made, out)[0] == 2
    return out / "audit" / "index.html"


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a watch in which a machine's new software changes pictures and scores."""
    from made_watch import changed, made, write_bundle_card, write_predictions

    from mim.monitor.monitor import write_monitor
    from mim.monitor.settings import MonitorSettings

    out, bundle = tmp_path_factory.mktemp("watch"), made()
    card = write_bundle_card(bundle, out / "bundle")
    rows = changed(bundle, 1, "Mammomat Inspiration of a long name that will not break VB60C")
    predictions = write_predictions(rows, out / "predictions")
    assert write_monitor(card, [predictions], out / "watch", MonitorSettings()) > 1
    return out / "watch" / "index.html"


@pytest.fixture(scope="module")
def makers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a sweep over makers left out, of which a run failed."""
    from made_sweep import MadeSweep

    from mim.cli.makers_report import report_on_sweep
    from mim.evaluate.settings import EvaluateSettings
    from mim.schemas.sweep import JobState, State

    made = MadeSweep(tmp_path_factory.mktemp("makers") / "sweep")
    made.whole(
        ("plain", "A method of a long name that will not break, nor fit a window of a phone")
    )
    JobState(State.FAILED, "killed by SIGKILL; too little memory?").write(
        made.folder / "plain-ge-1"
    )
    out = made.folder.parent / "report"
    return report_on_sweep(made.folder, made.outcomes, out, EvaluateSettings(resamples=60)).page


@pytest.fixture(params=["index", "report", "audit", "watch", "makers"])
def path(request: pytest.FixtureRequest) -> Path:
    if request.param != "index":
        found: Path = request.getfixturevalue(request.param)
        return found
    return index_with_page(request.getfixturevalue("programme")) / "index.html"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_a_page_is_complete_silent_and_alone(
    browser: Any, path: Path, width: int, scheme: str
) -> None:
    visit = Visit(browser, path, width, scheme)
    visit.check(path)
    visit.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    visit.check(path)
    links = visit.page.eval_on_selector_all("nav a", "links => links.map(a => a.hash)")
    for link in links:
        assert visit.page.locator(link).count() == 1, link
    assert visit.page.pdf(format="A4").startswith(b"%PDF-")
    visit.page.close()


def test_its_numbers_are_those_of_the_index(browser: Any, programme: Path) -> None:
    index = index_with_page(programme)
    visit = Visit(browser, index / "index.html", 1280)
    rows = read_table(index / "images", IMAGES).to_pylist()
    known = [row for row in rows if row["sop_class"]]
    usable = [row for row in rows if row["reason"] is None]

    reasons = {name: number(cells[0]) for name, cells in visit.table("reasons-table").items()}
    expected = Counter(row["reason"] for row in rows if row["reason"])
    problems = {name.removesuffix(" !"): count for name, count in reasons.items()}
    assert problems == {"files found": len(rows), **expected, "usable": len(usable)}

    names = {"ge": "GE", "unknown": "Maker unknown"}
    by_maker = Counter(names.get(row["maker"], row["maker"].capitalize()) for row in known)
    good = Counter(names.get(row["maker"], row["maker"].capitalize()) for row in usable)
    makers = visit.table("makers-table")
    assert {name: number(cells[-2]) for name, cells in makers.items()} == by_maker
    assert {name: number(cells[-1]) for name, cells in makers.items()} == dict(good)
    for cells in makers.values():
        assert sum(map(number, cells[:-2])) == number(cells[-2])

    views = visit.table("views-table")
    assert {name: number(cells[-2]) for name, cells in views.items()} == Counter(
        row["view"] for row in known
    )
    months = visit.table("months-table")
    assert {name: sum(map(number, cells)) for name, cells in months.items()} == Counter(
        row["study_date"].strftime("%Y-%m") for row in known
    )
    deliveries = visit.table("deliveries-table")
    assert sum(number(cells[1]) for cells in deliveries.values()) == len(rows)
    assert sum(number(cells[2]) for cells in deliveries.values()) == len(usable)

    findings = Counter(pq.read_table(index / "findings.parquet")["finding"].to_pylist())
    told = visit.page.eval_on_selector_all(
        ".suspicion h3", "heads => heads.map(h => h.firstChild.textContent.trim())"
    )
    assert sorted(told) == sorted(f"{name}: {count}" for name, count in findings.items())
    visit.page.close()


def test_an_audits_numbers_are_those_of_its_cohort(browser: Any, audit: Path) -> None:
    visit = Visit(browser, audit, 1280)
    exams = read_table(audit.parents[1] / "cohort" / "exams.parquet", EXAMS).to_pylist()
    breasts = [(exam["split"], exam[f"{s}_outcome"]) for exam in exams for s in ("left", "right")]
    outcomes = visit.table("outcomes-table")
    for outcome, cells in outcomes.items():
        counts = [breasts.count((split, outcome)) for split in ("train", "validation", "test")]
        assert [number(cell) for cell in cells] == counts
    assert set(outcomes) == {outcome for _, outcome in breasts}
    assert sum(number(cells[0]) for cells in visit.table("sites-table").values()) == len(exams)
    gaps = visit.table("gaps-table")
    assert sum(number(cells[0]) for cells in gaps.values()) == sum(len(e["priors"]) for e in exams)
    said = visit.page.locator(".finding h3").all_inner_texts()
    assert [head.split(maxsplit=1)[0].lower() for head in said] == ["problem", "problem", "warning"]
    visit.page.close()


def test_a_watchs_alarms_and_numbers_are_those_of_its_tables(browser: Any, watch: Path) -> None:
    visit = Visit(browser, watch, 1280)
    with (watch.parent / "alarms.csv").open() as file:
        alarms = [*csv.DictReader(file)]
    assert visit.page.locator("h1").inner_text() == f"{len(alarms)} alarms"
    [new] = [row for row in alarms if row["kind"] == "new software"]
    assert new["what"] in visit.page.locator(".finding li").all_inner_texts()
    rows = visit.table("machine-3-table")
    with (watch.parent / "drift.csv").open() as file:
        looks = [row for row in csv.DictReader(file) if row["machine"] == new["machine"]]
    assert {*rows} == {look["period"] for look in looks} == {"2024-03", "2024-04", "whole time"}
    for period, cells in rows.items():
        of_it = [look for look in looks if look["period"] == period]
        assert {number(cells[0])} == {int(look["exams"]) for look in of_it}
        shares = [f"{float(look['middle']):.1%}" for look in of_it if look["selection_rate"]]
        assert cells[1 : 1 + len(shares)] == shares
    bold = visit.page.locator("td.alarm").count()
    assert bold == len(alarms) - 1
    drawn = visit.page.locator("circle.alarm[r='5']")
    assert drawn.count() > 0
    for chart in visit.page.locator("section svg").all():
        box = chart.bounding_box()
        assert box is not None
        assert box["width"] > 200
        assert box["height"] > 80
    visit.page.close()
