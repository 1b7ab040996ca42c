"""The slider against counts made one by one, and in a browser."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mim.evaluate.operating import highest_share
from mim.evaluate.prevalence import kind_factors, prevalence_weights
from mim.evaluate.readers import Calls
from mim.evaluate.scored import Scored
from mim.evaluate.settings import PrevalenceSettings
from mim.evaluate.slider import SHARES, SliderData, slider_data, slider_rows, slider_view
from mim.vocab import CANCERS, SELECTION_RATES, Outcome

EVIL = "</script><script>alert(1)</script>"
KINDS = [
    str(k) for k in (Outcome.NEGATIVE, Outcome.SCREEN_DETECTED, Outcome.INTERVAL, Outcome.UNKNOWN)
]


def made(exams: int, seed: int, digits: int = 3, model: str = "mim") -> tuple[Scored, Calls]:
    """Exams of every outcome, many with equal scores, and recalls known of most."""
    generator = np.random.default_rng(seed)
    outcome = generator.choice(KINDS, exams, p=[0.8, 0.08, 0.04, 0.08])
    outcome[:2] = KINDS[1:3]
    sick = np.isin(outcome, [str(kind) for kind in CANCERS])
    score = np.round(generator.beta(1 + 2 * sick, 4), digits)
    rows = pl.DataFrame(
        {
            "woman": np.arange(exams),
            "exam": [f"e{n}" for n in range(exams)],
            "cancer": pl.Series(sick).set(pl.Series(outcome == Outcome.UNKNOWN), None),
            "outcome": outcome,
            "maker": ["ge"] * exams,
        }
    )
    known = generator.random(exams) < 0.9
    recalled = Calls("recall", known, known & (generator.random(exams) < 0.05 + 0.6 * sick))
    return Scored("exams", rows, {model: score}, 0), recalled


def check_counts(data: SliderData, exams: Scored, recalled: Calls, weights: np.ndarray) -> None:
    """Every stop, one exam after the other."""
    outcomes = exams.rows["outcome"].to_list()
    cancers = [row for row, cancer in enumerate(exams.rows["cancer"]) if cancer]
    wanted = {
        "Exams selected": [*range(len(outcomes))],
        "Cancers found": cancers,
        "Screen-detected cancers found": [
            r for r in cancers if outcomes[r] == "screen-detected cancer"
        ],
        "Interval cancers found": [r for r in cancers if outcomes[r] == "interval cancer"],
        "The programme's recalls among them": [*np.flatnonzero(recalled.positive)],
        "Recalls without cancer among them": [
            r for r in np.flatnonzero(recalled.positive) if exams.rows["cancer"][int(r)] is False
        ],
    }
    shown = {row.name: row for row in data.rows}
    for stop, score in enumerate(data.scores):
        selected = {row for row, s in enumerate(exams.score) if s >= score}
        for name, rows in wanted.items():
            if rows:
                assert shown[name].counts[stop] == len(selected.intersection(rows)), name
                assert shown[name].total == len(rows)
                share = sum(weights[r] for r in rows if r in selected) / sum(weights[rows])
                assert shown[name].shares[stop] == pytest.approx(share)
        nobody, one = data.readings
        assert nobody.counts[stop] == sum(
            2 if row in selected else 0 for row in range(len(outcomes))
        )
        assert one.counts[stop] == sum(2 if row in selected else 1 for row in range(len(outcomes)))
        assert nobody.total == one.total == 2 * len(outcomes)
        load = sum(w * (2 if row in selected else 1) for row, w in enumerate(weights))
        assert one.shares[stop] == pytest.approx(load / (2 * weights.sum()))


@settings(max_examples=15)
@given(st.integers(2, 60), st.integers(0, 10_000), st.integers(0, 3), st.booleans())
def test_every_stop_counts_what_is_selected_one_by_one(exams, seed, digits, weighted):
    rows, recalled = made(exams, seed, digits)
    weights = np.random.default_rng(seed).uniform(0.1, 5, exams) if weighted else np.ones(exams)
    data = slider_data(rows, recalled, weights if weighted else None)
    assert data.weighted == weighted
    check_counts(data, rows, recalled, weights)
    assert (np.diff(data.scores) < 0).all()
    assert data.selected.counts[-1] == exams, "the last stop selects all"


@pytest.mark.parametrize("weighted", [False, True])
def test_a_table_holds_every_stop(weighted):
    exams, recalled = made(300, 7, digits=2)
    weights = np.random.default_rng(7).uniform(0.1, 5, 300) if weighted else None
    data = slider_data(exams, recalled, weights)
    table = pl.DataFrame(slider_rows(data))
    assert table.height == len(data.scores)
    outcome, counts = exams.outcome, np.ones(300) if weights is None else weights
    free = recalled.positive & exams.known & ~exams.cancer
    groups = {
        "exams": np.ones(300, bool),
        "cancers": exams.cancer,
        "screen_detected_cancers": outcome == "screen-detected cancer",
        "interval_cancers": outcome == "interval cancer",
        "recalls": recalled.positive,
        "recalls_without_cancer": free,
    }
    assert table.columns == [
        *("model", "score"),
        *(f"{name}_selected" for name in groups),
        *("readings_others_by_none", "readings_others_by_one"),
        *(f"share_of_{name}" for name in groups),
        *("share_of_readings_others_by_none", "share_of_readings_others_by_one"),
    ]
    for row in table.rows(named=True):
        selected = exams.score >= row["score"]
        for name, rows in groups.items():
            assert row[f"{name}_selected"] == (selected & rows).sum()
            share = counts[selected & rows].sum() / counts[rows].sum()
            assert row[f"share_of_{name}"] == pytest.approx(share)
        assert row["readings_others_by_none"] == 2 * selected.sum()
        assert row["readings_others_by_one"] == 300 + selected.sum()


def test_named_rates_are_stops_and_select_what_the_rule_selects():
    rows, recalled = made(4000, 1)
    data = slider_data(rows, recalled)
    assert len(data.scores) <= len(SHARES) + 1 <= 400
    for rate in SELECTION_RATES:
        stop = data.stop(rate)
        assert stop is not None
        assert data.selected.counts[stop] == highest_share(rows.score, rate).sum()
        assert data.selected.shares[stop] <= rate


def test_shares_of_enriched_exams_are_the_programmes():
    rows, _ = made(3000, 2, digits=6)
    prevalence = PrevalenceSettings(6.1, 1.7)
    weights = prevalence_weights(rows.outcome, prevalence)
    data = slider_data(rows, None, weights)
    stop = data.stop(0.088)
    assert stop is not None
    picked = rows.score >= data.scores[stop]
    factors = kind_factors(rows.outcome, prevalence)
    total = sum(factors[str(outcome)] for outcome in rows.outcome)
    share = sum(factors[str(outcome)] for outcome in rows.outcome[picked]) / total
    assert data.selected.shares[stop] == pytest.approx(share)
    assert share == pytest.approx(0.088, abs=0.002)
    assert picked.mean() > 0.12, "cancers are enriched: more of these exams are selected"
    assert data.recalls == ()


def test_a_scale_of_ten_has_ten_stops_and_no_rate_below_its_first():
    rows, recalled = made(500, 3)
    tens = Scored("exams", rows.rows, {"mim": np.ceil(rows.score * 9.99)}, 0)
    data = slider_data(tens, recalled)
    assert data.scores.tolist() == sorted(set(tens.score), reverse=True)
    everyone = Scored("exams", rows.rows, {"mim": np.ones(500)}, 0)
    flat = slider_data(everyone)
    assert flat.stop(0.111) is None
    assert flat.selected.counts.tolist() == [500]
    view = slider_view(flat)
    assert [cells for _, _, cells in view["rates"]] == [None] * 4


# ---- the page -----------------------------------------------------------------------------------


def page(views: list[dict[str, object]]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mim.evaluate", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.from_string(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>t</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,"><style>* { box-sizing: border-box; } '
        "body { margin: 0; } .scroll { overflow-x: auto; } svg { display: block; width: 100%; } "
        '{% include "parts.css.j2" %}</style></head><body>{% include "slider.html.j2" %}</body></html>'
    ).render(sliders=views)


def test_a_name_or_a_score_cannot_break_the_page():
    rows, recalled = made(50, 4, model=EVIL)
    views = [slider_view(slider_data(rows, recalled, anchor=f"slider-{n}")) for n in range(2)]
    text = page(views)
    assert EVIL not in text
    assert text.count("<script") == 3, "the data of two sliders, and what moves both"
    data = text.split('<script type="application/json">')[1].split("</script>")[0]
    assert json.loads(data) == views[0]["texts"]
    assert text.count("http") == 0


playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
WITH_CHROMIUM = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=[*QUIET])
        yield browser
        browser.close()


def opened(browser: Any, path: Path, width: int, **context: Any) -> tuple[Any, list[str]]:
    """The page, and all that went wrong or out."""
    tab = browser.new_page(viewport={"width": width, "height": 900}, **context)
    said: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda r: said.append(r.url) if not r.url.startswith("data:") else None)
    tab.goto(path.as_uri())
    assert said == [path.as_uri()]
    return tab, said


def cells_of(tab: Any, slider: int) -> list[str]:
    found: list[str] = tab.locator(".slider").nth(slider).locator("[data-cell]").all_inner_texts()
    return found


@WITH_CHROMIUM
@pytest.mark.parametrize(
    ("width", "scheme"),
    [(400, "dark"), pytest.param(1280, "light", marks=pytest.mark.slow)],
)
def test_keys_move_the_slider_to_the_exact_counts(browser, tmp_path, width, scheme):
    rows, recalled = made(2000, 5)
    other = Scored("exams", rows.rows, {"other": rows.score[::-1].copy()}, 0)
    both = [
        slider_data(exams, recalled, anchor=f"slider-{n}") for n, exams in enumerate([rows, other])
    ]
    path = tmp_path / "page.html"
    path.write_text(page([slider_view(data) for data in both]))
    tab, said = opened(browser, path, width, color_scheme=scheme)
    data = both[0]

    def expected(stop: int) -> list[str]:
        selected = rows.score >= data.scores[stop]
        cancer = rows.cancer & selected
        return [
            f"{selected.sum():,} of 2,000",
            f"{100 * selected.mean():.1f} %",
            f"{cancer.sum():,} of {rows.cancer.sum():,}",
            f"{100 * cancer.sum() / rows.cancer.sum():.1f} %",
        ]

    start = data.stop(0.088)
    assert start is not None
    before = cells_of(tab, 1)
    moves = {"ArrowRight": start + 1, "Home": 0, "End": len(data.scores) - 1, "ArrowLeft": None}
    tab.locator("#slider-0").focus()
    assert cells_of(tab, 0)[:4] == expected(start)
    for key, stop in moves.items():
        tab.keyboard.press(key)
        where = len(data.scores) - 2 if stop is None else stop
        assert cells_of(tab, 0)[:4] == expected(where), key
        output = tab.locator("output").nth(0).inner_text()
        assert f"{rows.cancer[rows.score >= data.scores[where]].sum()} of" in output
        assert tab.locator("#slider-0").get_attribute("aria-valuetext") == expected(where)[1]
        mark = tab.locator(".mark").nth(0)
        share = (float(mark.get_attribute("x1")) - float(mark.get_attribute("data-left"))) / float(
            mark.get_attribute("data-width")
        )
        assert share == pytest.approx((rows.score >= data.scores[where]).mean(), abs=1e-4)
    tab.locator(".jumps button").nth(0).click()
    assert cells_of(tab, 0)[:4] == expected(data.stop(0.032))
    assert cells_of(tab, 1) == before, "the other model's slider stays"
    assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert said == [path.as_uri()]
    assert tab.get_by_role("slider", name="Share of exams selected").count() == 2
    tab.close()


@WITH_CHROMIUM
@pytest.mark.slow
def test_without_a_script_the_named_rates_are_a_table(browser, tmp_path):
    rows, recalled = made(2000, 6)
    data = slider_data(rows, recalled)
    path = tmp_path / "page.html"
    path.write_text(page([slider_view(data)]))
    tab, _ = opened(browser, path, 400, java_script_enabled=False)
    assert not tab.locator("input").is_visible()
    heads = tab.locator("noscript th[scope=col]").all_inner_texts()
    assert heads[1:] == ["3.2 %", "5.8 %", "8.8 %", "11.1 %"]
    first = tab.locator("noscript tbody tr").nth(0).locator("td").all_inner_texts()
    counts = [int(highest_share(rows.score, rate).sum()) for rate in SELECTION_RATES]
    assert [cell.split()[0] for cell in first] == [f"{count:,}" for count in counts]
    tab.close()
