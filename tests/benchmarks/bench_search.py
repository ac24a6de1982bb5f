"""The engine beside plain KerasTuner: the same backbone, plan, images, seeds, hyperparameters and precision.

Run: uv run python tests/benchmarks/bench_search.py [--full | --full-mixed] [--depths 0,1,2,3]
         [--precision float32 | bfloat16-tail | bfloat16 | auto] [--plain-precision ...] [--data [PATH]] [--json]

Each side runs in a process of its own, one after the other, on synthetic films or on those of --data (without a path
MIAS, where the tests look for it: MAMMO_SEARCH_MIAS, or ../shared/mias):

plain   KerasTuner's own build, fit and checkpoint of every run, the frozen part in the graph, one validation split
        (`plain_search`).
engine  boundary banks, compiled tails, five folds for every run (`engine_search`).

--precision auto is what `mammo-search run` would take here. Plain KerasTuner has the same, its frozen part included,
unless --plain-precision says otherwise: without a word it would train in float32.

The small setting searches twice at 96 px, at depth 0 alone and at the depths together, on both sides from start to end.

With --full it is 224 px, as many images as MIAS has, and the plan of 40 runs, which is pinned: 38 trials of 28
configurations, 420 epochs. Run from start to end are the engine's search at depth 0, bank included, and on both sides a
search of one run of two epochs at each depth. From the parts of the latter is projected what would take hours to a day:
runs, epochs and graphs of the plan of 40, the depths in equal shares. How far the parts of a search that was run add up
to its measured time is printed beside it. "Same folds" is always plain KerasTuner's single split times the number of
folds. --full-mixed leaves the search at depth 0 out.

Pairs are of plain KerasTuner and of the engine, and of the same thing: an epoch is one of one split with its
validation, and what a run takes beside its epochs is building, tracing and files, once for the first run of a graph and
once for a later one, which plain KerasTuner builds again. Rates of matrix products in the tail's type, measured between
the runs, say whether the machine was as fast on both sides.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tests.benchmarks.search_setting import FOLDS, FULL, MIAS, SMALL, Setting, planned

MIXED = (0, 1, 2, 3)
EPOCHS_A_DEPTH = 2
"""Of plain KerasTuner's runs the first traces the graphs."""


