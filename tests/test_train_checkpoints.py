"""Which epoch is kept, when a run ends, and the average of weights."""

from math import nan

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from mim.errors import InputError
from mim.train.checkpoints import Average, Checkpoints

STEPS = 4
"""Of an epoch."""


class Planted(pl.LightningModule):
    """One weight, which moves by a planted amount each step; a planted metric each epoch."""

    def __init__(self, metrics: list[float]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
        self.metrics = metrics
        self.stops_at: int | None = None
        self.validated: list[float] = []
        self.path: list[float] = []

    def training_step(self, batch, _):
        if self.global_step == self.stops_at:
            raise KeyboardInterrupt
        return -(self.weight * (1 + self.global_step) ** 2).sum()

    def on_train_batch_end(self, *_):
        self.path.append(self.weight.item())

    def validation_step(self, *_):
        self.validated.append(self.weight.item())

    def on_validation_epoch_end(self):
        self.log("figure", self.metrics[self.current_epoch])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)


def trained(module: Planted, folder, *callbacks, ckpt_path=None, **settings) -> pl.Trainer:
    defaults = {"metric": "figure", "lower_is_better": False, "patience": 0, "every": 0}
    keeper = Checkpoints(folder, **defaults | settings)
    trainer = pl.Trainer(
        max_epochs=len(module.metrics),
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[*callbacks, keeper],
    )
    data = DataLoader(range(STEPS))
    trainer.fit(module, data, DataLoader(range(1)), ckpt_path=ckpt_path, weights_only=True)
    return trainer


def kept(folder, name: str = "best") -> dict:
    return torch.load(folder / f"{name}.ckpt", weights_only=True)


@pytest.mark.parametrize(
    ("metrics", "lower", "best"),
    [
        ([0.5, 0.7, 0.6], False, 1),
        ([0.5, 0.3, 0.6], True, 1),
        ([1.0, 0.9, 1.0], False, 2),
        ([nan, nan, nan], False, 2),
        ([0.2, nan, 0.1], False, 0),
    ],
    ids=["highest", "lowest", "later of equals", "none has a figure", "no figure is worst"],
)
def test_the_best_epoch_is_kept(metrics, lower, best, tmp_path):
    trained(Planted(metrics), tmp_path, lower_is_better=lower)
    assert kept(tmp_path)["epoch"] == best
    assert kept(tmp_path, "last")["epoch"] == 2
    assert {path.name for path in tmp_path.iterdir()} == {"best.ckpt", "last.ckpt"}


def test_the_last_epoch_is_kept_where_no_figure_chooses(tmp_path):
    ended = trained(Planted([0.9, 0.5, 0.1]), tmp_path, metric=None, patience=1)
    assert ended.current_epoch == 3
    assert kept(tmp_path)["epoch"] == 2


def test_epochs_without_a_figure_do_not_end_a_run(tmp_path, capsys):
    assert trained(Planted([nan] * 4), tmp_path, patience=1).current_epoch == 4
    assert "stopped" not in capsys.readouterr().out
    trained(Planted([0.5, nan, 0.4, 0.3]), tmp_path, patience=2)
    assert "stopped: figure got no better for 2 epochs" in capsys.readouterr().out


def test_a_run_without_a_figure_says_what_it_kept(tmp_path, capsys):
    trained(Planted([nan, nan]), tmp_path / "none")
    assert "no epoch has a figure of figure: best.ckpt is the last epoch" in capsys.readouterr().out
    trained(Planted([nan, 0.1]), tmp_path / "one")
    assert "no epoch" not in capsys.readouterr().out


@pytest.mark.parametrize("every", [0, 1])
def test_weights_that_are_no_numbers_end_a_run_and_are_not_kept(every, tmp_path):
    class Breaks(Planted):
        def training_step(self, batch, step):
            loss = super().training_step(batch, step)
            return loss * nan if self.global_step > STEPS else loss

    with pytest.raises(InputError, match="epoch 2: weights are no numbers any more"):
        trained(Breaks([0.1, 0.2, 0.3]), tmp_path, every=every)
    assert kept(tmp_path, "last")["global_step"] == STEPS + every
    assert kept(tmp_path, "last")["state_dict"]["weight"].isfinite().all()


def test_statistics_that_are_no_numbers_end_a_run(tmp_path):
    class Overflows(Planted):
        def __init__(self, metrics):
            super().__init__(metrics)
            self.register_buffer("variance", torch.ones(1))

        def on_train_epoch_start(self):
            self.variance /= 1 - self.current_epoch

    with pytest.raises(InputError, match="epoch 2: weights are no numbers any more"):
        trained(Overflows([0.1, 0.2]), tmp_path)


def test_a_run_ends_when_it_gets_no_better_and_stays_ended(tmp_path):
    metrics = [0.5, 0.7, 0.6, 0.7, 0.9, 0.9]
    assert trained(Planted(metrics), tmp_path, patience=2).current_epoch == 4
    again = Planted(metrics)
    trained(again, tmp_path, patience=2, ckpt_path=tmp_path / "last.ckpt")
    assert not again.validated, "equal is no better, and the count outlives the process"


def test_an_average_is_validated_and_kept(tmp_path):
    module = Planted([0.1, 0.2])
    trained(module, tmp_path, Average(0.3))
    average, after_epochs = None, []
    for step, weight in enumerate(module.path):
        slow = min(0.3, (1 + step) / (10 + step))
        average = weight if average is None else slow * average + (1 - slow) * weight
        if (step + 1) % STEPS == 0:
            after_epochs.append(average)
    assert module.validated == pytest.approx(after_epochs, rel=1e-12)
    assert kept(tmp_path)["state_dict"]["weight"].item() == pytest.approx(average, rel=1e-12)


@pytest.mark.parametrize("every", [0, 1, 3])
def test_a_run_stopped_within_an_epoch_goes_on_to_the_same_average(every, tmp_path):
    whole, part = tmp_path / "whole", tmp_path / "part"
    trained(Planted([0.1, 0.2, 0.3]), whole, Average(0.9))
    stopped = Planted([0.1, 0.2, 0.3])
    stopped.stops_at = 7
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        trained(stopped, part, Average(0.9), every=every)
    done = {0: STEPS, 1: 7, 3: 6}[every]
    assert kept(part, "last")["global_step"] == done
    goes_on = Planted([0.1, 0.2, 0.3])
    trained(goes_on, part, Average(0.9), every=every, ckpt_path=part / "last.ckpt")
    assert len(goes_on.path) == 3 * STEPS - done, "no step is done twice"
    assert kept(part, "last")["state_dict"] == kept(whole, "last")["state_dict"]
    assert kept(part, "last")["current_model_state"] == kept(whole, "last")["current_model_state"]
