"""The engine beside plain KerasTuner: the same backbone, plan, images, seeds and hyperparameters.

Run: uv run python tests/benchmarks/bench_search.py [--full | --full-mixed] [--json]

Each side runs in a process of its own, one after the other, on synthetic films, in float32:

plain   KerasTuner's own build, fit and checkpoint of every run, the frozen part in the graph, one validation split
        (`plain_search`).
engine  boundary banks, compiled tails, five folds for every run (`engine_search`).

The small setting searches twice at 96 px, at depth 0 alone and at depths 0 to 3, on both sides from start to end.

With --full it is 224 px, as many images as MIAS has, and the plan of 40 runs. Run from start to end are the engine's
search at depth 0, bank included, and on both sides a search of four runs of two epochs, one at each depth. From the
parts of the latter is projected what would take hours to a day: runs, epochs and graphs of the plan of 40, the depths
in equal shares. How far the parts of a search that was run add up to its measured time is printed beside it. "Same
folds" is always plain KerasTuner's single split times the number of folds. --full-mixed leaves the search at depth 0
out. Rates of matrix products, measured between the runs, say whether the machine was as fast on both sides.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.search_setting import FOLDS, FULL, SETTINGS, Setting, planned

MIXED = (0, 1, 2, 3)
EPOCHS_A_DEPTH = 2
"""Of plain KerasTuner's runs the first traces the graphs."""


