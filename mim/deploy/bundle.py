"""A bundle: the model, what it needs, and proof that it still does what it did.

``bundle.json`` says how images are prepared, what the outputs mean, where the thresholds lie and
what was learnt from; ``model.onnx`` is the model; ``golden.npz`` holds a case with its answers;
``weights.safetensors`` holds the weights, for training that goes on from here. Loading checks all
of it before the first exam is scored, the weights by their checksum alone.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from mim.cohort.settings import PriorSettings, StandInSettings
from mim.errors import InputError
from mim.image.alignment import align_prior
from mim.image.greys import GreyStandard, harmonise
from mim.image.phantom import phantom
from mim.image.recipe import fingerprint, prepare_stored
from mim.image.settings import RecipeSettings
from mim.schemas.learnt import hide_unlearnt
from mim.schemas.monitored import MonitorReference
from mim.schemas.score_scale import ScoreScale
from mim.schemas.table import read_json
from mim.vocab import Laterality, Task, View

FORMAT = 5
"""Version of the bundle's layout."""

LISTED = ("model.onnx", "golden.npz", "weights.safetensors")
"""Files of which ``bundle.json`` holds a checksum."""

TOLERANCE = 1e-4
"""Largest difference between PyTorch and ONNX, and from the golden case, as a share of the highest
value that an output can have."""

PIXEL_TOLERANCE = 16
"""Largest mean difference of prepared pixels, of 65535: rounding of another OpenCV build."""

MOVED_TOLERANCE = 128
"""The same of pixels that were moved onto others, where a hundredth of a pixel counts."""

Inputs = dict[str, NDArray[Any]]
Outputs = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Bundle:
    """A verified model.

    ``tasks`` are those it has learnt; ``align_priors`` says that a prior's image is moved onto the
    exam's; ``greys`` is the standard onto which grey levels are mapped; ``thresholds`` are exam scores by selection rate, none without the cancer task;
    ``about`` is all of ``bundle.json``; ``scale`` reads exam scores, with thresholds for makers and
    software versions, where there were validation exams to fit it on; ``reference`` is what these
    were like, for ``mim monitor``.
    """

    recipe: RecipeSettings
    priors: PriorSettings
    stand_ins: StandInSettings
    align_priors: bool
    tasks: tuple[Task, ...]
    thresholds: dict[float, float]
    about: dict[str, Any]
    session: onnxruntime.InferenceSession
    scale: ScoreScale | None = None
    greys: GreyStandard = field(default_factory=GreyStandard)
    reference: MonitorReference | None = None

    def score(self, inputs: Inputs) -> Outputs:
        """Every output by its name, as ``about["outputs"]`` describes it; NaN where not learnt.

        ``inputs`` holds ``images`` uint16 [exam, time, view, 1, height, width], ``present`` bool
        [exam, time, view] and ``months`` float32 [exam, time]; at least one view is present.
        """
        described = self.about["outputs"]
        learnt = {name: output["learnt"] for name, output in described.items()}
        return hide_unlearnt(self.run(inputs), learnt)

    def run(self, inputs: Inputs) -> Outputs:
        """As ``score``, with what the network says where nobody taught it."""
        names = list(self.about["outputs"])
        return dict(zip(names, self.session.run(names, inputs), strict=True))


def load_bundle(folder: Path) -> Bundle:
    """Load a bundle and prove it.

    Raises:
        InputError: a file is missing or changed, the bundle is of another format, the recipe is not
            the one the model was trained with, or the golden case gives other scores.
    """
    about = read_json(folder / "bundle.json")
    if about.get("format") != FORMAT:
        raise InputError(
            f"{folder}: bundle format {about.get('format')}, this mim reads {FORMAT}; export the "
            "run again, or install the mim that wrote it"
        )
    if about.get("checksum") != card_checksum(about):
        raise InputError(f"{folder / 'bundle.json'}: changed since export; export the bundle again")
    for name, checksum in about["files"].items():
        if not (folder / name).is_file():
            raise InputError(f"{folder / name}: no such file; export the bundle again")
        if file_checksum(folder / name) != checksum:
            raise InputError(f"{folder / name}: changed since export; export the bundle again")
    recipe = RecipeSettings(**about["recipe"])
    if fingerprint(recipe) != about["fingerprint"]:
        raise InputError(
            f"{folder}: made with recipe {about['fingerprint']}, this mim prepares images by "
            f"{fingerprint(recipe)}; install mim {about['versions']['mim']} or export again"
        )
    session = onnxruntime.InferenceSession(
        folder / "model.onnx", providers=["CPUExecutionProvider"]
    )
    if session.get_modelmeta().custom_metadata_map.get("fingerprint") != about["fingerprint"]:
        raise InputError(f"{folder}: model.onnx belongs to another bundle; export it again")
    bundle = Bundle(
        recipe=recipe,
        priors=PriorSettings(**about["priors"]),
        stand_ins=StandInSettings(**about["stand_ins"]),
        align_priors=about["align_priors"],
        greys=GreyStandard.from_json(about["greys"], folder / "bundle.json"),
        tasks=tuple(Task(task) for task in about["tasks"]),
        thresholds={t["selection_rate"]: t["threshold"] for t in about["thresholds"]},
        about=about,
        session=session,
        scale=about["scale"] and ScoreScale.from_json(about["scale"]),
        reference=about["reference"] and MonitorReference.from_json(about["reference"]),
    )
    _prove(bundle, folder / "golden.npz")
    return bundle


