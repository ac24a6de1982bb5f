"""Which devices workers get, from what nvidia-smi lists, and what is said where they are not there."""

import os
import resource

import pytest

from search.config.schema import Config
from search.errors import ConfigError
from search.job import Job
from search.machine.environment import cores, host_memory
from search.machine.places import ALONE, Crew, device_memory, gpus, own_gpu, worker_places

BOX = "0, NVIDIA A100-SXM4-40GB, 40960\n1, NVIDIA A100-SXM4-40GB, 40960\n2, NVIDIA T4, 15360\n"


def test_gpus_are_those_that_the_driver_lists_and_this_process_may_use(listed, monkeypatch):
    listed(BOX)
    assert [(gpu.number, gpu.name, gpu.memory_bytes) for gpu in gpus()][2] == (2, "NVIDIA T4", 15 * 2**30)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    assert [gpu.number for gpu in gpus()] == [1, 2]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus() == ()


@pytest.mark.parametrize(("text", "code"), [("", 0), ("No devices were found\n", 6), ("0, half a li", 0)])
def test_a_driver_that_lists_none_leaves_the_cores(listed, text, code):
    listed(text, code)
    assert gpus() == ()
    (place,) = worker_places(None)
    assert (place.cores, place.environment) == (cores(), {})


@pytest.mark.parametrize(
    ("workers", "device", "numbers"),
    [(None, "auto", ["0"]), (2, "gpu:0,1", ["0", "1"]), (None, "gpu:1,0", ["1", "0"]), (1, "gpu:2", ["2"])],
)
def test_each_worker_sees_one_gpu(listed, workers, device, numbers):
    listed(BOX)
    places = worker_places(workers, device)
    assert [place.environment["CUDA_VISIBLE_DEVICES"] for place in places] == numbers
    assert {place.environment["CUDA_DEVICE_ORDER"] for place in places} == {"PCI_BUS_ID"}


def test_a_cpu_that_is_asked_for_sees_none(listed):
    listed(BOX)
    (place,) = worker_places(None, "cpu")
    assert place.environment == {"CUDA_VISIBLE_DEVICES": "-1"}


@pytest.mark.parametrize(
    ("workers", "device", "words"),
    [
        (4, "auto", "GPUs of one kind"),
        (3, "gpu:0,1", "--workers from 1 to 2, the GPUs"),
        (None, "gpu:0,7", "a GPU for --device gpu:0,7; found GPUs 0 (NVIDIA A100-SXM4-40GB), 1 ("),
        (None, "gpu:1,2", "GPUs of one kind"),
        (None, "gpu:", "--device auto, cpu, gpu or gpu:0,2; found gpu:"),
        (0, "cpu", "--workers from 1 to"),
        (10**6, "cpu", "the cores that this process may use"),
    ],
)
def test_what_is_not_there_is_refused_in_a_line(listed, workers, device, words):
    listed(BOX)
    with pytest.raises(ConfigError) as error:
        worker_places(workers, device)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_gpu_that_is_asked_for_where_none_is(listed):
    listed("", 9)
    with pytest.raises(ConfigError, match="a GPU for --device gpu; found none that nvidia-smi lists"):
        worker_places(None, "gpu")


def test_workers_share_the_cores_of_a_machine_and_have_a_gpu_each(listed):
    listed(BOX)
    on_gpus = Job(Config(), workers=2, device="gpu:0,1").crew
    assert (on_gpus.workers, on_gpus.slower, on_gpus.gpu.memory_bytes) == (2, 1.0, 40 * 2**30)
    assert Job(Config(), device="cpu").crew == ALONE
    if cores() > 1:
        assert Job(Config(), workers=2, device="cpu").crew == Crew(2, 2.0)


def test_the_memory_of_a_process_on_a_cpu_is_what_its_limit_leaves():
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    whole = host_memory()
    assert 2**30 < whole <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert own_gpu() is None
    try:
        resource.setrlimit(resource.RLIMIT_AS, (2**36, hard))
        assert device_memory() == min(whole, 2**36)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
