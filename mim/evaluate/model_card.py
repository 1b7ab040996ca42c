"""The data and model card of one model: what TRIPOD+AI asks of a study, as far as files answer it.

Items and their numbers are those of TRIPOD+AI (Collins 2024, BMJ 385:e078378, doi
10.1136/bmj-2023-078378), in words of mim's own. What no file knows is left for people to fill in.
"""

from collections.abc import Callable
from typing import NamedTuple

from mim.evaluate.card_facts import UNKNOWN, CardFacts, SampleFacts
from mim.image.settings import Harmonise

NOT_STATED = "not stated here: fill in"

Answer = Callable[[CardFacts], str | None]
"""What files say on an item; None where they say nothing."""


class Item(NamedTuple):
    """One item of TRIPOD+AI and what is said on it."""

    number: str
    name: str
    text: str

    @property
    def stated(self) -> bool:
        """Whether files answer it."""
        return not self.text.startswith(NOT_STATED)


class Asked(NamedTuple):
    """An item, how files answer it, and what people are to fill in where they do not."""

    number: str
    name: str
    answer: Answer
    wanted: str


def card_items(facts: CardFacts) -> dict[str, list[Item]]:
    """All items that apply, in their order, by part of the study."""
    return {
        part: [
            Item(a.number, a.name, a.answer(facts) or f"{NOT_STATED} ({a.wanted})") for a in asked
        ]
        for part, asked in ASKED.items()
    }


def card_view(facts: CardFacts) -> dict[str, object]:
    """What the template of the card shows."""
    items = card_items(facts)
    every = [item for part in items.values() for item in part]
    return {
        "note": facts.note,
        "samples": [name for name, _ in _samples(facts)],
        "counts": _counts(facts),
        "items": items,
        "stated": sum(item.stated for item in every),
        "asked": len(every),
    }


def _samples(facts: CardFacts) -> list[tuple[str, SampleFacts]]:
    training = [("Training", facts.training)] if facts.training else []
    return [("Test", facts.test), *training]


def _counts(facts: CardFacts) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """Counts of all samples side by side: what is counted, then rows of a level and its counts."""
    samples = [sample for _, sample in _samples(facts)]
    whole = [
        ("Women", [f"{sample.women:,}" for sample in samples]),
        ("Exams", [f"{sample.exams:,}" for sample in samples]),
        ("Years", [sample.period or "unknown" for sample in samples]),
    ]
    found = [("All", whole)]
    for name in dict.fromkeys(name for sample in samples for name in sample.counts):
        parts = [sample.counts.get(name, {}) for sample in samples]
        levels = dict.fromkeys(level for part in parts for level in part)
        rows = [(level, [f"{part.get(level, 0):,}" for part in parts]) for level in levels]
        found.append((f"Exams by {name}", rows))
    return found


def _people(_facts: CardFacts) -> None:
    """Only people know."""


def _title(facts: CardFacts) -> str:
    what = "Development and evaluation" if facts.run else "Evaluation"
    return (
        f"{what} of {facts.model}: a score of mammography exams that shall rank those with a breast "
        "cancer, found at screening or before the next exam, above those without."
    )


def _abstract(_facts: CardFacts) -> str:
    return "The summary at the top of this page."


def _source(facts: CardFacts) -> str | None:
    """Of made-up data the note is the source."""
    return facts.note or None


def _dates(facts: CardFacts) -> str | None:
    known = [(name, sample.period) for name, sample in _samples(facts) if sample.period]
    return (
        "; ".join(f"{name.lower()} exams: {period}" for name, period in known).capitalize() or None
    )


def _eligibility(facts: CardFacts) -> str:
    return (
        f"Test exams that {facts.model}, and every model measured beside it, has scored; what each step "
        f"left out stands under attrition, {facts.unscored:,} exams for want of a score. How women came "
        "to the programme is for people to fill in."
    )


def _preparation(facts: CardFacts) -> str | None:
    if facts.run is None:
        return None
    recipe = facts.run["recipe"]
    return (
        f"One recipe for every image and woman: {recipe['height']} x {recipe['width']} pixels, "
        f"fingerprint {facts.run['fingerprint']}. Images that it cannot prepare are left out with a "
        "reason."
    )


def _outcome(facts: CardFacts) -> str:
    kinds = [f"{count:,} {kind}" for kind, count in facts.test.counts["outcome"].items()]
    return (
        "A cancer at the exam or before the next one. Test exams by outcome: "
        f"{', '.join(kinds)}. How and when outcomes were found out is for people to fill in."
    )


def _predictors(facts: CardFacts) -> str | None:
    if facts.run is None:
        return None
    return (
        "The pixels of the exam's views, left and right, CC and MLO, and of at most "
        f"{facts.run['priors']['most']} earlier exams of the woman; months to them. Nothing else: "
        "no age, density, maker or history."
    )


def _not_judged(facts: CardFacts) -> str | None:
    return "No one judges them: pixels are taken as they are." if facts.run else None


