"""What each check of an audit looks for, how much it matters, and what to do about it."""

from typing import NamedTuple

from mim.vocab import Severity


class Meaning(NamedTuple):
    """Severity of a check, what its finding means, and the remedy."""

    severity: Severity
    what: str
    remedy: str


def _problem(what: str, remedy: str) -> Meaning:
    return Meaning(Severity.PROBLEM, what, remedy)


def _warning(what: str, remedy: str) -> Meaning:
    return Meaning(Severity.WARNING, what, remedy)


AGAIN = (
    "Make the cohort again with 'mim cohort'; if it comes again, it is a fault of mim: report it."
)
ONE_PICTURE = (
    "Compare the pictures and the index: leave one of the two exams out, or settle whose it is."
)
ONE_NAME = (
    "Ask the sender whether two names are one woman, and give her one woman_id in the registry."
)

MEANINGS = {
    "woman in two splits": _problem(
        "A woman learnt from is scored too, so results are better than they would be in others.",
        "Give her one split: with splits.from_registry correct the column given_split, else make "
        "the cohort again.",
    ),
    "woman in two folds": _problem(
        "Folds overlap, so none of their tests is of unseen women.", AGAIN
    ),
    "exam twice": _problem("An exam has several rows and counts several times.", AGAIN),
    "view twice": _problem("An exam has two images of one view of one breast.", AGAIN),
    "image in two splits": _problem("An image that is learnt from is scored too.", AGAIN),
    "image of two women": _problem("One image stands under two women; one label is wrong.", AGAIN),
    "image in two exams": _problem("One image stands in two exams of a woman.", AGAIN),
    "image twice": _problem("An image has two rows in its exam.", AGAIN),
    "equal pixels in two splits": _problem(
        "Two images agree in every pixel and lie in different splits: what is learnt is scored.",
        ONE_NAME,
    ),
    "equal pixels of two women": _warning(
        "Two images of different women agree in every pixel: one woman under two names, or a mix-up.",
        ONE_NAME,
    ),
    "equal pixels in two exams": _warning(
        "Two exams of a woman hold the same picture: a copy of the prior sent as a new exam?",
        ONE_PICTURE,
    ),
    "equal pixels in one exam": _warning(
        "Two views of an exam are the same picture: one has a wrong side or view.",
        "Correct side or view with an override of the index.",
    ),
    "near-duplicates in two splits": _problem(
        "Two images are the same picture but for its processing and lie in different splits: what "
        "is learnt is scored.",
        ONE_NAME,
    ),
    "near-duplicates of two women": _warning(
        "Two images of different women are the same picture but for its processing: one woman "
        "under two names, or a mix-up.",
        ONE_NAME,
    ),
    "near-duplicates in two exams": _warning(
        "Two exams of a woman hold the same picture, processed differently: a copy of the prior?",
        ONE_PICTURE,
    ),
    "prior lists of unequal length": _problem(
        "The lists of priors, months and makers of an exam do not belong together.", AGAIN
    ),
    "prior is the exam itself": _problem("An exam is compared with itself.", AGAIN),
    "prior not in the cohort": _problem("A prior has no row, so no images and no split.", AGAIN),
    "prior of another woman": _problem("A woman is compared with another.", AGAIN),
    "prior not earlier": _problem(
        "A prior is from the exam's day or later, or a date is missing: the model would see what "
        "came after.",
        AGAIN,
    ),
    "prior too near": _problem(
        "A prior is nearer than priors.least_gap_months to the exam, or to the next newer prior.",
        AGAIN,
    ),
    "priors not newest first": _problem(
        "Priors are not in the order of their dates, or one stands twice.", AGAIN
    ),
    "months to prior wrong": _problem(
        "The months between exam and prior are not those between their dates.", AGAIN
    ),
    "maker of prior wrong": _problem("A prior's maker is not that of its exam.", AGAIN),
    "too many priors": _problem("An exam has more priors than priors.most.", AGAIN),
    "prior after a diagnosis": _problem(
        "A prior was taken after a cancer of the woman was known.", AGAIN
    ),
    "no dates to find priors by": _warning(
        "The exams' dates are all equal or missing, as in collections that removed them, so no "
        "exam can have a prior.",
        "Do not read anything into results about priors; there are none.",
    ),
    "label against outcome": _problem(
        "Whether a breast counts as cancer contradicts what became of it.",
        "Make the cohort again; where the registry's table outcomes gives it, correct it there.",
    ),
    "negative years": _problem(
        "A breast has its cancer or the end of its follow-up before the exam.",
        "Look up the dates in the registry: one of them is wrong.",
    ),
    "exam after a diagnosis": _problem(
        "An exam is later than a cancer of the woman that an earlier exam knows of; it shows a "
        "treated breast.",
        "Look up the date of the diagnosis in the registry, and make the cohort again.",
    ),
    "cancer counted by two exams": _warning(
        "Several exams of a woman count a screen-detected or interval cancer of one breast; one "
        "cancer counts more than once.",
        "See whether one of them is an assessment after recall rather than a screening exam, and "
        "take it out of the registry's exams.",
    ),
    "maker with only cancers or none": _problem(
        "All exams of a maker have a cancer, or none has, where others have both: the maker gives "
        "the answer away.",
        "Leave the maker out, or add exams that it lacks.",
    ),
    "site with only cancers or none": _problem(
        "All exams of a site have a cancer, or none has, where others have both: the site gives "
        "the answer away.",
        "Leave the site out, or add exams that it lacks.",
    ),
    "maker's share of cancers differs": _warning(
        "Cancers are more or less frequent with one maker than with the others, beyond chance: a "
        "model may learn the maker.",
        "Report results by maker; sample exams so that makers have equal shares.",
    ),
    "site's share of cancers differs": _warning(
        "Cancers are more or less frequent at one site than at the others, beyond chance: a model "
        "may learn the site.",
        "Ask whether the site sends other women, or other exams, than the others do.",
    ),
    "split without cancers or without others": _problem(
        "A split has no exam with cancer, or none without: nothing can be learnt or measured on it.",
        "Take more women, or other shares in splits.",
    ),
    "split not as asked for": _warning(
        "A split holds more or fewer women of a kind than its share, beyond chance.",
        "Try another splits.salt, or let splits.best_of choose one, before anything is trained.",
    ),
    "shortcut": _warning(
        "Something that is not in the breast predicts cancer in women not learnt from: a model may "
        "learn it in place of the breast.",
        "Find out why; sample exams so that it no longer does, and report results within its groups.",
    ),
    "attrition does not add up": _problem(
        "Images or exams were lost, or came from nowhere, without a reason.",
        "Run 'mim index' and 'mim cohort' again; if it comes again, it is a fault of mim: report it.",
    ),
    "exam without images": _problem("An exam of the cohort has no image.", AGAIN),
    "image of no exam": _problem("An image belongs to an exam that has no row.", AGAIN),
}
