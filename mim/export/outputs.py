"""What the outputs of an exported model are: what ``bundle.json`` says of each."""

from dataclasses import asdict, dataclass

from mim.model.exam import SCORE_NAMES
from mim.model.settings import TaskSettings
from mim.schemas.learnt import Learnt
from mim.vocab import BREASTS, VIEW_SLOTS, Criterion, Density, Landmark

PROBABILITY = "probability, 0 to 1"
CALIBRATION = (
    "none: scores and probabilities are what the network says; compared, they rank; where scale is "
    "not null, it turns exam scores into tenths of a population and into probabilities"
)
"""What ``bundle.json`` says of all outputs."""


@dataclass(frozen=True)
class Output:
    """One output: its axes, what its numbers mean, and the largest that is possible.

    Differences between PyTorch and ONNX Runtime are held against the last.
    """

    shape: tuple[str, ...]
    meaning: str
    unit: str
    highest: float = 1.0


OUTPUTS = {
    "breast_score": Output(
        ("exam", "breast"),
        "higher: more likely that the breast has a cancer found at this screening exam or before "
        "the next one is due (screen-detected or interval); 0 for a breast without a view",
        "score, 0 to 1",
    ),
    "exam_score": Output(("exam",), "the higher of the two breasts' scores", "score, 0 to 1"),
    "breast_risk": Output(
        ("exam", "breast", "year"),
        "that a cancer is found in the breast within 1, 2, ... years of the exam, cancers found at "
        "it among them; never falling; 0 for a breast without a view",
        PROBABILITY,
    ),
    "woman_risk": Output(
        ("exam", "year"),
        "that a cancer is found in either breast within as many years",
        PROBABILITY,
    ),
    "breast_density": Output(
        ("exam", "breast", "density"),
        "of each BI-RADS density; they add up to 1, or are 0 for a breast without a view",
        PROBABILITY,
    ),
    "breast_percent": Output(
        ("exam", "breast"),
        "percent density; 0 for a breast without a view",
        "percent, 0 to 100",
        100.0,
    ),
    "landmarks": Output(
        ("exam", "view", "landmark", "xy"),
        "column and row as shares of the input's width and height, from the upper left corner; "
        "those of the pectoral line on MLO only; 0 where the view is absent",
        "share, 0 to 1",
    ),
    "landmarks_visible": Output(
        ("exam", "view", "landmark"), "that the landmark lies on the image", PROBABILITY
    ),
    "criteria": Output(
        ("exam", "view", "criterion"),
        "that it is true of the image; 0 where the view is absent",
        PROBABILITY,
    ),
}
"""Every output that a model can have, by its name."""


def describe_outputs(tasks: TaskSettings, learnt: Learnt) -> dict[str, dict[str, object]]:
    """What ``bundle.json`` says of the outputs of the tasks that are learnt, in their order.

    An output, a landmark or a criterion that no training exam had a label of is there, says
    nothing, and is marked as not learnt.
    """
    return {
        name: {"task": task.value, **asdict(OUTPUTS[name]), "learnt": learnt.get(name, True)}
        for task in tasks.learnt()
        for name in SCORE_NAMES[task]
    }


def describe_axes(tasks: TaskSettings) -> dict[str, list[str | int]]:
    """What lies at each place of the axes whose length is fixed."""
    axes: dict[str, list[str | int]] = {
        "view": [f"{side} {view}" for side, view in VIEW_SLOTS],
        "breast": [side.value for side in BREASTS],
    }
    if tasks.risk.learn:
        axes["year"] = list(range(1, tasks.risk.years + 1))
    if tasks.density.learn:
        axes["density"] = [letter.value for letter in Density]
    if tasks.quality.learn:
        axes["xy"] = ["column", "row"]
        axes["landmark"] = [name.value for name in Landmark]
        axes["criterion"] = [name.value for name in Criterion]
    return axes
