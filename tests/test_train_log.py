"""The log of a run: a table that goes on where the run goes on, and the same for TensorBoard."""

import csv
import socket

import cv2
import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mim.train.log import RunLog


def rows(run) -> list[dict[str, str]]:
    with (run / "log" / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_columns_may_come_later(tmp_path):
    log = RunLog(tmp_path, 0)
    log.log_metrics({"loss": 0.5, "epoch": 0}, 0)
    log.log_metrics({"auc": 0.7, "epoch": 0}, 9)
    log.log_metrics({"loss": 0.25, "epoch": 1}, 10)
    assert [row["step"] for row in rows(tmp_path)] == ["0", "9", "10"]
    assert [row["loss"] for row in rows(tmp_path)] == ["0.5", "", "0.25"]
    assert [row["auc"] for row in rows(tmp_path)] == ["", "0.7", ""]


def test_a_run_that_goes_on_drops_what_it_does_again(tmp_path):
    first = RunLog(tmp_path, 0)
    for step in range(6):
        first.log_metrics({"loss": 1.0}, step)
    second = RunLog(tmp_path, 4)
    for step in range(4, 8):
        second.log_metrics({"loss": 2.0}, step)
    found = [(int(row["step"]), float(row["loss"])) for row in rows(tmp_path)]
    assert found == [(step, 1.0 if step < 4 else 2.0) for step in range(8)]
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in board.Scalars("loss")] == found


def test_tensorboard_shows_pictures_and_no_machine(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (20, 30), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "inputs.png"), image)
    RunLog(tmp_path, 0).log_picture("inputs", tmp_path / "inputs.png", 3)
    (shown,) = EventAccumulator(str(tmp_path / "tensorboard")).Reload().Images("inputs")
    assert (shown.step, shown.width, shown.height) == (3, 30, 20)
    assert shown.encoded_image_string == (tmp_path / "inputs.png").read_bytes()
    (events,) = (tmp_path / "tensorboard").iterdir()
    for private in (socket.gethostname(), str(tmp_path)):
        assert private not in events.name
        assert private.encode() not in events.read_bytes()
