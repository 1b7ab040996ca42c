"""Plans of sweeps: Hydra's grammar, names of jobs, and one line for what cannot be swept."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mim.config.compose import compose
from mim.config.files import CONFIGS, methods
from mim.config.sweeps import Sweep, job_name, plan_sweep
from mim.errors import InputError

NEEDED = ["cohort=.", "cache=.", "out=x"]
MAKERS = [None, "siemens", "hologic", "ge", "philips"]
SWEEPS = ["leave_maker_out", "leave_maker_out_demo"]
"""Experiments that bring a sweep."""


def planned(*words: str) -> Sweep:
    return plan_sweep([*NEEDED, *words])


def values(*words: str) -> list[tuple[object, ...]]:
    return [tuple(job.values.values()) for job in planned(*words).jobs]


@pytest.mark.parametrize("experiment", SWEEPS)
def test_an_experiment_brings_its_sweep(experiment):
    plan = planned(f"experiment={experiment}", "method=plain", "train.seed=1").plan
    assert plan.keys == ["method", "data.leave_out_maker", "train.seed"]
    assert plan.fixed == ["cohort=.", "cache=.", f"experiment={experiment}"]
    assert [tuple(job.values()) for job in plan.jobs.values()] == [
        ("plain", maker, 1) for maker in MAKERS
    ]
    assert list(plan.jobs)[:2] == [
        "method=plain,leave_out_maker=none,seed=1",
        "method=plain,leave_out_maker=siemens,seed=1",
    ]
    assert compose("train", [*NEEDED, f"experiment={experiment}"]).train.metric == "last"


@pytest.mark.parametrize("experiment", SWEEPS)
def test_the_sweeps_of_experiments_name_methods_and_three_seeds(experiment):
    file = yaml.safe_load((CONFIGS / "experiment" / f"{experiment}.yaml").read_text())
    params = file["hydra"]["sweeper"]["params"]
    named = params["method"].split(",")
    assert len(named) == len(set(named)) > 1
    assert set(named) <= set(methods())
    assert params["train.seed"] == "1,2,3"


def test_words_win_over_the_sweep_of_the_file():
    words = ["experiment=leave_maker_out_demo", "method=plain", "data.leave_out_maker=ge,philips"]
    expected = [("plain", "ge", 7), ("plain", "philips", 7)]
    assert values(*words, "train.seed=7") == expected
    assert values(*words, "train.seed=1,2", "train.seed=7") == expected, "the last word counts"
    names = [job.name for job in planned(*words, "train.seed=7").jobs]
    assert names[0] == "method=plain,leave_out_maker=ge,seed=7"


def test_jobs_compose_to_what_they_are_named_after():
    sweep = planned("method=plain,group_norm", "train.metric=null,last")
    for job in sweep.jobs:
        command = compose("train", job.overrides)
        assert command.out == f"x/{job.name}"
        assert command.method == job.values["method"]
        assert command.train.metric == job.values["train.metric"]
    assert len({job.name for job in sweep.jobs}) == len(sweep.jobs) == 4
    assert len({job.settings for job in sweep.jobs}) == 4


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train.epochs=3,4", "train.seed=1,2"], [(1, 3), (1, 4), (2, 3), (2, 4)]),
        (["train.epochs=3", "train.seed=1,2"], [(1,), (2,)]),
        (["+train.seed=choice(5)"], [(5,)]),
        (["train.seed=1,1,2"], [(1,), (2,)]),
        (["train.seed=range(1,8,3)"], [(1,), (4,), (7,)]),
        (["train.learning_rate=choice(1e-3)"], [(1e-3,)]),
        (["method=glob(p*)"], [("plain",)]),
        (["tasks.risk={learn: true},{learn: false}"], None),
    ],
)
def test_values_by_hydras_grammar(words, expected):
    assert expected is None or values(*words) == expected
    assert len(values(*words)) == len(expected or (1, 2))


def test_what_changes_nothing_leaves_jobs_the_same():
    one, other = planned("train.seed=1,2"), planned("train.seed=1,2", "data.workers=7")
    assert one.plan.fixed == other.plan.fixed
    assert [job.settings for job in one.jobs] == [job.settings for job in other.jobs]
    longer = planned("train.seed=1,2", "train.epochs=99")
    assert [job.name for job in one.jobs] == [job.name for job in longer.jobs]
    assert not {job.settings for job in one.jobs} & {job.settings for job in longer.jobs}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "-m: no key has several values; give one some, as in train.seed=1,2,3, or leave -m"),
        (["train.sed=1,2"], "train.sed: no such key; did you mean train.seed?"),
        (["train.seed=1,2,x"], "train.seed: expected whole number, got 'x'"),
        (["train.seed=1,-1"], "train.seed: expected 0 to 4294967295, got -1"),
        (["data.leave_out_maker=ge,gee"], "data.leave_out_maker: expected one of siemens, "),
        (["method=plain,plane"], "method: no such method 'plane'; there are "),
        (["experiment=dmo", "train.seed=1,2"], "experiment: no such experiment 'dmo'; there are "),
        (["experiment=demo,leave_maker_out"], "experiment: leave_maker_out brings a sweep of its"),
        (["out=a,b"], "out: expected one folder; each job gets a folder of its own in it"),
        (["train.seed=shuffle(1,2)"], "train.seed: expected values in an order, as in 1,2,3 or"),
        (["train.seed=interval(1,2)"], "train.seed: expected values in an order, as in 1,2,3 or"),
        (["train.seed=1,2", "train.nodes=2"], "train.nodes: a job of a sweep has one machine; "),
        (["train.seed=range(1,1)"], "-m: no job: of train.seed=range(1,1) one stands for no value"),
        (
            ["method=glob(zz*)", "train.seed=1,2"],
            "-m: no job: of method=glob(zz*), train.seed=1,2 ",
        ),
        (["out=", "train.seed=1,2"], "out: expected a folder, got an empty name"),
        (["train.seed=[1,2", "x=1"], "train.seed: cannot read the value; quote it: "),
        (["~train.seed", "train.epochs=1,2"], "train.seed: cannot be taken away; leave it out"),
    ],
)
def test_what_cannot_be_swept_is_one_line(words, message):
    with pytest.raises(InputError) as refused:
        planned(*words)
    assert str(refused.value).startswith(message)


def test_out_must_be_given():
    with pytest.raises(InputError, match="^out: must be given, as in: mim train cohort=DIR"):
        plan_sweep(["cohort=.", "cache=.", "train.seed=1,2"])


def test_out_may_have_any_name():
    sweep = plan_sweep(["cohort=.", "cache=.", "out='a \\'b\\', (1)=c'", "train.seed=1,2"])
    assert str(sweep.out) == "a 'b', (1)=c"
    assert compose("train", sweep.jobs[0].overrides).out == "a 'b', (1)=c/seed=1"


KEYS = ("method", "data.leave_out_maker", "train.seed", "tasks.cancer.weight", "tasks.risk.weight")


@given(st.lists(st.tuples(*[st.text() for _ in KEYS]), min_size=2, max_size=2, unique=True))
def test_names_are_safe_and_of_one_job_each(jobs):
    names = [job_name(dict(zip(KEYS, texts, strict=True))) for texts in jobs]
    assert names[0] != names[1]
    for name in names:
        assert name.isascii()
        assert name.isprintable()
        assert not set(name) & set("/\\ :*?\"'<>|;&$`~(){}[]!#") - {"~"}
        assert len(name) < 200


def test_names_of_plain_values():
    named = job_name({"tasks.risk.weight": "0.5", "tasks.cancer.weight": "1e-3", "method": "null"})
    assert named == "tasks.risk.weight=0.5,tasks.cancer.weight=1e-3,method=none"
    assert job_name({"method": "none"}).startswith("method=none~"), "a word, not nothing"
