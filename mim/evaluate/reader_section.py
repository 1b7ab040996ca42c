"""The report on readers: what they and the programme find, and models at their specificity."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from mim.evaluate.differences import (
    closed_words,
    corrected,
    less,
    multiplicity_words,
    p_words,
    value_words,
)
from mim.evaluate.figures import ANY_CANCER, OUTCOMES, Figure
from mim.evaluate.measured import Measured
from mim.evaluate.reader_agreement import agreement_figures
from mim.evaluate.reader_figures import (
    OWN_CALLS,
    SENSITIVITY,
    SPECIFICITY,
    Read,
    Verdict,
    measure_readers,
)
from mim.evaluate.readers import (
    CONSENSUS,
    FIRST,
    LEAST_CANCERS_READ,
    RECALL,
    SECOND,
    WHOLE_PROGRAMME,
    Calls,
    single_readers,
)
from mim.evaluate.sections import Cell, Headline, Section, Table, in_words
from mim.evaluate.settings import EvaluateSettings
from mim.vocab import Task

FAR = 0.001
"""How much more specific than a reader a model must be, for want of a finer score, to be told."""

WORDS = (
    "A model is set to the reader's specificity: to the lowest score from which it selects no more "
    "exams without cancer than the reader called positive. Its sensitivity less the reader's is the "
    "comparison; beside it stands the specificity at equal sensitivity. Both are of the exams that "
    "the reader called and whose outcome is known; the threshold is found anew in each resample.",
    "Beware of screen-detected cancers: they are those that the programme recalled. Recall, consensus "
    "and either reading find them all by definition, and recall finds next to no interval cancer, for "
    "those are the ones that it missed. A cancer that only a model selects cannot become a "
    "screen-detected one. So against recall a model can only lose on screen-detected cancers and only "
    "win on interval cancers. Compare on any cancer; even there the readers are favoured, since a "
    "cancer that they passed over and that shows itself after the follow-up counts for nobody. A "
    "first or second reading is favoured less, by its own recalls alone.",
    "Readers may have had earlier images and other knowledge that a model had not; a model's "
    "threshold was found on these very exams.",
    "The p-value is that of the difference over the standard deviation of its resamples. Wilson's "
    "intervals, Tango's and McNemar's test take the threshold as given, so with few exams without "
    "cancer they are too sure: they stand beside it, uncorrected. The latter two stand only where no "
    "woman has two of the cancers; McNemar's is exact where fewer than 25 are found by one alone. Of a "
    "specificity at equal sensitivity there is no formula: what is unsure there are the cancers. The "
    "interval by bootstrap over women is the one to trust.",
)

ALONE = (
    "Single readers are not shown. With single_readers=true each who has read "
    f"{LEAST_CANCERS_READ} cancers is measured by herself, and the page and its files tell who finds "
    "what."
)
NAMED = (
    "Single readers are shown: this page and its files tell who finds what, and are not to be passed "
    "on without the readers' consent."
)


def reader_section(measured: Measured, settings: EvaluateSettings) -> Section | None:
    """Readers and the programme against every model; None where nothing is known of either."""
    alone = single_readers(measured.sample) if settings.single_readers else ()
    callers = [*measured.calls, *alone]
    if not callers:
        return None
    reads = measure_readers(measured, callers, settings)
    figures = corrected([figure for read in reads for figure in read.figures])
    apart = [f for f in figures if f.name.endswith("_difference")]
    agreed = agreement_figures(measured, callers, settings.bootstrap())
    verdicts = [verdict for read in reads for verdict in read.verdicts]
    models = measured.sample.models
    return Section(
        Task.CANCER,
        "Readers and models",
        words=[
            *WORDS,
            NAMED if settings.single_readers else ALONE,
            *_prevalence_words(settings),
            *_call_words(callers),
            *_tie_words(reads),
            multiplicity_words(apart),
            _verdict_words(verdicts),
        ],
        headlines=_headlines(apart, models, callers),
        figures=[*figures, *agreed],
        tables=[
            *_own_tables(reads, figures),
            *(_specificity_table(reads, figures, model) for model in models),
            *(_verdict_table(verdicts, figures, model) for model in models),
            *(_sensitivity_table(reads, figures, model) for model in models),
            *([_agreement_table(agreed)] if agreed else ()),
        ],
        facts={"readers": _facts(reads, verdicts)},
        anchor="readers",
        summary=[
            f"{verdict.model}, at the specificity of {verdict.reader}: sensitivity for any cancer "
            f"differs by {in_words(verdict.estimate, 100, 1)} points; that it is not inferior by "
            f"{100 * verdict.margin:g} points is {'' if verdict.shown else 'not '}shown."
            for verdict in verdicts
            if verdict.reader in (FIRST, SECOND)
        ],
    )


def _headlines(
    apart: Sequence[Figure], models: Sequence[str], callers: Sequence[Calls]
) -> list[Headline]:
    """Each model against the first caller who has called an exam negative, on any cancer."""
    first = next((calls.name for calls in callers if calls.rate < 1), None)
    if first is None:
        return []
    names = {less(model, first): model for model in models}
    return [
        Headline(
            f"Sensitivity of {names[str(f.model)]} less that of {first}, points, at its specificity",
            "exams",
            Cell(f.estimate, 100, 1),
        )
        for f in apart
        if f.name == f"{SENSITIVITY}_difference"
        and f.outcome == ANY_CANCER
        and str(f.model) in names
    ]


def _prevalence_words(settings: EvaluateSettings) -> list[str]:
    if settings.prevalence.screen_detected_per_1000 is None:
        return []
    return [
        "Sensitivities for any cancer, and the point of equal sensitivity, count screen-detected and "
        "interval cancers as often as the programme sees them; no closed form knows of that. Kappas "
        "count every exam once."
    ]


def _call_words(callers: Sequence[Calls]) -> list[str]:
    """Decisions that are written down only where they are positive."""
    names = [c.name for c in callers if c.name in (CONSENSUS, RECALL) and c.rate == 1]
    return [
        f"Every exam of which {name} is known is positive, so its specificity means nothing: write "
        "false where an exam was not taken there."
        for name in names
    ]


def _tie_words(reads: Sequence[Read]) -> list[str]:
    """Models whose equal scores keep them from a reader's specificity."""
    far: dict[str, list[str]] = {}
    for read in reads:
        for model, point in read.points.items():
            if point.surplus > FAR:
                far.setdefault(model, []).append(f"{read.calls.name} ({100 * point.surplus:.1f})")
    return [
        f"{model} gives so many exams one score that it can only be more specific, which costs it "
        f"sensitivity; by points, than: {', '.join(names)}."
        for model, names in far.items()
    ]


