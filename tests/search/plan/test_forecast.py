"""The forecast of a job, the speed of a machine, and the clock of a job that goes on as forecast."""

import json

import pytest

from search.bit.architecture import R50X1
from search.config.reading import load_config
from search.machine.libraries import processor_name
from search.machine.places import ALONE, Crew
from search.machine.speed import REFERENCE_GFLOPS, Speed, record_run, slowdown, this_machine
from search.plan.clock import search_clock
from search.plan.cost import CostModel
from search.plan.forecast import SearchSize, forecast, search_sizes
from search.plan.job_clock import JobClock, among
from search.plan.protocol import plan_search
from search.text import rounded

REFERENCE = Speed(REFERENCE_GFLOPS)


def job(precision="float32", views=1800, held_out=80, **settings):
    config = load_config(None, {path.replace("__", "."): value for path, value in settings.items()})
    sizes = search_sizes(config, 242, held_out)
    return forecast(config, plan_search(config.search), R50X1, sizes, views=views, precision=precision)


def test_each_setting_that_shortens_a_job_shortens_its_forecast():
    usual = job().seconds()
    for settings in (
        {"preparation__image_size": 224},
        {"space__unfreeze_depth": [0, 1]},
        {"search__folds": 2},
        {"search__max_trials": 20},
        {"search__max_epochs": 15},
        {"precision": "bfloat16-tail"},
    ):
        assert job(**settings).seconds() < 0.95 * usual, settings


def test_the_parts_are_of_the_whole_job_and_what_follows_a_search_is_told_apart():
    here = job()
    assert here.seconds() == pytest.approx(sum(here.seconds(part) for part in here.parts))
    assert list(here.later) == ["retrain", "baselines", "evaluate", "localise", "audit", "report"]
    assert all(here.later.values())
    # Nothing is trained twice: what follows the search and its baselines is little of a job.
    assert here.seconds("retrain", "evaluate", "localise", "audit", "report") < 0.15 * here.seconds()


def test_an_epoch_costs_more_the_more_of_the_network_is_trained():
    epochs = job(space__unfreeze_depth=[0, 1, 2, 16, 17]).epochs
    assert list(epochs.values()) == sorted(epochs.values())
    assert epochs[2] - epochs[1] == pytest.approx(epochs[1] - epochs[0], rel=0.01)


def test_a_nested_job_is_its_searches_and_its_last_model_is_compared_with_nothing():
    once, nested = job(), job(split__protocol="nested", split__outer_folds=5)
    assert nested.searches == 6
    # Five searches on four fifths and one on all, beside one on all of the same images.
    assert nested.seconds("search") / once.seconds("search") == pytest.approx(5 * 0.8 + 1, rel=0.1)
    assert nested.seconds("baselines") / once.seconds("baselines") == pytest.approx(5 * 0.8, rel=0.15)


def test_a_machine_is_as_fast_as_its_own_runs_have_told(tmp_path):
    reference = job()
    expected = {"trunk": 2000.0, "depth 1": 1000.0, "report": 1000.0}
    took = {"trunk": 4000.0, "depth 1": 3000.0, "report": 500.0}
    for _ in range(3):
        record_run(tmp_path, "bit-m-r50x1", "float32", 224, took, expected)
    speed = this_machine(tmp_path, "bit-m-r50x1", None, 224)
    assert (speed.precision, speed.runs) == ("float32", 3)
    for kind, factor in (("trunk", 2), ("depth 1", 3), ("report", 0.5)):
        assert speed.factor(kind) == pytest.approx(factor, rel=0.01)
    assert speed.factor("depth 7") == speed.factor("depth 1"), "of a depth that none has told, the nearest one's"
    assert reference.on(speed).seconds("trunk") == pytest.approx(2 * reference.seconds("trunk"), rel=0.01)
    # Another precision's arithmetic tells nothing, but its report takes as long.
    other = this_machine(tmp_path, "bit-m-r50x1", "bfloat16", 224)
    assert other.runs == 0
    assert other.factor("report") == pytest.approx(0.5, rel=0.01)
    assert other.factor("trunk") == pytest.approx(REFERENCE_GFLOPS / (other.gflops * other.convolutions))


def test_a_depth_of_which_no_run_has_told_is_as_slow_as_the_trunk_was(tmp_path):
    took, expected = {"trunk": 9000.0, "depth 0": 1.0}, {"trunk": 5000.0, "depth 0": 1.0}
    record_run(tmp_path, "bit-m-r50x1", "float32", 128, took, expected)
    speed = this_machine(tmp_path, "bit-m-r50x1", None, 96)
    assert speed.factor("depth 3") == speed.factor("trunk") == pytest.approx(1.8, rel=0.01)
    assert speed.factor("depth 0") == 1