def card_checksum(about: dict[str, Any]) -> str:
    """BLAKE2b of what ``bundle.json`` says beside this checksum, 128 bits, hexadecimal."""
    said = {name: value for name, value in about.items() if name != "checksum"}
    return hashlib.blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=16).hexdigest()


def file_checksum(path: Path) -> str:
    """BLAKE2b of a file's bytes, 128 bits, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def golden_inputs(recipe: RecipeSettings, times: int, exams: int = 2) -> Inputs:
    """A made-up case: blocks of grey, one exam with views missing, one without a prior."""
    random = np.random.default_rng(20)
    shape = (exams, times, 4)
    blocks = random.integers(0, 65536, (*shape, 1, 16, 8), dtype=np.uint16)
    tall, wide = -(-recipe.height // 16), -(-recipe.width // 8)
    images = blocks.repeat(tall, axis=-2).repeat(wide, axis=-1)
    present = np.ones(shape, bool)
    present[0, 0, 1:] = False
    present[1, 1:] = False
    months = np.zeros((exams, times), np.float32)
    months[:, 1:] = 24.0 * np.arange(1, times)
    images = images[..., : recipe.height, : recipe.width]
    images = np.where(present[..., None, None, None], images, np.uint16(0))
    return {"images": images, "present": present, "months": months * present.any(-1)}


def prepared_phantom(recipe: RecipeSettings, greys: GreyStandard) -> NDArray[np.uint16]:
    """The phantom by a recipe, on a standard's grey levels."""
    return harmonise(prepare_stored(phantom(), Laterality.RIGHT, View.CC, recipe).pixels, greys)


def moved_phantom(recipe: RecipeSettings, greys: GreyStandard) -> NDArray[np.uint16]:
    """The phantom, moved onto itself turned and shrunk; where priors are moved, this is checked."""
    still = prepared_phantom(recipe, greys)
    size = (recipe.width, recipe.height)
    turn = cv2.getRotationMatrix2D((0.0, recipe.height / 2), 5.0, 0.9)
    return align_prior(still, np.asarray(cv2.warpAffine(still, turn, size), np.uint16))


def _prove(bundle: Bundle, golden: Path) -> None:
    with np.load(golden, allow_pickle=False) as case:
        inputs = {name: case[name] for name in ("images", "present", "months")}
        for name, output in bundle.run(inputs).items():
            worst = (
                float(np.abs(output - case[name]).max()) / bundle.about["outputs"][name]["highest"]
            )
            if not worst <= TOLERANCE:
                raise InputError(
                    f"{golden}: the golden case scores {worst:.2g} off in {name}, more than "
                    f"{TOLERANCE}; this ONNX Runtime does not run the model as it was exported"
                )
        still = prepared_phantom(bundle.recipe, bundle.greys)
        _prove_pixels(golden, still, case["phantom"], PIXEL_TOLERANCE)
        if bundle.align_priors:
            moved = moved_phantom(bundle.recipe, bundle.greys)
            _prove_pixels(golden, moved, case["moved"], MOVED_TOLERANCE)


def _prove_pixels(
    golden: Path, found: NDArray[np.uint16], wanted: NDArray[np.uint16], tolerance: int
) -> None:
    off = float(np.abs(found - wanted.astype(np.float64)).mean())
    if not off <= tolerance:
        raise InputError(
            f"{golden}: the phantom is prepared {off:.0f} of 65535 off; this OpenCV prepares "
            "images otherwise than in training"
        )
