"""Weights that turn exams with too many cancers, or too few, into a programme's.

Collections are often enriched with cancers. AUC and sensitivity do not mind, but shares of exams,
predictive values and probabilities do. Every exam gets the weight of its kind: the programme's
rate of the kind over its share here (inverse probability of sampling, Horvitz and Thompson 1952,
doi 10.1080/01621459.1952.10483446). What is within a kind is taken to be as in the programme.
"""

import numpy as np
import numpy.typing as npt

from mim.errors import InputError
from mim.evaluate.bootstrap import Bools, Floats
from mim.evaluate.settings import PrevalenceSettings
from mim.vocab import Outcome

SCREENED, SYMPTOMATIC = "prevalence.screen_detected_per_1000", "prevalence.interval_per_1000"


def prevalence_weights(outcome: npt.NDArray[np.str_], settings: PrevalenceSettings) -> Floats:
    """The weight of each exam ``[row]``; they add up to the number of exams.

    Args:
        outcome: ``[row]``, values of ``Outcome``.
        settings: the programme's rates; without them every weight is 1.

    Raises:
        InputError: as ``kind_factors``.
    """
    weights = np.ones(len(outcome))
    for kind, factor in kind_factors(outcome, settings).items():
        if factor != 1:
            weights[outcome == kind] = factor
    return weights


def where_known(known: Bools, settings: PrevalenceSettings | None) -> PrevalenceSettings:
    """The programme's rates; none for exams of none of which ``[row]`` an outcome is known.

    These are taken as they come.
    """
    return settings if settings and known.any() else PrevalenceSettings()


def known_weights(
    outcome: npt.NDArray[np.str_], known: Bools, settings: PrevalenceSettings
) -> Floats:
    """The weight of each exam ``[row]`` where only those of known outcome count.

    These stand for the programme by themselves: weighed among all exams, those of unknown outcome
    would take weight from the ones free of cancer, and none from the cancers. The weights add up to
    the number of known ones.

    Args:
        outcome: ``[row]``, values of ``Outcome``.
        known: ``[row]``, whether it is known if there is a cancer; others weigh 0.
        settings: the programme's rates; without them every weight is 1.

    Raises:
        InputError: as ``kind_factors``, of the known exams.
    """
    weights = np.zeros(len(outcome))
    weights[known] = prevalence_weights(outcome[known], settings)
    return weights


def kind_factors(outcome: npt.NDArray[np.str_], settings: PrevalenceSettings) -> dict[str, float]:
    """The weight of an exam by its outcome, for every value of ``Outcome``.

    A cancer of unknown way of finding counts with the screen-detected ones; where no cancer's way
    is known, all of them stand for screen-detected and interval cancers together. Every other
    outcome, unknown ones among them, is free of cancer here: most of them are.

    Raises:
        InputError: one rate is given without the other, the rates are no rates, or the exams hold
            none of a kind that the programme has.
    """
    rates = _rates(settings)
    if rates is None or not len(outcome):
        return {kind.value: 1.0 for kind in Outcome}
    screen_detected, interval = rates
    is_interval = outcome == Outcome.INTERVAL.value
    is_screened = np.isin(outcome, [Outcome.SCREEN_DETECTED.value, Outcome.CANCER.value])
    if not np.isin(outcome, [Outcome.SCREEN_DETECTED.value, Outcome.INTERVAL.value]).any():
        screen_detected, interval = screen_detected + interval, 0.0
    screened = _factor(is_screened, screen_detected, "screen-detected cancer", SCREENED)
    symptomatic = _factor(is_interval, interval, "interval cancer", SYMPTOMATIC)
    free = _factor(
        ~is_screened & ~is_interval, 1 - screen_detected - interval, "exam without cancer", SCREENED
    )
    return {kind.value: free for kind in Outcome} | {
        Outcome.SCREEN_DETECTED.value: screened,
        Outcome.CANCER.value: screened,
        Outcome.INTERVAL.value: symptomatic,
    }


def _rates(settings: PrevalenceSettings) -> tuple[float, float] | None:
    """Shares of exams, 0 to 1; None where none are given."""
    per_1000 = settings.screen_detected_per_1000, settings.interval_per_1000
    if per_1000 == (None, None):
        return None
    for value, name, other in zip(
        per_1000, (SCREENED, SYMPTOMATIC), (SYMPTOMATIC, SCREENED), strict=True
    ):
        if value is None:
            raise InputError(f"{name}: must be given with {other}; give both or neither")
        if not 0 <= value < 1000:
            raise InputError(f"{name}: expected 0 to 1000, got {value}")
    screen_detected, interval = (float(value or 0) / 1000 for value in per_1000)
    if not 0 < screen_detected + interval < 1:
        raise InputError(
            f"{SCREENED}: with {SYMPTOMATIC} expected above 0 and below 1000; "
            "give cancers per 1,000 exams"
        )
    return screen_detected, interval


def _factor(rows: Bools, rate: float, kind: str, name: str) -> float:
    share = float(rows.mean())
    if share == 0 and rate > 0:
        raise InputError(
            f"{name}: these exams hold no {kind}, so none can stand for the programme's "
            f"{1000 * rate:g} per 1,000; leave out both rates, or add such exams"
        )
    return rate / share if share else 0.0