def test_the_little_that_a_run_has_done_of_a_kind_changes_little(tmp_path):
    # Eight epochs of the head alone took thrice as long as they should; then came two hundred as expected.
    record_run(tmp_path, "bit-m-r50x1", "float32", 96, {"depth 0": 0.6}, {"depth 0": 0.2})
    assert this_machine(tmp_path, "bit-m-r50x1", None, 128).factor("depth 0") == pytest.approx(1.125)
    assert this_machine(tmp_path, "bit-m-r50x1", None, 96).factor("depth 0") < 1.25
    record_run(tmp_path, "bit-m-r50x1", "float32", 96, {"depth 0": 120.0}, {"depth 0": 60.0})
    assert this_machine(tmp_path, "bit-m-r50x1", None, 96).factor("depth 0") == pytest.approx(2, abs=0.05)


def test_convolutions_fall_behind_matrix_products_where_avx512_is_lacking(tmp_path):
    (tmp_path / "cpuinfo").write_text("flags : fma avx2\n")
    (tmp_path / "newer").write_text("flags : fma avx2 avx512f\n")
    older, narrow, newer = (
        this_machine(tmp_path, "any", None, 96, narrow=narrow, cpuinfo=tmp_path / file).factor("depth 3")
        for narrow, file in ((False, "cpuinfo"), (True, "cpuinfo"), (False, "newer"))
    )
    assert narrow == newer
    assert older == pytest.approx(newer / 0.6)


def test_what_another_machine_or_nobody_can_read_has_told_counts_for_nothing(tmp_path):
    record_run(tmp_path, "bit-small", "float32", 224, {"trunk": 9000.0}, {"trunk": 1000.0})
    file = tmp_path / "speed.json"
    content = json.loads(file.read_text())
    for damaged in (
        json.dumps(content | {"machine": ["another"]}),
        "{",
        "[]",
        json.dumps(content | {"runs": [{"kinds": 3}]}),
    ):
        file.write_text(damaged)
        assert this_machine(tmp_path, "bit-small", None, 224).runs == 0
    file.write_text(json.dumps(content))
    assert this_machine(tmp_path, "bit-small", None, 224).factor("trunk") == pytest.approx(9, rel=0.01)


def test_a_gpu_is_guessed_and_only_its_arithmetic_until_a_run_has_told(tmp_path):
    guessed = this_machine(tmp_path, "bit-m-r50x1", None, 224, on_gpu=True)
    assert "GPU" in guessed.basis
    assert guessed.factor("depth 3") < 0.1
    assert guessed.factor("report") == guessed.factor("depth 0") == 1
    took = {"depth 3": 9000.0, "report": 2000.0}
    record_run(tmp_path, "bit-m-r50x1", "float32", 224, took, dict.fromkeys(took, 1000.0))
    still = this_machine(tmp_path, "bit-m-r50x1", None, 224, on_gpu=True)
    assert (still.runs, still.factor("depth 3")) == (0, guessed.factor("depth 3")), "a CPU tells nothing of a GPU"
    assert still.factor("report") == pytest.approx(2, rel=0.01)
    record_run(tmp_path, "bit-m-r50x1", "float32", 224, {"depth 3": 500.0}, {"depth 3": 1000.0}, on_gpu=True)
    told, cpu = (this_machine(tmp_path, "bit-m-r50x1", None, 224, on_gpu=on_gpu) for on_gpu in (True, False))
    assert told.factor("depth 3") == pytest.approx(0.5, rel=0.01)
    assert cpu.factor("depth 3") == pytest.approx(9, rel=0.01)


def test_a_cache_that_takes_nothing_more_fails_no_finished_run(tmp_path):
    (tmp_path / "file").write_text("")
    record_run(tmp_path / "file", "bit-small", "float32", 224, {"trunk": 9.0}, {"trunk": 1.0})
    assert this_machine(tmp_path / "file", "bit-small", None, 224).runs == 0


def test_others_at_work_make_a_job_longer_and_a_quiet_machine_does_not():
    assert slowdown([1, 1, 1, 1]) == 1
    assert slowdown([3, 3, 3, 3]) > 1.15
    assert slowdown([9, 9]) > slowdown([3, 3])
    assert slowdown([200, 200]) == 4


