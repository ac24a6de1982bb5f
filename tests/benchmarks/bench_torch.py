"""The engine beside the same job in PyTorch: timm's R50x1, its frozen part cached by hand, Optuna.

Run: uv run python tests/benchmarks/bench_torch.py [--what tail,search] [--depths 0,1,2,3,4,5,6]
         [--dtypes float32,bfloat16] [--epochs 2] [--side 224] [--one-thread] [--environment FOLDER] [--json]

PyTorch runs in a process of its own (`torch_side`), in an environment that is made where it is absent, with uv and the
newest torch, timm and optuna (6 GB). The two are driven in turns: an epoch with its validation here, a product of
matrices here, the same there, and again. So a machine that is busy slows both; PyTorch's threads wait for each other
more often, and lose more by it, so figures beside other work flatter the engine.

tail    One fold of a search of MIAS's size as `bench_tail` has it: random weights, batches of 32, SGD with momentum,
        synthetic boundary values, which both sides read from the same arrays. The first epoch of each is not counted.
        bfloat16 is "bfloat16-tail" here and autocast with a bfloat16 input there; float32 weights, statistics and head
        on both sides.
search  The small search of `bench_search` (96 px, five folds) from start to end, then the same trials in PyTorch: the
        configurations, epochs and promotions that the engine's search came to, told to Optuna one after the other.
        Optuna's own pruner would train other epochs. The pixels of the views are made by the engine for both, and
        their seconds are counted on both sides. PyTorch keeps states in memory, the engine on the disk.

With --one-thread the tails are trained in one thread on each side, and every second is one of CPU time: what else the
machine does counts through the caches alone, and no thread waits for another.

Every ratio says how many times faster the engine is. A training step counts three times the operations of the tail's
convolutions; the share is of the rate of products of matrices of the same type, each side's own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from tests.benchmarks.bench_search import MIXED, as_text
from tests.benchmarks.search_setting import FOLDS, SMALL

Clock = Callable[[], float]
BATCH = 32
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
PRECISIONS = {"float32": "float32", "bfloat16": "bfloat16-tail"}


def environment_python(folder: Path) -> Path:
    """The environment's interpreter; PyPI's own builds, as `pip install torch` gives them."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run(["uv", "venv", "--python", sys.executable, str(folder)], check=True)
        wanted = ["torch", "timm", "optuna", "numpy"]
        subprocess.run(["uv", "pip", "install", "--python", str(python), *wanted], check=True)
    return python