def side(name: str, setting: str, depths: tuple[int, ...], workspace: Path, *, one_run_a_depth: bool) -> dict[str, Any]:
    """One side in a process of its own."""
    arguments = [sys.executable, __file__, "--side", name, "--setting", setting, "--workspace", str(workspace)]
    arguments += ["--depths", ",".join(map(str, depths)), *(["--one-run-a-depth"] if one_run_a_depth else [])]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(arguments, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def run_side(name: str, setting: Setting, depths: tuple[int, ...], workspace: Path, epochs: int | None) -> None:
    """What the process of one side does; its last line is the answer."""
    if name == "plain":
        from tests.benchmarks.plain_search import plain_side

        result = plain_side(setting, depths, workspace, one_run_a_depth=epochs)
    else:
        from tests.benchmarks.engine_search import engine_side

        result = engine_side(setting, depths, workspace, one_run_a_depth=epochs)
    sys.stdout.write(json.dumps(result, default=float) + "\n")


def compare_small(workspace: Path) -> dict[str, Any]:
    """Both searches from start to end, at depth 0 and mixed."""
    answer: dict[str, Any] = {}
    for name, depths in (("depth 0", (0,)), ("depths 0 to 3", MIXED)):
        folder = workspace / name.replace(" ", "-")
        plain, engine = (side(each, "small", depths, folder, one_run_a_depth=False) for each in ("plain", "engine"))
        answer[name] = {
            "how": f"run from start to end on both sides: {engine['runs']} runs, {engine['epochs']} epochs",
            **comparison(plain["wall"], engine["wall"]),
            **figures(plain, engine),
        }
    return answer


def compare_full(workspace: Path, *, mixed_only: bool) -> dict[str, Any]:
    """The plan of 40 runs, as the module says."""
    plan, configurations = planned(FULL, MIXED, None)
    graphs = {(each.unfreeze_depth, each.head_width) for each in configurations[: plan.configurations]}
    plain, mixed = (
        side(each, "full", MIXED, workspace / "mixed", one_run_a_depth=True) for each in ("plain", "engine")
    )
    projected = engine_seconds(mixed, runs=plan.trials, epochs=plan.epochs, graphs=len(graphs))
    answer: dict[str, Any] = {}
    if not mixed_only:
        alone = side("engine", "full", (0,), workspace / "alone", one_run_a_depth=False)
        answer["depth 0"] = {
            "how": f"engine run from start to end, bank included: {alone['runs']} runs, {alone['epochs']} epochs; "
            f"plain projected from its run of {EPOCHS_A_DEPTH} epochs",
            **comparison(plain_seconds(plain, (0,), runs=plan.trials, epochs=plan.epochs), alone["wall"]),
            **figures(plain, alone),
        }
    return answer | {
        "depths 0 to 3, one run each": {
            "how": f"run from start to end on both sides: {mixed['runs']} runs, {mixed['epochs']} epochs",
            **comparison(plain["wall"], mixed["wall"]),
            "engine_without_bank_seconds": mixed["wall"] - mixed["bank_seconds"],
            **figures(plain, mixed),
        },
        "depths 0 to 3": {
            "how": f"projected on both sides from the runs above: {plan.trials} runs, {plan.epochs} epochs, "
            f"{len(graphs)} graphs",
            **comparison(plain_seconds(plain, MIXED, runs=plan.trials, epochs=plan.epochs), projected),
        },
    }


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


def figures(plain: dict[str, Any], engine: dict[str, Any]) -> dict[str, Any]:
    """Everything but the whole times; pairs are of plain KerasTuner and of the engine."""
    rates = {}
    for depth, cost in engine["by_depth"].items():
        steady = [seconds for run in plain["runs"] if run["depth"] == int(depth) for seconds in run["epochs"][1:]]
        slow = plain["images_an_epoch"] / statistics.mean(steady) if steady else None
        fast = engine["images_an_epoch"] / (cost["train"] + cost["validate"])
        rates[f"depth {depth}"] = {
            "images_trained_a_second": [slow, fast],
            "ratio": fast / slow if slow else None,
            **{name: cost[name] for name in cost if name not in ("train", "validate")},
        }
    trained = FOLDS * engine["epochs"] * engine["images_an_epoch"]
    parts = engine_seconds(engine, runs=engine["runs"], epochs=engine["epochs"], graphs=len(engine["builds"]))
    before = [run["build"] + run["rest"] + run["epochs"][0] for run in plain["runs"]]
    return {
        **rates,
        "engine_images_trained_a_second_of_the_whole_search_without_bank": trained
        / (engine["wall"] - engine["bank_seconds"]),
        "engine_parts_in_equal_shares_of_the_depths_add_up_to_so_much_of_its_time": parts / engine["wall"],
        "seconds_of_a_run_before_its_second_epoch": [statistics.median(before), None],
        "seconds_of_overhead_a_run": [None, statistics.median(engine["overhead"])],
        "seconds_of_a_graph_built_median_and_most": [statistics.median(engine["builds"]), max(engine["builds"])],
        "bank_seconds": engine["bank_seconds"],
        "bank_gb": engine["bank_bytes"] / 1e9,
        "objective": [plain["objective"], engine["objective"]],
        "disk_gb": [plain["disk"] / 1e9, engine["disk"] / 1e9],
        "disk_at_the_end_gb": [None, engine["disk_at_the_end"] / 1e9],
        "runs_with_checkpoints_and_bound": engine["checkpoints"],
        "anonymous_memory_gb": [plain["memory"] / 1e9, engine["memory"] / 1e9],
        "matmul_gflops_meanwhile": [plain["matmul_gflops"], engine["matmul_gflops"]],
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
            shown = " and ".join("–" if each is None else f"{each:,.3g}" for each in values)
            lines.append(f"{indent}{str(name).replace('_', ' '):<74} {shown}")
    return "\n".join(lines)


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--full-mixed", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=["plain", "engine"], help=argparse.SUPPRESS)
    parser.add_argument("--setting", choices=list(SETTINGS), help=argparse.SUPPRESS)
    parser.add_argument("--depths", default="0", help=argparse.SUPPRESS)
    parser.add_argument("--one-run-a-depth", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--workspace", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        depths = tuple(map(int, options.depths.split(",")))
        epochs = EPOCHS_A_DEPTH if options.one_run_a_depth else None
        run_side(options.side, SETTINGS[options.setting], depths, options.workspace, epochs)
        return
    with tempfile.TemporaryDirectory() as folder:
        full = options.full or options.full_mixed
        answer = compare_full(Path(folder), mixed_only=not options.full) if full else compare_small(Path(folder))
    sys.stdout.write((json.dumps(answer, indent=2) if options.json else as_text(answer)) + "\n")


if __name__ == "__main__":
    main()