def _verdict_words(verdicts: Sequence[Verdict]) -> str:
    margin = 100 * verdicts[0].margin
    shown = sum(verdict.shown for verdict in verdicts)
    return (
        f"A model is called not inferior where the lower end of the bootstrap's 95 % interval of its "
        f"sensitivity for any cancer less the reader's lies above -{margin:g} points: {shown} of "
        f"{len(verdicts)} are, none of them corrected for looking {len(verdicts)} times. Tango's "
        "p-value is one-sided, to be held against 0.025, and decides nothing."
    )


def _facts(reads: Sequence[Read], verdicts: Sequence[Verdict]) -> dict[str, object]:
    return {
        "equal_specificity": [
            {
                "reader": read.calls.name,
                "model": model,
                "threshold": None if np.isnan(point.threshold) else point.threshold,
                "surplus": None if np.isnan(point.surplus) else point.surplus,
            }
            for read in reads
            for model, point in read.points.items()
        ],
        "non_inferiority": [asdict(verdict) for verdict in verdicts],
    }


def _found(
    figures: Sequence[Figure],
) -> dict[tuple[str, str | None, str | None, str | None], Figure]:
    return {(f.name, f.outcome, f.model, f.rule): f for f in figures}


def _outcomes(figures: Sequence[Figure]) -> list[str]:
    there = {f.outcome for f in figures if f.name == SENSITIVITY}
    return [outcome for outcome in OUTCOMES if outcome in there]


def _capital(name: str) -> str:
    """A name at the start of a row; a reader's own letters stay as they are."""
    return name[:1].upper() + name[1:]


def _cell(figure: Figure | None) -> str | Cell:
    return "-" if figure is None else Cell(figure.estimate, 100, 1)


