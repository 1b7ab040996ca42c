"""The model as ONNX, and how far ONNX Runtime is from PyTorch."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

from mim.deploy.bundle import Inputs
from mim.model.exam import ExamModel, ExamScorer

OPSET = 20
"""At 23 ONNX Runtime's Attention operator refuses some masks."""

INPUTS = ("images", "present", "months")


def write_onnx(model: ExamModel, example: Inputs, path: Path, metadata: dict[str, str]) -> None:
    """Write the scoring model with a dynamic number of exams and of times.

    ``example`` must hold more than one exam and more than one time, or the exporter freezes them
    without a word.
    """
    exams, times = example["present"].shape[:2]
    if exams < 2 or times < 2 or exams == times:
        raise ValueError(f"an example of {exams} exams and {times} times would freeze the axes")
    dynamic = {0: "exam", 1: "time"}
    scorer = ExamScorer(model).eval()
    program = torch.onnx.export(
        scorer,
        _tensors(example),
        dynamo=True,
        opset_version=OPSET,
        external_data=False,
        input_names=INPUTS,
        output_names=scorer.names,
        dynamic_shapes={name: dynamic for name in INPUTS},
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    for node in program.model.graph.all_nodes():
        # The exporter notes where each comes from: lines of source, with this machine's folders.
        node.metadata_props.clear()
    proto = program.model_proto
    onnx.helper.set_model_props(proto, metadata)
    onnx.checker.check_model(proto)
    path.write_bytes(proto.SerializeToString())


def run_torch(model: ExamModel, inputs: Inputs) -> dict[str, NDArray[np.float32]]:
    """Every score by PyTorch, by its name."""
    scorer = ExamScorer(model).eval()
    with torch.inference_mode():
        scores = scorer(*_tensors(inputs))
    return {name: score.numpy() for name, score in zip(scorer.names, scores, strict=True)}


def largest_differences(model: ExamModel, path: Path, cases: list[Inputs]) -> dict[str, float]:
    """Largest difference of each score between PyTorch and ONNX Runtime over the cases.

    Infinite where one of them is no number.
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    worst: dict[str, float] = {}
    for case in cases:
        ours = run_torch(model, case)
        theirs = session.run(list(ours), case)
        for (name, one), other in zip(ours.items(), theirs, strict=True):
            worst[name] = max(worst.get(name, 0.0), _difference(one, other))
    return worst


def _difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    difference = np.abs(one - other)
    return float(difference.max()) if np.isfinite(difference).all() else np.inf


def _tensors(inputs: Inputs) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(inputs[name]) for name in INPUTS)
