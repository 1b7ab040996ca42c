"""Composition: every shipped file, the order of values, and one line for every mistake."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mim
import mim.config.compose
import mim.config.files
from mim.config.commands import COMMANDS, CohortCommand, DemoCommand, SynthCommand, TrainCommand
from mim.config.compose import compose, experiment_settings
from mim.config.files import CONFIGS, experiments, methods
from mim.config.keys import command_keys
from mim.errors import InputError
from mim.model.settings import Norm
from mim.train.settings import Accelerator, Precision, TrainSettings, WandbMode

HEAVY = [
    "albumentations",
    "cv2",
    "imagecodecs",
    "lightning",
    "matplotlib",
    "numpy",
    "onnx",
    "onnxruntime",
    "pandas",
    "polars",
    "pyarrow",
    "pydicom",
    "pytorch_lightning",
    "scipy",
    "sklearn",
    "timm",
    "torch",
    "torchvision",
    "wandb",
]

THERE = (
    "cancer, demo, density, finetune, leave_maker_out, leave_maker_out_demo, "
    "multitask, multitask_priors, quality, risk"
)


def needed(command: str) -> list[str]:
    """Overrides for the keys that must be given."""
    return [f"{name}={written(value)}" for name, value in given(command).items()]


def written(value: str | list[str]) -> str:
    return f"[{','.join(value)}]" if isinstance(value, list) else value


def given(command: str) -> dict[str, Any]:
    """A value for each key that must be given."""
    keys = [key for key in command_keys(COMMANDS[command]).values() if key.is_required]
    others = {"out": "written", "maker": "philips", "predictions": ["."]}
    folders = {key.name: others.get(key.name, ".") for key in keys}
    return folders | {key.name: key.choices[0] for key in keys if key.choices}


def mistake(command: str, *overrides: str) -> str:
    with pytest.raises(InputError) as refused:
        compose(command, [*needed(command), *overrides])
    return str(refused.value)


def test_there_is_a_file_for_each_command_and_nothing_else() -> None:
    shipped = {path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml")}
    named = {f"experiment/{name}.yaml" for name in experiments()}
    named |= {f"method/{name}.yaml" for name in methods()}
    assert shipped == {f"{command}.yaml" for command in COMMANDS} | named


@pytest.mark.parametrize("command", COMMANDS)
def test_command_composes_to_its_dataclass_defaults(command: str) -> None:
    assert compose(command, needed(command)) == COMMANDS[command](**given(command))


@pytest.mark.parametrize("name", experiments())
def test_experiment_composes(name: str) -> None:
    values = compose("train", [*needed("train"), f"experiment={name}"])
    assert isinstance(values, TrainCommand)
    assert values.experiment == name
    wanted = (values.data, values.tasks, values.model, values.train)
    assert experiment_settings(name) == wanted
    assert values.train != TrainSettings()


@pytest.mark.parametrize("experiment", ["demo", "cancer"])
@pytest.mark.parametrize("name", methods())
def test_method_composes_with_an_experiment(name: str, experiment: str) -> None:
    words = [f"method={name}", f"experiment={experiment}"]
    values = compose("train", [*needed("train"), *words])
    assert isinstance(values, TrainCommand)
    assert (values.method, values.experiment) == (name, experiment)
    assert compose("train", [*needed("train"), *reversed(words)]) == values
    alone = compose("train", [*needed("train"), words[1]])
    # The experiment cancer keeps an average as it is.
    changes_nothing = name == "default" or (name, experiment) == ("average", "cancer")
    assert (replace(values, method=None) == alone) == changes_nothing


@pytest.mark.slow
@pytest.mark.parametrize("experiment", experiments())
def test_all_methods_compose_with_all_experiments(experiment: str) -> None:
    for name in methods():
        compose("train", [*needed("train"), f"method={name}", f"experiment={experiment}"])


def test_method_wins_over_the_experiment_and_overrides_over_both() -> None:
    words = [*needed("train"), "method=group_norm", "experiment=cancer"]
    values = compose("train", words)
    assert isinstance(values, TrainCommand)
    assert values.model.encoder.norm is Norm.group, "the experiment's is frozen"
    values = compose("train", ["model.encoder.norm=keep", *words])
    assert isinstance(values, TrainCommand)
    assert values.model.encoder.norm is Norm.keep


def test_overrides_win_over_the_experiment_wherever_they_stand() -> None:
    for words in (
        ["train.epochs=77", "experiment=demo"],
        ["experiment=demo", "train.epochs=77"],
        ["+experiment=demo", "++train.epochs=77"],
        ["experiment=demo", "train={epochs: 77}"],
    ):
        values = compose("train", [*needed("train"), *words])
        assert isinstance(values, TrainCommand)
        assert values.train.epochs == 77
        assert values.train.accelerator is Accelerator.cpu


def test_values_get_their_types() -> None:
    values = compose(
        "train",
        [
            "cohort=.",
            "cache=.",
            "out='a folder, (1)=x'",
            "train.learning_rate=1",
            "train.precision=bfloat16",
            "train.wandb=off",
            "train.seed=${train.epochs}",
            "model.encoder.weights=null",
        ],
    )
    assert isinstance(values, TrainCommand)
    assert values.out == "a folder, (1)=x"
    assert values.train.learning_rate == 1.0
    assert isinstance(values.train.learning_rate, float)
    assert values.train.precision is Precision.bfloat16
    assert values.train.wandb is WandbMode.off
    assert values.train.seed == values.train.epochs
    assert values.model.encoder.weights is None


def test_flat_keys() -> None:
    synth = compose("synth", ["out=x", "women=12", "rounds=4", "seed=7"])
    assert isinstance(synth, SynthCommand)
    assert (synth.out, synth.women, synth.rounds, synth.seed) == ("x", 12, 4, 7)
    cohort = compose("cohort", [*needed("cohort"), "splits.test=0.5", "priors.most=3"])
    assert isinstance(cohort, CohortCommand)
    assert (cohort.splits.test, cohort.priors.most) == (0.5, 3)
    demo = compose("demo", [])
    assert isinstance(demo, DemoCommand)
    assert demo.out == "demo"


@pytest.mark.parametrize(
    ("command", "override", "message"),
    [
        # unknown keys
        ("train", "model.encodr=x", "model.encodr: no such key; did you mean model.encoder?"),
        ("train", "encoder=x", "encoder: no such key; did you mean model.encoder?"),
        ("train", "+model.encodr=x", "model.encodr: no such key; did you mean model.encoder?"),
        (
            "train",
            "model.fusion={widt: 3}",
            "model.fusion.widt: no such key; did you mean model.fusion.width?",
        ),
        ("train", "~model.encodr", "model.encodr: no such key; did you mean model.encoder?"),
        ("synth", "wmen=3", "wmen: no such key; did you mean women?"),
        ("synth", "qqq=3", "qqq: no such key; mim synth --help lists the keys"),
        ("synth", "hydra.verbose=3", "hydra.verbose: no such key; mim synth --help lists the keys"),
        ("synth", "schema=train", "schema: no such key; mim synth --help lists the keys"),
        ("train", "experiment@a=demo", "experiment@a: no such key; did you mean experiment?"),
        # wrong types
        ("synth", "women=abc", "women: expected whole number, got 'abc'"),
        ("synth", "women=1.5", "women: expected whole number, got 1.5"),
        ("synth", "women=true", "women: expected whole number, got True"),
        ("synth", "women=null", "women: expected whole number, got null"),
        ("synth", "women=[1,2]", "women: expected whole number, got [1, 2]"),
        ("synth", "women=", "women: expected whole number, got ''"),
        ("train", "model=x", "model: expected keys such as model.encoder, got 'x'"),
        ("train", "model.fusion={width: a}", "model.fusion.width: expected whole number, got 'a'"),
        # unknown choices
        (
            "train",
            "train.precision=bf16",
            "train.precision: expected one of float32, bfloat16, float16, got 'bf16'; "
            "did you mean bfloat16?",
        ),
        (
            "train",
            "experiment=dmo",
            f"experiment: no such experiment 'dmo'; there are {THERE}; did you mean demo?",
        ),
        (
            "train",
            "experiment=null",
            f"experiment: no such experiment null; there are {THERE}",
        ),
        (
            "train",
            "method=plane",
            f"method: no such method 'plane'; there are {', '.join(methods())}; "
            "did you mean plain?",
        ),
        # out of range, not there
        ("synth", "women=0", "women: expected 1 to 10000000, got 0"),
        ("index", "source=nowhere", "source: no such folder: nowhere"),
        ("index", "index.overrides=no.csv", "index.overrides: no such file: no.csv"),
        ("predict", "overrides=no.csv", "overrides: no such file: no.csv"),
        # grammar
        ("synth", "women", "women: expected key=value"),
        ("synth", "=3", "=3: expected key=value"),
        ("synth", "--women=3", "--women=3: keys take no dashes; write women=3"),
        ("synth", "~women", "women: cannot be taken away; leave it out for its default"),
        ("synth", "out=a (1)", "out: cannot read the value; quote it: \"out='a (1)'\""),
        ("synth", "out=a=b", "out: cannot read the value; quote it: \"out='a=b'\""),
        ("synth", "out=[a", "out: cannot read the value; quote it: \"out='[a'\""),
        (
            "synth",
            "women=1,2",
            "women: expected one value; quote a value with commas: \"women='1,2'\"",
        ),
        (
            "train",
            "train.seed=1,2",
            "train.seed: expected one value; quote a value with commas: \"train.seed='1,2'\", "
            "or go through all of them by 'mim train -m'",
        ),
        (
            "train",
            "train.seed=${train.epoch}",
            "train.seed: Interpolation key 'train.epoch' not found",
        ),
    ],
)
def test_mistake_is_one_line_naming_the_key(command: str, override: str, message: str) -> None:
    assert mistake(command, override) == message


@pytest.mark.parametrize("command", [name for name in COMMANDS if needed(name)])
def test_keys_that_must_be_given(command: str) -> None:
    places = {"key": "FILE", "dataset": "rsna", "maker": "MAKER", "predictions": "[DIR,DIR]"}
    words = given(command)
    for left_out in words:
        with pytest.raises(InputError) as refused:
            compose(
                command, [f"{name}={written(words[name])}" for name in words if name != left_out]
            )
        usage = " ".join(f"{name}={places.get(name, 'DIR')}" for name in words)
        assert str(refused.value) == f"{left_out}: must be given, as in: mim {command} {usage}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train:\n  epoch: 3\n", "train.epoch: no such key; did you mean train.epochs?"),
        ("trian:\n  epochs: 3\n", "trian: no such key; did you mean train?"),
        ("train:\n  epochs: many\n", "train.epochs: expected whole number, got 'many'"),
        (
            "train:\n  wandb: of\n",
            "train.wandb: expected one of off, offline, online, got 'of'; did you mean off?",
        ),
        ("train:\n  epochs: 0\n", "train.epochs: expected 1 or more, got 0"),
        ("train: [\n", "while parsing a flow node expected the node content"),
    ],
)
def test_mistake_in_an_experiment_file(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(CONFIGS, tmp_path / "configs")
    (tmp_path / "configs/experiment/own.yaml").write_text(f"# @package _global_\n{text}")
    for module in (mim.config.compose, mim.config.files):
        monkeypatch.setattr(module, "CONFIGS", tmp_path / "configs")
    said = mistake("train", "experiment=own")
    assert said.startswith(message)
    assert "\n" not in said


def test_composing_imports_nothing_heavy() -> None:
    program = f"""
import sys
from mim.cli.main import main
codes = [main([c, "nonsense=1"]) for c in {list(COMMANDS)}] + [main(["synth", "women=0", "out=x"])]
assert codes == [2] * {len(COMMANDS) + 1}, codes
print(sorted(set({HEAVY}) & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=Path(mim.__file__).parent.parent,
    )
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
    assert len(done.stderr.splitlines()) == len(COMMANDS) + 1