def _size(facts: CardFacts) -> str:
    return (
        f"As many exams as there were: {_numbers(facts.test)} tested. No size was computed beforehand "
        "by mim; whether one was is for people to fill in. The width of the intervals shows what the "
        "size is enough for."
    )


def _missing(facts: CardFacts) -> str:
    said = [
        f"{facts.unscored:,} test exams have no score of {facts.model}, or of a model measured beside "
        "it, and are left out."
    ]
    if facts.run:
        said.append("A view or an earlier exam that is missing is masked, not filled in.")
    said += [sentence if sentence.endswith(".") else f"{sentence}." for sentence in facts.missing]
    said.append(
        "Exams of unknown outcome can be selected, as in a programme, and count in no AUC, sensitivity "
        "or specificity."
    )
    return " ".join(said)


def _partition(facts: CardFacts) -> str | None:
    if facts.run is None:
        return None
    return (
        "Each woman, with all her exams, is in one part. Training women taught the model, validation "
        f"women chose {facts.chosen}"
    )


def _transformed(facts: CardFacts) -> str | None:
    if facts.run is None:
        return None
    kind = facts.run["greys"]["kind"]
    greys = "" if kind == Harmonise.voi else f", grey levels harmonised by {kind}"
    return f"Pixels alone, as the recipe leaves them{greys}; changed at random in training."


def _building(facts: CardFacts) -> str | None:
    if facts.run is None:
        return None
    model, train = facts.run["settings"]["model"], facts.run["settings"]["train"]
    encoder = model["encoder"]
    given = facts.run["start"] or encoder["weights"] or encoder["pretrained"]
    start = "weights learnt before" if given else "random weights"
    kept = "The best epoch on validation women" if facts.chosen_by_validation else "The last epoch"
    return (
        f"A neural network, encoder {encoder['name']}, views joined by "
        f"{model['fusion']['kind']}, from {start}; {train['epochs']} epochs, {train['optimizer']}, "
        f"learning rate {train['learning_rate']:g}, seed {train['seed']}. {kept} is kept. "
        "Every setting stands in run.json; how they were chosen is for people to fill in."
    )


def _clusters(_facts: CardFacts) -> str:
    return (
        "By maker, software, site and period, each where it is known and differs among the test exams, "
        "with intervals; these draw women, so the exams of one woman stay together."
    )


def _measures(facts: CardFacts) -> str:
    return (
        "AUC, partial AUC, precision and recall, sensitivity and specificity at selection rates and "
        "stored thresholds, calibration where there are probabilities; each defined in "
        f"docs/metrics.md. Intervals: {facts.resamples:,} resamples of women."
    )


def _calculated(facts: CardFacts) -> str | None:
    if facts.run is None:
        return None
    commit = facts.run["code"].get("commit")
    return f"By mim {facts.run['versions']['mim']}" + (f", commit {commit}." if commit else ".")


def _imbalance(facts: CardFacts) -> str | None:
    if facts.run is None:
        return None
    cases = facts.run["settings"]["data"]["cases_per_batch"]
    return (
        f"Each training batch holds at least {cases} exams with cancer, more than come by chance, so that "
        "the cancer score ranks exams and is no probability; a calibration on validation exams makes one "
        "of it. Losses of risks are weighed back to the training women's prevalence."
    )


def _fairness(facts: CardFacts) -> str:
    counts, names = facts.test.counts, ("age", "density", "site", "maker")
    there = [name for name in names if len({*counts.get(name, {})} - {UNKNOWN}) > 1]
    given = (
        f"Figures are given by {', '.join(there)}, with a correction for looking many times."
        if there
        else f"No figures are given by {', '.join(names)}: none is known to differ among the test exams."
    )
    return (
        f"{given} Ethnicity and social position are in none of mim's tables, so nothing is known of "
        "them."
    )


def _output(facts: CardFacts) -> str:
    said = "A score of each exam, higher is more suspicious"
    if not facts.thresholds:
        return f"{said}; no threshold is stored with it."
    cuts = ", ".join(f"{score:.4g} ({100 * rate:.1f} %)" for rate, score in facts.thresholds)
    return f"{said}. Thresholds that select shares of validation exams: {cuts}."


def _differences(facts: CardFacts) -> str | None:
    return "The table above sets both side by side." if facts.training else None


def _code(facts: CardFacts) -> str:
    names = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    return f"mim, open source. Measured by {names}."


def _flow(facts: CardFacts) -> str:
    return f"{_numbers(facts.test)}; the steps before stand under attrition."


def _characteristics(_facts: CardFacts) -> str:
    return "The table above; levels of which nothing is known are counted as unknown."


def _analysed(facts: CardFacts) -> str:
    said = [f"Tested: {_numbers(facts.test)}."]
    if facts.training:
        said.insert(0, f"Training part: {_numbers(facts.training)}.")
    if facts.run:
        learnt = facts.run["training"]
        said.insert(0, f"Learnt from: {learnt['exams']:,} exams of {learnt['women']:,} women.")
    return " ".join(said)