def side(name: str, setting: Setting, depths: tuple[int, ...], workspace: Path, epochs: int | None) -> dict[str, Any]:
    """One side in a process of its own."""
    work = json.dumps([name, asdict(setting), depths, str(workspace), epochs])
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(Path(__file__).parents[2])}
    arguments = [sys.executable, __file__, "--work", work]
    done = subprocess.run(arguments, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def run_side(name: str, setting: dict[str, Any], depths: list[int], workspace: str, epochs: int | None) -> None:
    """What the process of one side does; its last line is the answer."""
    if name == "plain":
        from tests.benchmarks.plain_search import plain_side as searched
    else:
        from tests.benchmarks.engine_search import engine_side as searched
    result = searched(Setting(**setting), tuple(depths), Path(workspace), one_run_a_depth=epochs)
    sys.stdout.write(json.dumps(result, default=float) + "\n")


def resolved(precision: str, workspace: Path) -> str:
    """The precision's name, where it is "auto" that which a run would take on this machine."""
    from search.bit.precision import choose_precision
    from search.machine.libraries import start_tensorflow

    if precision != "auto":
        return precision
    start_tensorflow(deterministic=True)
    from search.bit.precision_probe import bfloat16_gain

    choice = choose_precision("auto", gain=lambda: bfloat16_gain(workspace))
    sys.stderr.write(f"auto is {choice.name} here: {choice.reason}\n")
    return choice.name


def compare_small(settings: dict[str, Setting], depths: tuple[int, ...], workspace: Path) -> dict[str, Any]:
    """Both searches from start to end, at depth 0 and mixed."""
    answer: dict[str, Any] = {}
    for each in ((0,), depths):
        folder = workspace / str(len(answer))
        plain, engine = (side(name, settings[name], each, folder, None) for name in ("plain", "engine"))
        answer[in_words(each)] = {
            "how": f"run from start to end on both sides: {engine['runs']} runs, {engine['epochs']} epochs",
            **comparison(plain["wall"], engine["wall"]),
            **rates(plain, engine),
            **figures(plain, engine),
        }
    return answer


def compare_full(
    settings: dict[str, Setting], depths: tuple[int, ...], workspace: Path, *, mixed_only: bool
) -> dict[str, Any]:
    """The plan of 40 runs, as the module says."""
    plan, configurations = planned(settings["engine"], depths, None)
    graphs = {(each.unfreeze_depth, each.head_width) for each in configurations[: plan.configurations]}
    plain, mixed = (
        side(name, settings[name], depths, workspace / "mixed", EPOCHS_A_DEPTH) for name in ("plain", "engine")
    )
    projected = engine_seconds(mixed, runs=plan.trials, epochs=plan.epochs, graphs=len(graphs))
    answer: dict[str, Any] = {}
    if not mixed_only:
        alone = side("engine", settings["engine"], (0,), workspace / "alone", None)
        answer["depth 0"] = {
            "how": f"engine run from start to end, bank included: {alone['runs']} runs, {alone['epochs']} epochs; "
            f"plain projected from its run of {EPOCHS_A_DEPTH} epochs",
            **comparison(plain_seconds(plain, (0,), runs=plan.trials, epochs=plan.epochs), alone["wall"]),
            **rates(plain, alone),
            "bank_seconds": alone["bank_seconds"],
            "engine_disk_gb_and_at_the_end": [alone["disk"] / 1e9, alone["disk_at_the_end"] / 1e9],
            "engine_runs_with_checkpoints_and_bound": alone["checkpoints"],
            "engine_anonymous_memory_gb": alone["memory"] / 1e9,
        }
    return answer | {
        f"{in_words(depths)}, one run each": {
            "how": f"run from start to end on both sides: {mixed['runs']} runs, {mixed['epochs']} epochs",
            **comparison(plain["wall"], mixed["wall"]),
            "engine_without_bank_seconds": mixed["wall"] - mixed["bank_seconds"],
            **rates(plain, mixed),
            **figures(plain, mixed),
        },
        in_words(depths): {
            "how": f"projected on both sides from the runs above: {plan.trials} runs, {plan.epochs} epochs, "
            f"{len(graphs)} graphs",
            **comparison(plain_seconds(plain, depths, runs=plan.trials, epochs=plan.epochs), projected),
        },
    }


def in_words(depths: tuple[int, ...]) -> str:
    return f"depth{'s' * (len(depths) > 1)} {', '.join(map(str, depths))}"


def plain_seconds(plain: dict[str, Any], depths: tuple[int, ...], *, runs: int, epochs: int) -> float:
    """Seconds of a plan on one split, from the parts of measured runs; the depths have equal shares."""
    total = plain["space_build"]
    for depth in depths:
        measured = [run for run in plain["runs"] if run["depth"] == depth]
        steady = statistics.mean(seconds for run in measured for seconds in run["epochs"][1:])
        once = statistics.mean(run["build"] + max(0.0, run["epochs"][0] - steady) + run["rest"] for run in measured)
        total += (runs * once + epochs * steady) / len(depths)
    return total


def engine_seconds(engine: dict[str, Any], *, runs: int, epochs: int, graphs: int) -> float:
    """Seconds of a plan on all folds, bank included, from the parts of measured runs; depths have equal shares."""
    epoch = statistics.mean(cost["train"] + cost["validate"] for cost in engine["by_depth"].values())
    beside = runs * statistics.median(engine["overhead"]) + graphs * statistics.mean(engine["builds"])
    return engine["bank_seconds"] + beside + epochs * FOLDS * epoch


def comparison(plain: float, engine: float) -> dict[str, float]:
    """Times and ratios of two searches."""
    return {
        "plain_single_split_seconds": plain,
        "plain_same_folds_seconds": plain * FOLDS,
        "engine_five_folds_seconds": engine,
        "times_faster_than_single_split": plain / engine,
        "times_faster_than_same_folds": plain * FOLDS / engine,
    }


def rates(plain: dict[str, Any], engine: dict[str, Any]) -> dict[str, Any]:
    """Steady epochs with their validations, depth by depth."""
    found = {}
    for depth, cost in engine["by_depth"].items():
        steady = [seconds for run in plain["runs"] if run["depth"] == int(depth) for seconds in run["epochs"][1:]]
        slow = plain["images_an_epoch"] / statistics.mean(steady) if steady else None
        fast = engine["images_an_epoch"] / (cost["train"] + cost["validate"])
        found[f"depth {depth}"] = {
            "images_trained_a_second": [slow, fast],
            "ratio": fast / slow if slow else None,
            **{name: cost[name] for name in cost if name not in ("train", "validate")},
        }
    return found | {"matmul_gflops_meanwhile": [plain["matmul_gflops"], engine["matmul_gflops"]]}


def figures(plain: dict[str, Any], engine: dict[str, Any]) -> dict[str, Any]:
    """What searches over the same runs took beside their epochs."""
    trained = FOLDS * engine["epochs"] * engine["images_an_epoch"]
    parts = engine_seconds(engine, runs=engine["runs"], epochs=engine["epochs"], graphs=len(engine["builds"]))
    beside = statistics.median(
        run["build"] + run["rest"] + max(0.0, run["epochs"][0] - statistics.mean(run["epochs"][1:]))
        for run in plain["runs"]
        if run["epochs"][1:]
    )
    overhead = statistics.median(engine["overhead"])
    return {
        "engine_images_trained_a_second_of_the_whole_search_without_bank": trained
        / (engine["wall"] - engine["bank_seconds"]),
        "engine_parts_in_equal_shares_of_the_depths_add_up_to_so_much_of_its_time": parts / engine["wall"],
        "seconds_beside_the_epochs_of_the_first_run_of_a_graph": [
            beside,
            overhead + statistics.median(engine["builds"]),
        ],
        "seconds_beside_the_epochs_of_a_later_run_of_it": [beside, overhead],
        "engine_seconds_of_the_slowest_graph": max(engine["builds"]),
        "bank_seconds": engine["bank_seconds"],
        "bank_gb": engine["bank_bytes"] / 1e9,
        "objective_of_one_split_and_of_five_folds": [plain["objective"], engine["objective"]],
        "disk_gb": [plain["disk"] / 1e9, engine["disk"] / 1e9],
        "disk_at_the_end_gb": [plain["disk_at_the_end"] / 1e9, engine["disk_at_the_end"] / 1e9],
        "engine_runs_with_checkpoints_and_bound": engine["checkpoints"],
        "anonymous_memory_gb": [plain["memory"] / 1e9, engine["memory"] / 1e9],
    }


def as_text(answer: dict[str, Any], indent: str = "") -> str:
    """Nested figures as indented lines."""
    lines = []
    for name, value in answer.items():
        if isinstance(value, dict):
            lines += [f"{indent}{name}", as_text(value, indent + "  ")]
        elif isinstance(value, str):
            lines.append(f"{indent}{name}: {value}")
        else:
            values = value if isinstance(value, list) else [value]
            shown = " and ".join(
                "–" if each is None else each if isinstance(each, str) else f"{each:,.3g}" for each in values
            )
            lines.append(f"{indent}{str(name).replace('_', ' '):<74} {shown}")
    return "\n".join(lines)


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--full-mixed", action="store_true")
    parser.add_argument("--depths", default=",".join(map(str, MIXED)))
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--plain-precision", help="that of --precision unless given")
    parser.add_argument("--data", nargs="?", const=str(MIAS), default="", help="real films; MIAS without a path")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        run_side(*options.work)
        return
    depths = tuple(map(int, options.depths.split(",")))
    with tempfile.TemporaryDirectory() as folder:
        full, workspace = options.full or options.full_mixed, Path(folder)
        engine = replace(FULL if full else SMALL, films=options.data, precision=resolved(options.precision, workspace))
        settings = {"plain": replace(engine, precision=options.plain_precision or engine.precision), "engine": engine}
        answer: dict[str, Any] = {
            "precision": [settings[name].precision for name in ("plain", "engine")],
            "load_at_the_start": os.getloadavg()[0],
        }
        if full:
            answer |= compare_full(settings, depths, workspace, mixed_only=not options.full)
        else:
            answer |= compare_small(settings, depths, workspace)
    answer["load_at_the_end"] = os.getloadavg()[0]
    sys.stdout.write((json.dumps(answer, indent=2) if options.json else as_text(answer)) + "\n")


if __name__ == "__main__":
    main()
