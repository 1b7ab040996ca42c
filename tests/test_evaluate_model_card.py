"""The card: which items TRIPOD+AI has, counts of planted exams, and nothing said that is not known."""

import re
import shutil
from datetime import date
from typing import Any

import cv2
import jinja2
import numpy as np
import polars as pl
import pytest

from mim.evaluate.card_facts import CardFacts, SampleFacts, sample_facts
from mim.evaluate.cases import Case, show_cases
from mim.evaluate.model_card import NOT_STATED, Item, card_items, card_view

NOTE = "Made-up data: shows that the mechanism works, never clinical performance."

# Collins 2024, BMJ 385:e078378, table 1: 27 items, some in parts.
TRIPOD_AI = [
    *("1", "2", "3a", "3b", "3c", "4", "5a", "5b", "6a", "6b", "6c", "7", "8a", "8b", "8c"),
    *("9a", "9b", "9c", "10", "11", "12a", "12b", "12c", "12d", "12e", "12f", "12g", "13", "14"),
    *("15", "16", "17", "18a", "18b", "18c", "18d", "18e", "18f", "19", "20a", "20b", "20c", "21"),
    *("22", "23a", "23b", "24", "25", "26", "27a", "27b", "27c"),
]
PEOPLES = [
    *("3a", "3b", "3c", "4", "6a", "6c", "8b", "8c", "17", "18a", "18b", "18c", "18d", "18e", "19"),
    *("25", "27b", "27c"),
]
"""What no file knows: intended use, ethics, funding, registration, involvement, ..."""

ROWS = pl.DataFrame(
    {
        "exam": ["a", "a", "b", "b", "c", "c"],
        "woman": ["v", "v", "v", "v", "w", "w"],
        "breast": ["L", "R"] * 3,
        "outcome": ["negative", "interval cancer", "unknown", "negative", "negative", None],
        "maker": ["ge", "ge", "siemens", "siemens", "ge", "ge"],
        "site": ["<script>", "<script>", None, None, "North", "North"],
        "age_years": [51, 51, 53, 53, None, None],
        "density": ["b", "b", "b", "b", "d", "d"],
        "exam_date": [date(2015, 3, 1)] * 2 + [date(2017, 3, 1)] * 2 + [None] * 2,
    }
)

RUN: dict[str, Any] = {
    "note": NOTE,
    "settings": {
        "data": {"cases_per_batch": 1, "augment": {"probability": 0.8}},
        "model": {
            "encoder": {"name": "resnet18", "weights": None, "pretrained": False},
            "fusion": {"kind": "transformer"},
        },
        "train": {"epochs": 3, "optimizer": "adamw", "learning_rate": 3e-4, "seed": 7},
    },
    "recipe": {"height": 64, "width": 32},
    "fingerprint": "f00d",
    "priors": {"most": 2},
    "training": {"women": 40, "exams": 55},
    "start": None,
    "greys": {"kind": "voi"},
    "renormalised": None,
    "code": {"commit": "abc123"},
    "versions": {"mim": "1.2"},
}


def facts(run: dict[str, Any] | None = None, note: str = NOTE, **more: Any) -> CardFacts:
    sample = sample_facts(ROWS)
    given = {
        "test": sample,
        "training": None,
        "thresholds": [(0.032, 0.71234)],
        "model": "mim <i>",
        "chosen_by_validation": True,
    } | more
    return CardFacts(
        note=note,
        run=run,
        unscored=4,
        missing=["3 exams that it scored are not in the outcomes"],
        resamples=2000,
        versions={"mim": "1.2", "numpy": "2.0"},
        **given,
    )


def by_number(found: CardFacts) -> dict[str, Item]:
    return {item.number: item for part in card_items(found).values() for item in part}


def test_exams_are_counted_not_breasts():
    found = sample_facts(ROWS)
    assert (found.women, found.exams, found.cancers) == (2, 3, 1)
    assert found.years == (2015, 2017)
    assert found.period == "2015 to 2017"
    assert found.counts == {
        "outcome": {"interval cancer": 1, "unknown": 2},
        "maker": {"GE": 2, "Siemens": 1},
        "site": {"<script>": 1, "North": 1, "unknown": 1},
        "age": {"50 to 54 years": 2, "unknown": 1},
        "density": {"b": 2, "d": 1},
    }
    bare = sample_facts(ROWS.select("exam", "woman", "outcome", "maker"))
    assert set(bare.counts) == {"outcome", "maker"}
    assert bare.period is None


def test_many_levels_are_counted_together():
    rows = pl.DataFrame(
        {
            "exam": [str(n) for n in range(40)],
            "woman": [str(n) for n in range(40)],
            "outcome": ["negative"] * 40,
            "maker": ["ge"] * 40,
            "site": [f"s{n % 20:02}" for n in range(40)],
        }
    )
    found = sample_facts(rows).counts["site"]
    assert len(found) == 13
    assert found["8 others"] == 16
    assert sum(found.values()) == 40


@pytest.mark.parametrize("run", [None, RUN])
def test_every_item_is_there_once_and_peoples_items_are_left_to_people(run):
    items = by_number(facts(run))
    assert [*items] == TRIPOD_AI
    assert len({re.match(r"\d+", number).group() for number in TRIPOD_AI}) == 27
    for number in PEOPLES:
        assert items[number].text.startswith(f"{NOT_STATED} ("), number
        assert not items[number].stated
    assert all(item.text.strip() for item in items.values())


