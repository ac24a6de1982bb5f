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
from reports.page.tensorboard import write_final, write_trials
from tests.support.simulated import CLASS_NAMES, simulated_predictions, simulated_trials

DEADLINE_SECONDS = 180
OVERLAY_TAG = "localisation/malignant-right-1-mdb001"


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tensorboard")
    write_trials(simulated_trials(), directory, class_names=CLASS_NAMES)
    # Twice, as a resumed search does: nothing may appear twice.
    write_trials(simulated_trials(), directory, class_names=CLASS_NAMES)
    pictures = tmp_path_factory.mktemp("figures")
    figures = write_figures(simulated_predictions(), None, pictures)
    ramp = np.linspace(0, 1, 48 * 48, dtype=np.float32).reshape(48, 48)
    overlay = Overlay("mdb001: malignant", "", (255 * ramp).astype(np.uint8), ramp, ((20.0, 20.0, 8.0),))
    figures[OVERLAY_TAG] = write_overlay(overlay, pictures / "overlay.png")
    write_final(figures, "# The exported model", directory)
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
    expected = {f"trial_{record.run:04d}" for record in records}
    tags = until(lambda: ask(f"{address}/data/plugin/scalars/tags"), lambda found: expected <= set(found))
    folds = {f"{curve}/fold_{number}" for curve in records[3].curves for number in range(1, 6)}
    assert set(tags["trial_0003"]) == {*records[3].curves, *folds, "objective", "best_epoch", "seconds"}
    # With more runs its pages of images and texts come up empty.
    assert len(ask(f"{address}/data/runs")) <= 40

    query = urllib.parse.urlencode({"run": "trial_0003", "tag": "val_macro_auc/fold_3"})
    points = ask(f"{address}/data/plugin/scalars/scalars?{query}")
    assert [step for _, step, _ in points] == [1, 2, 3, 4]
    assert [value for *_, value in points] == pytest.approx(records[3].curves["val_macro_auc"][2], abs=1e-6)

    experiment = until(
        lambda: ask(f"{address}/data/plugin/hparams/experiment", {"experimentName": ""}),
        lambda found: bool(found.get("hparamInfos")),
    )
    names = [info["name"] for info in experiment["hparamInfos"]]
    assert names[:5] == ["dense_width", "dropout", "l2", "learning_rate", "unfreeze_depth"]
    assert {"lineage/bracket", "lineage/rung", "lineage/epochs", "lineage/parent", "lineage/status"} <= set(names)
    metrics = [{"tag": info["name"]["tag"], "group": ""} for info in experiment["metricInfos"]]
    assert {"objective", "val_macro_auc", "seconds"} <= {metric["tag"] for metric in metrics}

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
    by_name = {group["name"]: group for group in groups}
    winner = by_name["trial 021"]
    assert winner["hparams"]["lineage/parent"] == f"trial {records[21].parent:03d}"
    assert winner["hparams"]["lineage/epochs"] == 30
    values = {value["name"]["tag"]: value["value"] for value in winner["metricValues"]}
    assert values["objective"] == pytest.approx(records[21].objective, abs=1e-6)
    assert by_name["trial 007"]["hparams"]["lineage/status"] == "failed"
    assert by_name["trial 007"]["sessions"][0]["status"] == "STATUS_FAILURE"


def test_tensorboard_shows_the_final_model(address: str) -> None:
    images = until(lambda: ask(f"{address}/data/plugin/images/tags"), lambda found: "final" in found)
    assert set(images["final"]) == {"roc", "confusion_matrix", "class_metrics", OVERLAY_TAG}
    for tag in ("roc", OVERLAY_TAG):
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