def _specification(facts: CardFacts) -> str | None:
    if facts.run is None:
        return None
    return (
        "The run's best checkpoint; 'mim export' makes it an ONNX bundle that scores new exams. Who may "
        "have it is for people to fill in."
    )


def _performance(_facts: CardFacts) -> str:
    return "This page, and metrics.csv beside it: figures with their intervals, also by subgroup."


def _updated(facts: CardFacts) -> str:
    return facts.updated


def _limitations(facts: CardFacts) -> str | None:
    return f"{facts.note} Others are for people to fill in." if facts.note else None


def _poor_input(facts: CardFacts) -> str | None:
    if facts.run is None:
        return None
    return (
        "An exam without a usable image gets no score and a reason in its place; it is to be read."
    )


def _numbers(sample: SampleFacts) -> str:
    return (
        f"{sample.exams:,} exams of {sample.women:,} women, {sample.cancers:,} exams with a cancer"
    )


ASKED: dict[str, tuple[Asked, ...]] = {
    "Title and abstract": (
        Asked("1", "What the study is", _title, ""),
        Asked("2", "Abstract", _abstract, ""),
    ),
    "Introduction": (
        Asked("3a", "Context and reasons", _people, "why this model, and which others there are"),
        Asked(
            "3b", "Intended use", _people, "for which women, where in the programme, who uses it"
        ),
        Asked("3c", "Known inequalities", _people, "differences in health between groups of women"),
        Asked("4", "Objectives", _people, "what the study is to show"),
    ),
    "Methods": (
        Asked("5a", "Sources of data", _source, "which programme or collection, how typical"),
        Asked("5b", "Dates", _dates, "first and last exam, end of follow-up"),
        Asked("6a", "Setting", _people, "country, programme, number and place of units"),
        Asked("6b", "Who is included", _eligibility, ""),
        Asked("6c", "Treatments", _people, "whether any was given before the exam"),
        Asked("7", "Preparation of data", _preparation, "how the images were prepared"),
        Asked("8a", "Outcome", _outcome, ""),
        Asked("8b", "Who assessed outcomes", _people, "qualification of pathologists and readers"),
        Asked("8c", "Blinding of outcomes", _people, "whether assessors knew the scores"),
        Asked("9a", "Choice of predictors", _predictors, "what the model is given"),
        Asked("9b", "Definition of predictors", _preparation, "how and when each is measured"),
        Asked("9c", "Who assessed predictors", _not_judged, "whether any needs a judgement"),
        Asked("10", "Sample size", _size, ""),
        Asked("11", "Missing data", _missing, ""),
        Asked("12a", "Use of the data", _partition, "whether any test woman was trained on"),
        Asked("12b", "Handling of predictors", _transformed, "how inputs are transformed"),
        Asked(
            "12c", "Type and building of the model", _building, "what the model is, how it was made"
        ),
        Asked("12d", "Differences between clusters", _clusters, ""),
        Asked("12e", "Measures of performance", _measures, ""),
        Asked("12f", "Updating", _updated, ""),
        Asked("12g", "How scores were computed", _calculated, "by which product and version"),
        Asked("13", "Class imbalance", _imbalance, "whether cancers were made more frequent"),
        Asked("14", "Fairness", _fairness, ""),
        Asked("15", "Output and thresholds", _output, ""),
        Asked("16", "Training against test", _differences, "how the two parts differ"),
        Asked("17", "Ethical approval", _people, "committee, number, consent or its waiver"),
    ),
    "Open science and involvement": (
        Asked("18a", "Funding", _people, "who paid, and what part they had"),
        Asked("18b", "Conflicts of interest", _people, "of every author"),
        Asked("18c", "Protocol", _people, "where it is, or that there is none"),
        Asked("18d", "Registration", _people, "register and number, or that there is none"),
        Asked("18e", "Sharing of data", _people, "whether and from whom they can be had"),
        Asked("18f", "Sharing of code", _code, ""),
        Asked("19", "Women and the public", _people, "what part they had, or that they had none"),
    ),
    "Results": (
        Asked("20a", "Flow of exams", _flow, ""),
        Asked("20b", "Characteristics", _characteristics, ""),
        Asked("20c", "Comparison with training", _differences, "what the model was trained on"),
        Asked("21", "Numbers analysed", _analysed, ""),
        Asked("22", "Full specification", _specification, "where the model can be had"),
        Asked("23a", "Performance", _performance, ""),
        Asked("23b", "Performance by cluster", _performance, ""),
        Asked("24", "Results of updating", _updated, ""),
    ),
    "Discussion": (
        Asked("25", "Interpretation", _people, "what the figures mean, fairness included"),
        Asked("26", "Limitations", _limitations, "of sample, follow-up and model"),
        Asked("27a", "Poor or missing input", _poor_input, "what the product does then"),
        Asked("27b", "What users must do and know", _people, "handling of input, expertise"),
        Asked("27c", "Next steps", _people, "what is to be studied before use"),
    ),
}