class Torch:
    """The other process; its methods are those of `torch_side.Side`."""

    def __init__(self, python: Path) -> None:
        program = Path(__file__).with_name("torch_side.py")
        self._process = subprocess.Popen(
            [str(python), str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(**arguments: Any) -> Any:
            pipe = self._process
            if pipe.stdin is None or pipe.stdout is None:
                raise RuntimeError("no pipe")
            pipe.stdin.write(json.dumps([name, arguments]) + "\n")
            pipe.stdin.flush()
            if not (answer := pipe.stdout.readline()):
                raise RuntimeError(f"the process of PyTorch ended in {name}; its error is above")
            return json.loads(answer)

        return ask

    def end(self) -> None:
        self._process.communicate()


def product_rate(dtype: str, clock: Clock = time.perf_counter) -> float:
    """Operations a second of a product of 2048 × 2048 matrices in TensorFlow, of three."""
    import tensorflow as tf

    matrix = tf.cast(tf.random.stateless_normal((2048, 2048), (0, 0)), dtype)
    seconds = []
    for _ in range(3):
        start = clock()
        tf.matmul(matrix, matrix).numpy()
        seconds.append(clock() - start)
    return 2 * 2048**3 / statistics.median(seconds)


def hand_over(data: Any, folder: Path, torch: Torch) -> None:
    """Give PyTorch the labels and folds of a search's data."""
    arrays = {"labels": data.labels, "offsets": next(iter(data.banks.values())).offsets}
    for fold, (training, validation) in enumerate(data.folds):
        arrays |= {f"training-{fold}": training, f"validation-{fold}": validation}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    torch.data(folder=str(folder), folds=len(data.folds), batch=BATCH)


def compare_tail(torch: Torch, depth: int, dtypes: list[str], epochs: int, side: int, clock: Clock) -> dict[str, Any]:
    """One depth in each type, in turns."""
    from search.bit.architecture import R50X1
    from tests.benchmarks.bench_runs import synthetic_data

    data = synthetic_data((depth,), side)
    with tempfile.TemporaryDirectory() as folder:
        hand_over(data, Path(folder), torch)
        np.save(Path(folder) / "values.npy", data.banks[depth].values)
        torch.given(depth=depth, file=str(Path(folder) / "values.npy"))
    flop = 3 * sum(R50X1.convolution_flop(side)[-depth:]) if depth else 0
    return {dtype: tail_rates(data, torch, depth, dtype, epochs, flop, clock) for dtype in dtypes}


def tail_rates(data: Any, torch: Torch, depth: int, dtype: str, epochs: int, flop: int, clock: Clock) -> dict[str, Any]:
    """Medians of both sides over the epochs after the first; pairs are of the engine and of PyTorch."""
    from search.bit.architecture import R50X1
    from search.bit.weights import random_weights
    from search.plan.space import Configuration
    from search.trials.cross_validation import train_epoch
    from search.trials.data import TrainingSettings
    from search.trials.worker import TrainerPool

    configuration = Configuration(256, dropout=0.3, l2=1e-4, learning_rate=1e-3, unfreeze_depth=depth)
    bank, (training, validation) = data.banks[depth], data.folds[0]
    steps = -(-len(training) // BATCH)
    settings = TrainingSettings(seed=0, batch_size=BATCH, steps_per_epoch=steps, full_epochs=epochs + 1)
    pool = TrainerPool(R50X1, random_weights(R50X1, 0), data, optimizer="sgd", dtype=POLICIES[dtype])
    trainer = pool(configuration)
    trainer.begin(configuration, settings.seed, "fold", 0)
    torch.tail(configuration=vars(configuration), dtype=dtype)

    def engine_epoch(number: int) -> list[float]:
        start = clock()
        train_epoch(trainer, configuration, data, settings, training, number, "fold", 0)
        trained = clock()
        trainer.logits(bank.values, bank.offsets[validation])
        return [trained - start, clock() - trained]

    clocks: list[list[list[float]]] = [[], []]
    products: list[list[float]] = [[], []]
    for number in range(1, epochs + 2):
        clocks[0].append(engine_epoch(number))
        products[0].append(product_rate(dtype, clock))
        clocks[1].append(torch.epoch(number=number, steps=steps, full_epochs=epochs + 1))
        products[1].append(torch.product(dtype=dtype))
    train, validate = ([statistics.median(epoch[part] for epoch in each[1:]) for each in clocks] for part in range(2))
    images, rates = steps * BATCH, [statistics.median(each) for each in products]
    found: dict[str, Any] = {
        "images_trained_a_second": [images / seconds for seconds in train],
        "images_trained_a_second_with_validation": [
            images / (one + other) for one, other in zip(train, validate, strict=True)
        ],
        "times_faster": train[1] / train[0],
        "times_faster_with_validation": (train[1] + validate[1]) / (train[0] + validate[0]),
        "matmul_gflops": [rate / 1e9 for rate in rates],
    }
    if depth:
        reached = [flop * images / seconds for seconds in train]
        found["gflops"] = [rate / 1e9 for rate in reached]
        found["share_of_matmul_rate"] = [rate / product for rate, product in zip(reached, rates, strict=True)]
    return found


def compare_search(torch: Torch, depths: tuple[int, ...], dtype: str) -> dict[str, Any]:
    """The engine's search from start to end, then its trials in PyTorch; pairs are of the engine and of PyTorch."""
    from search.boundary.views import TRUNK_BATCH
    from tests.benchmarks.engine_search import engine_side

    setting = replace(SMALL, precision=PRECISIONS[dtype])
    with tempfile.TemporaryDirectory() as temporary:
        folder, made = Path(temporary), []

        def give(views: Any, data: Any) -> None:
            start = time.perf_counter()
            np.save(folder / "pixels.npy", views.pixels(np.arange(len(views.rows))))
            made.append(time.perf_counter() - start)
            hand_over(data, folder, torch)

        engine = engine_side(setting, depths, folder, one_run_a_depth=None, give=give)
        rates = [engine["matmul_gflops"] * 1e9, product_rate(dtype)]
        filled = made[0] + torch.fill(depths=list(depths), file=str(folder / "pixels.npy"), batch=TRUNK_BATCH)
        steps = engine["images_an_epoch"] // BATCH
        found = torch.search(trials=engine["trials"], steps=steps, full_epochs=setting.max_epochs, dtype=dtype)
        rates.append(product_rate(dtype))
    searched = [engine["wall"] - engine["bank_seconds"], found["seconds"]]
    seconds = [engine["wall"], filled + found["seconds"]]
    return {
        "how": f"{engine['runs']} trials, {engine['epochs']} epochs on {FOLDS} folds, depths {depths}",
        "seconds": seconds,
        "times_faster": seconds[1] / seconds[0],
        "seconds_of_the_frozen_part": [engine["bank_seconds"], filled],
        "seconds_without_the_frozen_part": searched,
        "times_faster_without_the_frozen_part": searched[1] / searched[0],
        "seconds_of_building_graphs": [sum(engine["builds"]), None],
        "objective": [engine["objective"], found["objective"]],
        "matmul_gflops_here_during_and_after_the_search_and_after_the_other": [rate / 1e9 for rate in rates],
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--what", default="tail,search")
    parser.add_argument("--depths", default="0,1,2,3,4,5,6", help="of the tails; the search has 0 to 3")
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument(
        "--environment", type=Path, default=Path(platformdirs.user_cache_dir("mammo-search"), "bench_torch")
    )
    parser.add_argument("--one-thread", action="store_true", help="tails: CPU time of one thread, beside other work")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from search.machine.libraries import start_tensorflow

    torch, dtypes, what = Torch(environment_python(options.environment)), options.dtypes.split(","), options.what
    start_tensorflow(deterministic=True)
    clock: Clock = time.perf_counter
    if options.one_thread:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        torch.one_thread()
        clock = time.process_time
    versions = ", ".join(f"{name} {each}" for name, each in torch.versions().items())
    answer: dict[str, Any] = {}

    def found(name: str, value: Any) -> None:
        answer[name] = value
        if not options.json:
            sys.stdout.write(as_text({name: value}) + "\n")
            sys.stdout.flush()

    found("versions", versions)
    found("load_at_the_start", os.getloadavg()[0])

    for depth in map(int, options.depths.split(",") if "tail" in what else ()):
        # The head alone takes milliseconds, and is float32 always.
        epochs = options.epochs if depth else 10 * options.epochs
        each = dtypes if depth else ["float32"]
        found(f"depth {depth}", compare_tail(torch, depth, each, epochs, options.side, clock))
    for dtype in dtypes if "search" in what else ():
        found(f"search, {dtype}", compare_search(torch, MIXED, dtype))
    found("load_at_the_end", os.getloadavg()[0])
    torch.end()
    if options.json:
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")


if __name__ == "__main__":
    main()