def _own_tables(reads: Sequence[Read], figures: Sequence[Figure]) -> list[Table]:
    """What the programme's calls find, and each reader's."""
    found, outcomes = _found(figures), _outcomes(figures)
    tables = []
    for about, programme in (
        ("Readings and decisions of the programme", True),
        ("Single readers, on the exams that each has read", False),
    ):
        rows: list[tuple[str | Cell, ...]] = []
        for read in reads:
            name = read.calls.name
            if (name in WHOLE_PROGRAMME) == programme:
                known, positive = read.calls.known.sum(), read.calls.positive.sum()
                sensitivities = [found.get((SENSITIVITY, o, name, OWN_CALLS)) for o in outcomes]
                specificity = found[SPECIFICITY, ANY_CANCER, name, OWN_CALLS]
                cells = [_cell(figure) for figure in (specificity, *sensitivities)]
                rows.append((_capital(name), f"{positive:,} of {known:,}", *cells))
        if rows:
            heads = ("", "Exams called positive", "Specificity", *map(str.capitalize, outcomes))
            tables.append(
                Table(
                    f"{about}: specificity, and sensitivity for kinds of cancer, in % with 95 % "
                    "interval.",
                    heads,
                    rows,
                )
            )
    return tables


def _specificity_table(reads: Sequence[Read], figures: Sequence[Figure], model: str) -> Table:
    """A model's sensitivities at each reader's specificity, and the differences."""
    found, outcomes = _found(figures), _outcomes(figures)
    rows: list[tuple[str | Cell, ...]] = []
    for read in reads:
        name, point = read.calls.name, read.points[model]
        rule = f"specificity of {name}"
        apart = f"{SENSITIVITY}_difference"
        cells = [
            _cell(found.get((kind, outcome, whose, rule)))
            for outcome in outcomes
            for kind, whose in ((SENSITIVITY, model), (apart, less(model, name)))
        ]
        rows.append((_capital(name), value_words(point.specificity, 100, 1), *cells))
    heads = [head for o in outcomes for head in (o.capitalize(), "Less the reader's")]
    return Table(
        f"{model} at each reader's specificity: its own specificity, its sensitivity for kinds of "
        "cancer, and that less the reader's, in % with 95 % interval.",
        ("At the specificity of", "Specificity", *heads),
        rows,
    )


def _verdict_table(verdicts: Sequence[Verdict], figures: Sequence[Figure], model: str) -> Table:
    """Whether one model's sensitivity differs from readers', and whether it is not inferior."""
    found = _found(figures)
    rows: list[tuple[str | Cell, ...]] = []
    for verdict in verdicts:
        if verdict.model == model:
            name = f"{SENSITIVITY}_difference"
            key = (less(model, verdict.reader), f"specificity of {verdict.reader}")
            figure = found[name, ANY_CANCER, *key]
            rows.append(
                (
                    _capital(verdict.reader),
                    Cell(verdict.estimate, 100, 1),
                    p_words(figure.p_value),
                    p_words(figure.p_adjusted),
                    "yes" if verdict.shown else "not shown",
                    closed_words(figure.closed, 100, 1),
                    p_words(verdict.tango_p),
                    p_words(verdict.mcnemar_p),
                )
            )
    return Table(
        f"Sensitivity of {model} for any cancer less each reader's, at her specificity, in points.",
        (
            *("Less", "Difference", "p", "p, corrected", "Not inferior"),
            *("By Tango", "Tango's p", "McNemar's p"),
        ),
        rows,
    )


def _sensitivity_table(reads: Sequence[Read], figures: Sequence[Figure], model: str) -> Table:
    """A model's specificity at each reader's sensitivity for any cancer."""
    found = _found(figures)
    rows: list[tuple[str | Cell, ...]] = []
    for read in reads:
        name = read.calls.name
        rule = f"sensitivity of {name}"
        mine = found[SPECIFICITY, ANY_CANCER, model, rule]
        apart = found[f"{SPECIFICITY}_difference", ANY_CANCER, less(model, name), rule]
        rows.append((_capital(name), _cell(mine), _cell(apart)))
    return Table(
        f"{model} at each reader's sensitivity for any cancer: its specificity, and that less the "
        "reader's, in % with 95 % interval.",
        ("At the sensitivity of", "Specificity", "Less the reader's"),
        rows,
    )


def _agreement_table(agreed: Sequence[Figure]) -> Table:
    names = {"kappa": "called positive", "kappa_linear": "scores, linear weights"}
    return Table(
        "Agreement beyond chance: kappa of first and second reading by their scores, and of positive "
        "calls, a model selecting as many exams as the reader calls positive.",
        ("Who", "Of what", "Kappa"),
        [
            (str(f.model), names.get(f.name, "scores, quadratic weights"), Cell(f.estimate))
            for f in agreed
        ],
    )
