from __future__ import annotations

import json
import os
import re
import selectors
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.errors import ReportError
from reports.figures.overlays import Overlay, write_overlay
from reports.figures.write import write_figures
from reports.page.tensorboard import EVENT_FILE, write_final, write_trials
from reports.trials import best_first
from tests.support.simulated import CLASS_NAMES, simulated_predictions, simulated_trials

DEADLINE_SECONDS = 180
OVERLAY = "localisation/malignant-right-1-mdb001"


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tensorboard")
    write_trials(simulated_trials(), directory, class_names=CLASS_NAMES)
    # Twice, as a resumed search does, and after an earlier version: nothing may appear twice.
    for older in (directory / EVENT_FILE, directory / "trial_0003" / EVENT_FILE):
        older.parent.mkdir(exist_ok=True)
        older.write_bytes(b"")
    write_trials(simulated_trials(), directory, class_names=CLASS_NAMES)
    pictures = tmp_path_factory.mktemp("figures")
    figures = write_figures(simulated_predictions(), None, pictures)
    ramp = np.linspace(0, 1, 48 * 48, dtype=np.float32).reshape(48, 48)
    overlay = Overlay("mdb001: malignant", "", (255 * ramp).astype(np.uint8), ramp, ((20.0, 20.0, 8.0),))
    figures[OVERLAY] = write_overlay(overlay, pictures / "overlay.png")
    metrics = {"macro_ovr_auc": {"value": 0.75, "lower": 0.5, "upper": 0.9}, "brier": None}
    write_final(figures, "# The exported model", directory, metrics=metrics)
    return directory