def test_of_a_table_of_scores_nothing_is_said_of_how_they_were_made():
    items = by_number(facts(None, note=""))
    for number in ("5a", "7", "9a", "9b", "9c", "12a", "12b", "12c", "12g", "13", "22", "27a"):
        assert not items[number].stated, number
    assert not items["26"].stated
    assert "Evaluation of mim <i>" in items["1"].text


def test_only_groups_that_differ_among_the_exams_are_said_to_be_measured():
    assert "given by density, site, maker," in by_number(facts())["14"].text, "ages: one band"
    alike = ROWS.with_columns(
        pl.lit("ge").alias("maker"), site=pl.when(site="North").then("site"), density=None
    )
    said = by_number(facts(test=sample_facts(alike)))["14"].text
    assert said.startswith("No figures are given by age, density, site, maker: none is known")


def test_of_a_run_its_card_is_told():
    items = by_number(facts(RUN))
    assert items["5a"].text == NOTE
    assert "64 x 32" in items["7"].text
    assert "at most 2 earlier exams" in items["9a"].text
    for words in ("resnet18", "random weights", "3 epochs", "seed 7"):
        assert words in items["12c"].text
    assert "abc123" in items["12g"].text
    assert "0.7123 (3.2 %)" in items["15"].text
    assert "55 exams of 40 women" in items["21"].text
    assert "3 exams of 2 women, 1 exams with a cancer" in items["21"].text
    assert "4 test exams have no score of mim <i>" in items["11"].text
    assert "3 exams that it scored are not in the outcomes." in items["11"].text
    assert (
        by_number(facts(RUN | {"start": {"from": "run"}}))["12c"].text.count("learnt before") == 1
    )


def test_of_a_run_harmonised_and_fitted_to_a_maker_its_card_is_true():
    fitted = {"maker": "ge", "exams": 71, "share": 0.5}
    run = RUN | {"greys": {"kind": "landmarks"}, "renormalised": fitted}
    items = by_number(facts(run, chosen_by_validation=False))
    said = " ".join(item.text or "" for item in items.values())
    assert "grey levels harmonised by landmarks" in said
    assert "validation women chose nothing" in said
    assert "Exams of GE that it was fitted to chose its thresholds" in said
    assert "The last epoch is kept" in said
    assert "best epoch" not in said
    plain = " ".join(item.text or "" for item in by_number(facts(RUN)).values())
    assert "harmonised" not in plain
    for number in ("12f", "24"):
        said = "Batch normalisation, thresholds and scale were fitted to 71 unlabelled exams of GE"
        assert said in (items[number].text or "")
        assert (by_number(facts(RUN))[number].text or "").startswith("None")
    assert "validation women chose its checkpoint and its thresholds" in plain


def rendered(template: str, **context: object) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mim.evaluate", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(**context)


def page(found: CardFacts) -> str:
    return rendered("model_card.html.j2", card=card_view(found))


def test_the_page_says_the_note_first_and_escapes_names():
    text = page(facts(RUN, training=SampleFacts(9, 12, None, {"maker": {"Fuji": 12}}, 3)))
    assert text.index(NOTE) < text.index("TRIPOD")
    assert "<script" not in text
    assert "<i>" not in text
    rows = dict(re.findall(r'<th scope="row">([^<]*)</th>((?:<td>[^<]*</td>)*)', text))
    assert rows["Fuji"] == "<td>0</td><td>12</td>"
    assert rows["Exams"] == "<td>3</td><td>12</td>"
    assert rows["Years"] == "<td>2015 to 2017</td><td>unknown</td>"
    stated = sum(item.stated for item in by_number(facts(RUN)).values())
    assert f"answer {stated + 2} of 52 items" in text, (
        "both comparisons with training are stated too"
    )
    assert text.count('class="to-fill"') == 52 - stated - 2
    assert 'role="note"' not in page(facts(None, note=""))


playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_card_and_cases_are_silent_alone_and_fit_the_window(tmp_path, width, scheme):
    picture = cv2.imencode(".jpg", np.full((400, 812, 3), 90, np.uint8))[1].tobytes()
    case = Case(
        *("interval cancer", "0123456789abcdef" * 4, 0.1, 0.2, "interval cancer", "ge"),
        *("A site", "c", "50 to 54 years", 1, "left", 0.1),
    )
    path = tmp_path / "page.html"
    path.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>t</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" '
        'href="data:,"><style>* { box-sizing: border-box; } .scroll { overflow-x: auto; }'
        f"{rendered('parts.css.j2')}</style></head><body>{page(facts(RUN))}"
        + rendered("cases.html.j2", cases=show_cases([case] * 3, {case.exam: picture}))
        + "</body></html>"
    )
    said: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        tab.on("console", lambda message: said.append(message.text))
        tab.on("request", lambda r: said.append(r.url) if not r.url.startswith("data:") else None)
        tab.goto(path.as_uri())
        assert said == [path.as_uri()]
        assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        loaded = "[...document.images].every(i => i.complete && i.naturalWidth)"
        assert tab.evaluate(loaded)
        assert tab.locator("img").count() == 3
        browser.close()
