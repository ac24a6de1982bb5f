"""What a run may be resumed with: everything that results depend on stands in its manifest and is compared."""

from dataclasses import replace

import pytest

from search.bit.precision import PrecisionChoice
from search.config.reading import load_config
from search.errors import RunError
from search.job import Job
from search.plan.protocol import plan_fingerprint, plan_run
from search.run_folder.directory import RunDirectory
from tests.support.every_setting import CONFIG, each_setting_changed

FREE = {
    "backbone.weights",  # their fingerprint is compared
    "cache.max_gb",
    "data.accept_problems",
    "data.info",
    "data.path",  # the fingerprint of the prepared set is compared
    "output.cache",
    "output.runs",
    "report.embed_images",
    "search.max_minutes",
    "split.file",  # the fingerprint of the split is compared
}
"""What a run may be resumed with another value of."""

CHANGED = each_setting_changed(CONFIG)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("job")


@pytest.fixture(scope="module")
def job(folder):
    return Job(CONFIG, place=RunDirectory(folder / "runs" / "begun"))


@pytest.fixture(scope="module")
def backbone(engine):
    from search.bit.resolve import Backbone

    return Backbone(engine.architecture, engine.weights, PrecisionChoice("float32", "as configured"), "CPU, 2 cores")


@pytest.fixture(scope="module")
def data(phantom, folder):
    """Films that are prepared, and nothing else done."""
    from mammo_data.preparation.prepared import PreparationSettings, prepare
    from mammo_data.sources.open import open_source
    from mammo_data.splits import patient_split
    from search.cohort import Cohort

    films = prepare(open_source(phantom), PreparationSettings(image_size=32), folder / "prepared")
    return Cohort(films, films, patient_split(films.table))


@pytest.fixture
def begin(job, backbone, data):
    """Begins the run, or goes on with it where it has begun, from a job, a backbone and a cohort as given."""
    from search.protocols.manifest import run_manifest
    from search.run_folder.lifecycle import begin_or_resume

    def begin(job=job, backbone=backbone, data=data, **changes):
        manifest = run_manifest(job, backbone, data).but(**changes)
        return begin_or_resume(job.directory, manifest, job.config, data.split, data.films.table)

    begin()
    return begin


def configured(job, config):
    return replace(job, config=config)


def test_there_is_no_setting_that_this_module_does_not_try():
    assert set(CHANGED) > FREE
    assert len(CHANGED) > 60


@pytest.mark.parametrize("path", sorted(set(CHANGED) - FREE))
def test_another_value_of_any_setting_that_is_not_free_is_refused(begin, job, path):
    before = job.directory.read_manifest()
    with pytest.raises(RunError, match=r"^Expected what .* was started with; found changes: ") as error:
        begin(configured(job, CHANGED[path]))
    assert f"{path} " in error.value.found, "the setting is named"
    assert job.directory.read_manifest() == before


@pytest.mark.parametrize("path", sorted(FREE))
def test_another_value_of_a_free_setting_is_not(begin, job, path):
    before = job.directory.read_manifest()
    assert begin(configured(job, CHANGED[path])) == before


def test_other_images_another_split_or_other_weights_are_refused(begin, backbone, data):
    """The settings that say where these lie are free, for what lies there is compared."""
    from mammo_data.splits import patient_split
    from search.bit.weights import random_weights

    table = data.films.table
    relabelled = replace(table.cases[0], tissue="D" if table.cases[0].tissue != "D" else "F")
    others = {
        "prepared": {"data": replace(data, prepared=replace(data.prepared, fingerprint="0" * 64))},
        "cases": {
            "data": replace(
                data,
                prepared=replace(data.prepared, table=replace(table, cases=(relabelled, *table.cases[1:]))),
            )
        },
        "split": {"data": replace(data, split=patient_split(table, seed=1))},
        "weights": {"backbone": replace(backbone, weights=random_weights(backbone.architecture, 1))},
    }
    for name, other in others.items():
        with pytest.raises(RunError, match=f"found changes: {name} [0-9a-f]{{16}}…"):
            begin(**other)


@pytest.mark.parametrize("package", ["tensorflow", "keras", "keras-tuner", "numpy"])
def test_another_version_of_what_computes_the_numbers_is_refused(begin, job, package):
    versions = job.directory.read_manifest().versions
    with pytest.raises(RunError, match=f"found changes: {package} .* → 0.1"):
        begin(versions={**versions, package: "0.1"})


def test_another_precision_or_kind_of_device_is_refused(begin, backbone):
    for name, other in {
        "precision float32 → bfloat16": replace(backbone, precision=PrecisionChoice("bfloat16", "as configured")),
        "device CPU → NVIDIA H200": replace(backbone, device="NVIDIA H200"),
    }.items():
        with pytest.raises(RunError, match=f"found changes: {name}"):
            begin(backbone=other)
    begin(backbone=replace(backbone, device="CPU, 64 cores"))


def test_a_run_whose_plan_this_version_would_make_otherwise_is_refused(begin, job):
    """The settings are the same, and so is RESULTS_VERSION: the plan's fingerprint tells."""
    fingerprints = job.directory.read_manifest().fingerprints
    with pytest.raises(RunError, match=r"found changes: plan [0-9a-f]{16}…"):
        begin(fingerprints={**fingerprints, "plan": "0" * 64})


def test_the_plan_of_a_search_has_a_fingerprint_of_all_that_it_is_drawn_from(job):
    """Each setting of the space and of the plan changes it, and nothing else does."""
    fingerprints = {path: plan_fingerprint(plan_run(config), config) for path, config in CHANGED.items()}
    before = plan_fingerprint(job.plan, CONFIG)
    plan = {"search.tuner", "search.max_trials", "search.max_epochs", "search.factor", "search.seed"}
    assert {path for path, found in fingerprints.items() if found != before} == plan | {
        path for path in CHANGED if path.startswith("space.")
    }
    # Both train every run at the full budget, so that their plans are equal.
    random, bayesian = (load_config(None, {"search.tuner": tuner}) for tuner in ("random", "bayesian"))
    assert plan_run(random) == plan_run(bayesian)
    assert plan_fingerprint(plan_run(random), random) != plan_fingerprint(plan_run(random), bayesian)
