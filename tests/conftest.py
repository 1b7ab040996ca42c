"""Shared by all tests. Tiers (slow, gpu) are declared in pyproject.toml."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("WANDB_MODE", "disabled")

# In CI the same examples each time; elsewhere new ones, which is how they find something.
settings.register_profile("mim", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("mim")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items) -> None:
    """Tests of one file run in one process, and all that need a run in one: it takes long to make.

    First of all hooks, since xdist reads the marks in the same one.
    """
    for item in items:
        group = "run" if "run" in item.fixturenames else item.path.name
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def programme(tmp_path_factory) -> Path:
    """A tiny made-up programme as `mim synth` writes it."""
    from mim.synthetic.programme import write_programme
    from mim.synthetic.settings import ProgrammeSettings

    out = tmp_path_factory.mktemp("made") / "programme"
    write_programme(
        out, ProgrammeSettings(women=16, rounds=2, seed=4, shrink=16, cancer_share=0.7, workers=1)
    )
    return out


@pytest.fixture(scope="session")
def index(programme) -> Path:
    """The programme's index."""
    from mim.ingest.index import write_index
    from mim.ingest.settings import IndexSettings
    from mim.workers.settings import WorkersSettings

    out = programme.parent / "index"
    write_index(
        programme / "dicom",
        out,
        IndexSettings(key_file=str(programme / "pseudonym.key"), pictures=0),
        WorkersSettings(workers=1),
    )
    return out


@pytest.fixture(scope="session")
def cohort(programme, index) -> Path:
    """The programme's cohort."""
    from mim.cohort.build import write_cohort
    from mim.cohort.settings import CohortSettings, SplitSettings

    out = programme.parent / "cohort"
    settings = CohortSettings(splits=SplitSettings(validation=0.25, test=0.25))
    write_cohort(index, programme / "registry", out, settings)
    return out


@pytest.fixture(scope="session")
def cache(cohort) -> Path:
    """The cohort's cache, 64 x 32."""
    from mim.data.cache import write_cache
    from mim.data.settings import CacheSettings
    from mim.image.settings import RecipeSettings
    from mim.workers.settings import WorkersSettings

    out = cohort.parent / "cache"
    recipe = RecipeSettings(height=64, width=32)
    write_cache(cohort, out, recipe, CacheSettings(), WorkersSettings(workers=1))
    return out


@pytest.fixture(scope="session")
def run(cohort, cache) -> Path:
    """A run of a tiny net with all tasks; it has learnt next to nothing."""
    from made_tasks import all_tasks

    from mim.data.settings import AugmentSettings, DataSettings
    from mim.model.settings import EncoderSettings, FusionSettings, ModelSettings
    from mim.train.run import fit
    from mim.train.settings import Accelerator, TrainSettings, WandbMode

    out = cohort.parent / "run"
    fit(
        cohort,
        cache,
        out,
        DataSettings(batch_size=4, workers=0, augment=AugmentSettings(probability=0.5)),
        all_tasks(),
        ModelSettings(
            encoder=EncoderSettings(name="convnext_atto"),
            fusion=FusionSettings(width=16, layers=1, heads=2),
        ),
        TrainSettings(
            epochs=4, learning_rate=1e-3, accelerator=Accelerator.cpu, wandb=WandbMode.off
        ),
    )
    return out


@pytest.fixture(scope="session")
def bundle(run) -> Path:
    """The run's bundle."""
    from mim.export.bundle import write_bundle

    out = run.parent / "bundle"
    write_bundle(run, out)
    return out
