"""Growth: what thousands of trials, and the deepest tail on the largest films, take.

No second is asked for: a later part of the same run is compared with an earlier one, in time of the processor, for
others may be at work on the machine.
"""

from __future__ import annotations

import shutil
import threading
import time
import tracemalloc
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from search.cli.trials import as_json, table_of, write_optuna
from search.plan.space import Configuration
from search.run_folder.directory import RunDirectory
from search.run_folder.status import run_status
from search.run_folder.trial_log import recorded
from search.trials.data import class_emphasis
from tests.support.bit_stand_in import TINY
from tests.support.command_line import typed

if TYPE_CHECKING:  # what needs TensorFlow is imported when it has started
    from search.bit.architecture import BitArchitecture
    from search.trials.tail import TailTrainer

TRIALS = 2_000
SHAPE = (896, 896, 3)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")]


def resident(name: str) -> int:
    """Bytes of this process: "RssAnon", "VmRSS", or "VmHWM", the most that was resident since `forget_the_most`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))


def forget_the_most() -> None:
    Path("/proc/self/clear_refs").write_text("5")


class Watch:
    """Notes the time, the processor's time, the memory and the files of trials in flight, twice a second."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._over = folder, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.notes: list[tuple[float, float, int, int]] = []

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.5):
            kept = sum(1 for name in ("checkpoints", "in_flight") for _ in self._folder.glob(f"{name}/*"))
            self.notes.append((time.time(), time.process_time(), resident("RssAnon"), kept))


@dataclass(frozen=True)
class LongSearch:
    """A complete run of 2,000 trials, and what was seen while it searched.

    Attributes:
        directory: Its folder.
        marks: When each quarter of the trials was over, the beginning first: seconds of the processor, bytes.
        most_kept: The most trials that had files to go on from.
    """

    directory: RunDirectory
    marks: list[tuple[float, float]]
    most_kept: int