@pytest.fixture(scope="module")
def address(logs: Path) -> Iterator[str]:
    """A real TensorBoard process on loopback; the address that it prints."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logs), "--host", "127.0.0.1", "--port", "0"]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    process = subprocess.Popen(
        [*command, "--load_fast=false", "--reload_interval=1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
    )
    try:
        yield _address_printed_by(process)
    finally:
        process.terminate()
        process.wait(timeout=30)
        if process.stderr:
            process.stderr.close()


def _address_printed_by(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr is not None
    printed = b""
    end = time.monotonic() + DEADLINE_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        while time.monotonic() < end and selector.select(timeout=end - time.monotonic()):
            piece = os.read(process.stderr.fileno(), 65536)
            printed += piece
            found = re.search(rb"http://127\.0\.0\.1:\d+", printed)
            if found:
                return found.group().decode()
            if not piece:
                break
    raise AssertionError(f"TensorBoard printed no address: {printed.decode(errors='replace')}")


def ask(url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def until(question: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    """Asks again until the answer is good or the deadline has passed; TensorBoard loads its logs in the background."""
    end = time.monotonic() + DEADLINE_SECONDS
    answer = None
    while time.monotonic() < end:
        try:
            answer = question()
        except (urllib.error.URLError, ConnectionError) as problem:
            answer = problem
        else:
            if good(answer):
                return answer
        time.sleep(0.2)  # between two questions only; the loop ends by the answer
    raise AssertionError(f"no good answer in {DEADLINE_SECONDS} s; the last one: {answer!r:.500}")


def test_tensorboard_shows_every_fold_and_every_session(address: str) -> None:
    records = simulated_trials()
    tags = until(lambda: ask(f"{address}/data/plugin/scalars/tags"), lambda found: len(found) == len(records) + 1)
    # With more than 40 its pages of images and texts come up empty; each has something to draw.
    assert set(ask(f"{address}/data/runs")) == set(tags)
    assert all(tags.values())
    assert set(tags["final"]) == {"held_out/macro_ovr_auc"}
    (run,) = [name for name in tags if name.startswith("trial 03, ")]
    width, rate = records[3].hyperparameters["dense_width"], records[3].hyperparameters["learning_rate"]
    depth = records[3].hyperparameters["unfreeze_depth"]
    assert run == f"trial 03, 4 epochs, depth {depth}, lr {rate:.3g}, dense_width {width}"
    curves = {"train_loss", *records[3].curves} - {"loss"}
    folds = {f"folds/{curve}/fold_{number}" for curve in curves for number in range(1, 6)}
    assert set(tags[run]) == {*(f"curves/{curve}" for curve in (*curves, "objective")), *folds, "seconds"}
    # The page of curves shows them in the order of their names, and opens the first two groups.
    assert min(tags[run]) == "curves/objective"
    groups = {tag.split("/")[0] for tag in (*tags[run], *tags["final"], "figures/roc")}
    assert sorted(groups)[:2] == ["curves", "figures"]

    query = urllib.parse.urlencode({"run": run, "tag": "folds/val_macro_auc/fold_3"})
    points = ask(f"{address}/data/plugin/scalars/scalars?{query}")
    assert [step for _, step, _ in points] == [1, 2, 3, 4]
    assert [value for *_, value in points] == pytest.approx(records[3].curves["val_macro_auc"][2], abs=1e-6)

    experiment = until(
        lambda: ask(f"{address}/data/plugin/hparams/experiment", {"experimentName": ""}),
        lambda found: bool(found.get("hparamInfos")),
    )
    names = [info["name"] for info in experiment["hparamInfos"]]
    # Five are shown, in the order of their names; l2 is behind them.
    assert names[:5] == ["budget", "dense_width", "dropout", "learning_rate", "unfreeze_depth"]
    assert [info["displayName"] for info in experiment["hparamInfos"]].index("epochs") == 0
    assert {f"trial/{name}" for name in ("bracket", "rung", "parent", "status")} <= set(names)
    metrics = [{"tag": info["name"]["tag"], "group": ""} for info in experiment["metricInfos"]]
    assert metrics[0]["tag"] == "curves/objective"
    widths = next(info for info in experiment["hparamInfos"] if info["name"] == "dense_width")["domainDiscrete"]
    assert [int(width) for width in widths] == sorted({record.hyperparameters["dense_width"] for record in records})

    groups = until(
        lambda: ask(
            f"{address}/data/plugin/hparams/session_groups",
            {
                "experimentName": "",
                "allowedStatuses": ["STATUS_SUCCESS", "STATUS_FAILURE"],
                "colParams": [{"metric": metric} for metric in metrics],
                "startIndex": 0,
                "sliceSize": 100,
            },
        ),
        lambda found: found.get("totalSize") == len(records),
    )["sessionGroups"]
    # The page asks for no order: best first at the full budget, then those of fewer epochs, failed ones last.
    shown = [group["name"].strip() for group in groups]
    assert shown == [f"trial {record.trial:02d}" for record in best_first(records)]
    by_number = {int(name.removeprefix("trial ")): group for name, group in zip(shown, groups, strict=True)}
    winner, record = by_number[21], records[21]
    assert winner["hparams"]["trial/parent"] == f"trial {record.parent:02d}"
    for name, value in (("budget", 30), ("trial/best_epoch", record.best_epoch)):
        assert winner["hparams"][name].strip() == str(value), "a number would be shown as 30.000"
    values = {value["name"]["tag"]: value["value"] for value in winner["metricValues"]}
    assert values["curves/objective"] == pytest.approx(records[21].objective, abs=1e-6)
    assert by_number[7]["hparams"]["trial/status"] == "failed"
    assert by_number[7]["sessions"][0]["status"] == "STATUS_FAILURE"


def test_tensorboard_shows_the_final_model(address: str) -> None:
    images = until(lambda: ask(f"{address}/data/plugin/images/tags"), lambda found: "final" in found)
    assert set(images["final"]) == {f"figures/{name}" for name in ("roc", "confusion_matrix", "class_metrics", OVERLAY)}
    for tag in ("figures/roc", f"figures/{OVERLAY}"):
        query = urllib.parse.urlencode({"run": "final", "tag": tag, "sample": 0})
        (entry,) = ask(f"{address}/data/plugin/images/images?{query}")
        picture = f"{address}/data/plugin/images/individualImage?{entry['query']}"
        with urllib.request.urlopen(picture, timeout=30) as png:
            header = png.read(24)
        assert header.startswith(b"\x89PNG")
        assert int.from_bytes(header[16:20], "big") > 100, "pixels wide"
    query = urllib.parse.urlencode({"run": "final", "tag": "summary"})
    (summary,) = ask(f"{address}/data/plugin/text/text?{query}")
    assert "The exported model" in summary["text"]


def test_a_figure_that_is_no_png_is_named(tmp_path: Path) -> None:
    (tmp_path / "roc.png").write_text("no picture")
    with pytest.raises(ReportError, match=r"roc\.png"):
        write_final({"roc": tmp_path / "roc.png"}, "", tmp_path)


def test_writing_needs_no_tensorflow(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from reports.page.tensorboard import write_trials\n"
        "from tests.support.simulated import simulated_trials\n"
        "write_trials(simulated_trials(), Path(sys.argv[1]), class_names=('a', 'b', 'c'))\n"
        "sys.exit('tensorflow' in sys.modules)\n"
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, cwd=root)
