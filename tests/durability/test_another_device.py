"""A run that one GPU began and another is to go on with: refused with the flag's name, or recorded and said."""

import shutil

import pytest

from search.cli.status import status_text
from search.errors import RunError
from search.job import Job
from search.protocols.run import run_job
from search.run_folder.directory import RunDirectory
from search.run_folder.interruption import command_to_resume
from search.run_folder.lifecycle import devices_in_words
from search.run_folder.status import run_status

T4, L4 = "Tesla T4", "NVIDIA L4"


class GoneOnError(Exception):
    pass


@pytest.fixture
def gpu(tensorflow_started, monkeypatch):
    """Lets the driver name the GPU of this machine; "" for none."""
    import tensorflow as tf

    real = tf.config.list_physical_devices

    def named(name, capability=(8, 9)):
        # Asked for all kinds, as Keras does when it compiles, TensorFlow still says what there is.
        monkeypatch.setattr(
            tf.config, "list_physical_devices", lambda kind=None: [name] if name and kind == "GPU" else real(kind)
        )
        details = {"device_name": name, "compute_capability": capability}
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: details)

    return named


@pytest.fixture
def run(finished):
    """A run whose search a T4 has done, and nothing after it."""
    config, result = finished
    run = RunDirectory(config.output.runs / "moved")
    shutil.copytree(result.directory.path, run.path, ignore=shutil.ignore_patterns("*.png", ".lock"))
    run.write_manifest(run.read_manifest().but(status="running", device=T4))
    yield run
    shutil.rmtree(run.path)


@pytest.fixture
def go_on(finished, run, monkeypatch):
    """Goes on with it up to its final stage."""

    def stop(*arguments, **settings):
        raise GoneOnError

    def go_on(**flags):
        monkeypatch.setattr("search.protocols.holdout.finish", stop)
        run_job(Job(finished[0], name="moved", **flags))

    return go_on


def test_another_gpu_is_refused_in_one_line_that_names_the_flag(run, go_on, gpu):
    gpu(L4)
    before = run.manifest_file.read_bytes()
    with pytest.raises(RunError, match=f"found changes: device {T4} → {L4}. Go on with --accept-device") as error:
        go_on()
    assert "\n" not in str(error.value)
    assert run.manifest_file.read_bytes() == before


def test_with_the_flag_it_goes_on_and_says_so_everywhere(run, go_on, gpu):
    trials = run.trials_file.read_text().splitlines(keepends=True)
    run.trials_file.write_text("".join(trials[:5]))
    gpu(L4)
    with pytest.raises(GoneOnError):
        go_on(accept_device=True)
    manifest = run.read_manifest()
    assert manifest.device == L4
    assert [(each.device, each.from_trial) for each in manifest.devices] == [(T4, 0), (L4, 5)]
    assert len(run.trials_file.read_text().splitlines()) == len(trials)
    words = f"{T4}, from trial 5 on {L4}; results may differ from those of one device, in their last digits"
    assert devices_in_words(manifest) == words
    assert f"computed on {words}" in run.log_file.read_text()
    assert words in status_text(run_status(run))
    # On the card that is recorded it needs no flag, on the first one it does.
    with pytest.raises(GoneOnError):
        go_on()
    assert run.read_manifest().devices == manifest.devices
    gpu(T4)
    with pytest.raises(RunError, match=f"device {L4} → {T4}"):
        go_on()


@pytest.mark.parametrize("here", ["", L4])
def test_a_cpu_and_a_gpu_do_not_go_on_for_each_other(run, go_on, gpu, here):
    gpu(here)
    if here:
        run.update_manifest(device="CPU (2 cores)")
    with pytest.raises(RunError, match="Undo them to resume, or use --fresh or another --name"):
        go_on(accept_device=True)
    assert not run.read_manifest().devices


def test_the_flag_accepts_nothing_else(run, go_on, gpu):
    manifest = run.read_manifest()
    run.update_manifest(versions={**manifest.versions, "keras": "3.0.1"})
    gpu(L4)
    for flags in ({"accept_device": True}, {}):
        with pytest.raises(RunError, match=r"keras 3\.0\.1 → .*Undo them to resume"):
            go_on(**flags)


def test_a_precision_that_the_other_card_lacks_is_one_line(finished, run, gpu, tensorflow_started):
    from search.protocols.holdout import resolve_backbone
    from search.screen.output import messages
    from search.screen.progress import RunProgress

    run.update_manifest(device=L4, precision={"name": "bfloat16-tail"})
    gpu(T4, capability=(7, 5))
    search = finished[0].search.model_copy(update={"precision": "auto"})
    with pytest.raises(RunError, match=r"began with it .search\.precision = auto.; found the GPU has no bfloat16"):
        resolve_backbone(finished[0].model_copy(update={"search": search}), run, RunProgress(messages()))


def test_the_flag_is_not_typed_again():
    words = ["run", "--name", "moved", "--accept-device", "--fresh"]
    assert command_to_resume(words) == "mammo-search run --name moved"


@pytest.mark.slow
def test_the_report_says_what_was_computed_on_what(finished, run, gpu):
    gpu(L4)
    result = run_job(Job(finished[0], name="moved", accept_device=True))
    words = f"{T4}, after the search {L4}; results may differ from those of one device: in their last digits"
    assert words in result.directory.report_file.read_text()