@pytest.fixture(scope="module")
def long_search(phantom, tmp_path_factory, tensorflow_started) -> LongSearch:
    from search.job import Job
    from search.protocols.run import run_job
    from tests.support.tiny import tiny_config

    workspace = tmp_path_factory.mktemp("long")
    config = tiny_config(
        phantom,
        workspace,
        search__max_trials=TRIALS,
        search__folds=1,
        search__steps_per_epoch=1,
        space__unfreeze_depth=[0],
        retrain__seeds=1,
    )
    with Watch(workspace / "runs" / "long") as watch:
        directory = run_job(Job(config, name="long")).directory
    records = recorded(directory)
    # The first trials make the graphs.
    places = [len(records) * quarter // 4 or 20 for quarter in range(4)] + [len(records) - 1]
    moments = [datetime.fromisoformat(records[place].started).timestamp() for place in places]
    at, processor, memory, kept = zip(*watch.notes, strict=True)
    marks = [(float(np.interp(moment, at, processor)), float(np.interp(moment, at, memory))) for moment in moments]
    return LongSearch(directory, marks, max(kept))


def test_neither_time_nor_memory_of_a_trial_grows(long_search: LongSearch, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(recorded(long_search.directory)) > 0.99 * TRIALS
    seconds, memory = zip(*long_search.marks, strict=True)
    cost, growth = np.diff(seconds) / (TRIALS / 4), np.diff(memory) / (TRIALS / 4)
    with capsys.disabled():
        print(f"\nprocessor seconds a trial, by quarter: {np.round(cost, 4)}")
        print(f"kB a trial, by quarter: {np.round(growth / 1e3)}")
    assert cost[3] < 1.5 * cost[1]
    # Each trial stays in memory: its record, its curves and KerasTuner's copy of the space.
    assert growth[2:].mean() < 100e3


def test_what_a_trial_leaves_on_the_disk_does_not_grow(
    long_search: LongSearch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, records = long_search.directory.path, recorded(long_search.directory)
    quarters = np.array_split([record.trial for record in records if record.epochs == 1], 4)
    left = [np.mean([(folder / "oof" / f"{trial:04d}.npz").stat().st_size for trial in part]) for part in quarters]
    total = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    with capsys.disabled():
        print(
            f"\nlogits of a trial of one epoch, by quarter: {np.round(left)} bytes; {total / TRIALS:.0f} bytes a trial"
        )
    assert max(left) < 1.1 * min(left)
    assert (folder / "trials.jsonl").stat().st_size < 2_000 * TRIALS
    assert (folder / "search" / "oracle.json").stat().st_size < 300 * TRIALS
    assert total < 30_000 * TRIALS
    # One bracket's promotions and the trial in training, not those of all brackets.
    assert long_search.most_kept < 10


def test_a_long_search_is_read_in_linear_time(
    long_search: LongSearch, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = long_search.directory
    half = RunDirectory(tmp_path / "half")
    shutil.copytree(whole.path, half.path, ignore=shutil.ignore_patterns("oof", "search", "best", "tensorboard"))
    lines = whole.trials_file.read_bytes().splitlines(keepends=True)
    half.trials_file.write_bytes(b"".join(lines[: len(lines) // 2]))
    # As if they had not ended: their checksums are not compared, and status estimates what is left.
    whole = RunDirectory(tmp_path / "whole")
    shutil.copytree(half.path, whole.path)
    whole.trials_file.write_bytes(b"".join(lines))
    for run in (half, whole):
        run.write_manifest(run.read_manifest().model_copy(update={"status": "running", "finished": None}))

    def cost(run: RunDirectory) -> float:
        start = time.process_time()
        records = recorded(run)
        table_of(run, records, records, ruled=True, width=120)
        as_json(run, records, records)
        run_status(run)
        write_optuna(run, records, tmp_path / f"{time.monotonic_ns()}.db")
        return time.process_time() - start

    cost(half)  # imports
    costs = cost(half), cost(whole)
    with capsys.disabled():
        print(f"\nprocessor seconds to read {TRIALS // 2} and {TRIALS} trials: {costs[0]:.2f} and {costs[1]:.2f}")
    assert costs[1] < 3 * costs[0]
    monkeypatch.chdir(long_search.directory.path.parents[1])
    for words in (("status", "long"), ("trials", "long", "--json"), ("report", "long")):
        answer = typed(capsys, *words)
        assert answer.code == 0, answer.err


def test_the_deepest_tail_of_r50x1_trains_on_films_of_896_pixels(
    tensorflow_started: None, capsys: pytest.CaptureFixture[str]
) -> None:
    from search.bit.architecture import R50X1

    assert R50X1.max_depth == 17
    before = resident("VmRSS")
    trainer, values = deepest_tail(R50X1), pixels(4)
    start = trainer.state()
    forget_the_most()
    trained = one_epoch(trainer, values, steps=2, batch=2)
    with capsys.disabled():
        print(f"\nmost memory, a step of two films of 896 pixels: {(resident('VmHWM') - before) / 2**30:.1f} GiB")
    assert np.isfinite(trained).all()
    kernels = [name for name in start if name.endswith("kernel") and "head" not in name]
    assert len(kernels) > R50X1.max_depth
    assert all(np.any(trainer.state()[name] != start[name]) for name in kernels)
    assert resident("VmHWM") - before < 8 * 2**30


def test_of_an_epochs_values_a_chunk_is_in_memory_at_once(tensorflow_started: None, tmp_path: Path) -> None:
    from search.trials.tail import _STEP_BYTES

    trainer, steps, batch = deepest_tail(TINY), 24, 8
    values = np.memmap(tmp_path / "bank", np.float16, "w+", shape=(steps * batch, *SHAPE))
    assert values.nbytes > 3 * _STEP_BYTES
    tracemalloc.start()
    try:
        assert np.isfinite(one_epoch(trainer, values, steps=steps, batch=batch)).all()
        # The one that is trained on, and the next one.
        assert _STEP_BYTES / 2 < tracemalloc.get_traced_memory()[1] < 2.1 * _STEP_BYTES
    finally:
        tracemalloc.stop()


def pixels(films: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (films, *SHAPE)).astype(np.float16)


def deepest_tail(architecture: BitArchitecture) -> TailTrainer:
    """All of a network, on films of 896 pixels."""
    from search.bit.weights import random_weights
    from search.trials.tail import TailTrainer

    trainer = TailTrainer(
        architecture,
        random_weights(architecture, 0),
        depth=architecture.max_depth,
        boundary_shape=SHAPE,
        head_width=16,
        n_classes=3,
        optimizer="sgd",
    )
    trainer.begin(Configuration(16, 0.0, 0.0, 1e-3, architecture.max_depth), 0, head_init="glorot")
    return trainer


def one_epoch(trainer: TailTrainer, values: np.ndarray, *, steps: int, batch: int) -> np.ndarray:
    """The loss, and logits of the first films after it."""
    rows = np.arange(steps * batch).reshape(steps, batch)
    labels, rates = rows % 3, np.full(steps, 1e-3, np.float32)
    loss = trainer.train(values, rows, labels, rates, class_emphasis("none", labels.ravel(), 3))
    return np.append(trainer.logits(values, np.arange(2)), loss)