def test_a_clock_counts_a_job_down_as_it_was_forecast():
    config = load_config(None, {"search.max_trials": 8, "search.max_epochs": 9})
    plan = plan_search(config.search)
    reference = forecast(config, plan, R50X1, (SearchSize(242, 80),), views=900, precision="float32")
    clock, now = JobClock(100.0), 110.0
    assert clock.seconds_left(now) is None
    here = reference.on(REFERENCE)
    clock.expects(reference, here, REFERENCE, now)
    left = here.seconds() - here.seconds("start")
    assert clock.seconds_left(now) == pytest.approx(left)
    # Half of the trunk, as its own bar tells.
    half = here.seconds("trunk") / 2
    assert clock.seconds_left(now + half, [("trunk", now, half)]) == pytest.approx(left - half)
    now += 2 * half
    clock.part_ended("trunk", 2 * half, total=900)
    board = search_clock(config, plan, CostModel(here.epochs), builds=here.builds)
    clock.search_begins(board)
    assert clock.seconds_left(now) == pytest.approx(here.seconds("search") + sum(here.later.values()), rel=0.1)
    clock.search_ends()
    assert clock.seconds_left(now) == pytest.approx(sum(here.later.values()))
    for part in here.later:
        clock.part_ended(part, here.seconds(part))
    assert clock.seconds_left(now) == 0


def test_a_new_set_of_films_does_not_make_later_starts_longer():
    config = load_config(None, {"search.max_trials": 8, "search.max_epochs": 9})
    plan, sizes = plan_search(config.search), (SearchSize(242, 80),)
    reference, known = (
        forecast(config, plan, R50X1, sizes, views=900, precision="float32", films=films) for films in (322, 0)
    )
    assert 5 < reference.seconds("start") - known.seconds("start") < 15
    clock = JobClock(0.0)
    clock.part_ended("check", 5.0, total=322)
    clock.part_ended("prepare", 4.0, total=322)
    clock.part_ended("precision", 4.0)
    clock.expects(reference, reference, REFERENCE, 19.0)
    clock.search_begins(search_clock(config, plan, CostModel(reference.epochs), builds=reference.builds))
    took, expected = clock.taught
    assert took["start"] == pytest.approx(6, rel=0.5)
    assert expected["start"] == known.seconds("start")
    assert took["prepare"] == pytest.approx(4, rel=0.5)


def test_what_was_found_done_teaches_nothing():
    config = load_config(None, {"search.max_trials": 8, "search.max_epochs": 9})
    plan = plan_search(config.search)
    reference = forecast(config, plan, R50X1, (SearchSize(242, 80),), views=900, precision="float32")
    clock = JobClock(0.0)
    clock.expects(reference, reference, REFERENCE, 8.0)
    clock.search_begins(search_clock(config, plan, CostModel(reference.epochs), builds=reference.builds))
    clock.part_ended("trunk", 0.1)
    clock.part_ended("evaluate", 20.0)
    clock.part_ended("localise", 3.0, first=50, total=100)
    took, expected = clock.taught
    assert not {"trunk", "localise"} & set(took)
    assert took["evaluate"] <= 20
    assert expected["evaluate"] == pytest.approx(reference.seconds("evaluate"))
    clock.whole = False
    assert clock.taught == ({}, {})


@pytest.mark.parametrize(("crew", "least", "most"), [(Crew(4), 0.25, 0.3), (Crew(2, 2.0), 1.0, 1.2)])
def test_workers_with_devices_of_their_own_are_so_many_machines_and_others_share_one(crew, least, most):
    config = load_config(None, {})
    plan, one = plan_search(config.search), job().on(REFERENCE)
    here = among(one, config, plan, crew)
    assert least <= here.seconds("search") / one.seconds("search") <= most
    # Three final models: at once on four devices, two and then one on two halves of one.
    models = {4: 1 / 3, 2: 2 * 2 / 3}[crew.workers]
    assert here.seconds("retrain") / one.seconds("retrain") == pytest.approx(models, rel=0.1)
    for part in ("start", "trunk", "evaluate", "localise", "audit", "report"):
        assert here.seconds(part) == one.seconds(part), "done by the driver"
    # The live view begins with what the dry run has said.
    board = search_clock(config, plan, CostModel(here.epochs), builds=here.builds, workers=crew.workers)
    assert board.seconds_left(0.0) == pytest.approx(here.seconds("search"), rel=0.02)


def test_one_worker_is_told_what_a_machine_is():
    config = load_config(None, {})
    assert among(job(), config, plan_search(config.search), ALONE) == job()


@pytest.mark.parametrize(
    ("announced", "name"),
    [
        ("model name : AMD EPYC\ncpu family : 25\nmodel : 17\n", "AMD EPYC (family 25, model 17)"),
        ("model name : Intel Xeon 8481C\ncpu family : 6\nmodel : 143\n", "Intel Xeon 8481C"),
        ("model name : AMD EPYC\n", "AMD EPYC"),
    ],
)
def test_two_processors_that_a_hypervisor_calls_the_same_have_two_names(announced, name, tmp_path):
    (tmp_path / "cpuinfo").write_text(announced)
    assert processor_name(tmp_path / "cpuinfo") == name


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "1 s"), (12, "12 s"), (104, "1 min 40 s"), (299, "5 min"), (327, "5 min 30 s"), (4000, "1 h 10 min")],
)
def test_a_forecast_says_no_more_than_is_known(seconds, words):
    assert rounded(seconds) == words
