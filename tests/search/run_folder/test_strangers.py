"""Folders that somebody else sent, or that were damaged: whatever a file says, commands end in an answer or one line.

Single values of a finished run's files are replaced, and all checksums made to fit: only what is asked of the values
themselves stands between them and the program.
"""

import contextlib
import hashlib
import io
import json
import math
import os
import shutil
import tempfile
import time
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rich.table import Table

from search.cli.tensorboard import write_events
from search.config.reading import load_config
from search.errors import RunError, UserError
from search.export.metadata import find_model
from search.plan.protocol import plan_run, require_planned
from search.run_folder.directory import RunDirectory
from search.run_folder.lookup import find_run
from search.run_folder.status import all_statuses
from search.run_folder.trial_log import read_records
from search.screen.output import messages
from tests.support.command_line import typed

SECRET = b"secret: 7c1b2f"
ESCAPE = "\x1b]0;owned\x07\x1b[2J"
DEEP: list = []
for _ in range(400):
    DEEP = [DEEP]
VALUES = (
    *(None, True, -1, 0, 10**30, 10**4000, -(10**30), 1e308, -1e308, 5e-324, math.nan, math.inf),
    *("", "x", ESCAPE, "<script>alert(1)</script>", "a\nb", "\ud800", "../../secret.png", "/etc/passwd", "NaN"),
    *("2026-13-45T00:00:00+00:00", "0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59-23:59", "2026-01-01"),
    *([], {}, [[]], [None], {"a": DEEP}, DEEP, list(range(3000)), {"class_name": "x"}, [ESCAPE], {ESCAPE: ESCAPE}),
)
FILES = (
    *("run.json", "trials.jsonl", ".session.json", "config.toml", "split.csv"),
    *("best/summary.json", "best/metrics.json", "best/bit_mammography_final.keras.json"),
)
SMALL_PART = shutil.ignore_patterns("checkpoints", "oof", "tensorboard", ".lock", "*0.json", "oracle.json")


@pytest.fixture(scope="module")
def sent(finished, tmp_path_factory):
    """Two runs beside each other, "good" and "sent", and a secret outside of both."""
    place = tmp_path_factory.mktemp("strangers")
    for name in ("good", "sent"):
        shutil.copytree(finished[1].directory.path, place / "runs" / name, ignore=SMALL_PART)
    (place / "secret.png").write_bytes(b"\x89PNG\r\n\x1a\n" + SECRET)
    (place / "runs" / "secret.png").write_bytes(b"\x89PNG\r\n\x1a\n" + SECRET)
    run = RunDirectory(place / "runs" / "sent")
    session = {"pid": 7, "host": "far", "since": "2026-01-01T00:00:00+00:00", "error": "broke", "interrupted": False}
    (run.path / ".session.json").write_text(json.dumps({"ended": session["since"], **session}))
    return run


def places(value, before=()):
    """Ways to every value inside a value."""
    yield before
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value[:3]):
            yield from places(part, (*before, key))


def put(value, way, new):
    if not way:
        return new
    value[way[0]] = put(value[way[0]], way[1:], new)
    return value


def mutated(draw, file):
    """The content of a file with one value replaced."""
    text = file.read_bytes()
    new = draw(st.sampled_from(VALUES))
    if file.suffix not in (".json", ".jsonl"):
        lines = text.decode().splitlines()
        place = draw(st.integers(0, len(lines) - 1))
        head, sign, _ = lines[place].partition("=" if file.suffix == ".toml" else ",")
        lines[place] = f"{head}{sign}{json.dumps(new) if file.suffix == '.toml' else new}"
        return "\n".join(lines).encode("utf-8", "surrogatepass")
    first, *others = text.splitlines(keepends=True) if file.suffix == ".jsonl" else (text,)
    content = json.loads(first)
    content = content["record"] if file.suffix == ".jsonl" else content
    content.pop("checksum", None)
    content = put(content, draw(st.sampled_from(list(places(content)))), new)
    if file.suffix == ".jsonl":
        record = json.dumps(content, sort_keys=True)
        line = f'{{"crc32": "{zlib.crc32(record.encode()):08x}", "record": {record}}}\n'
        return b"".join([line.encode(), *others])
    return sealed(file, content)


def sealed(file, content):
    """JSON with the checksum that its reader asks for."""
    if isinstance(content, dict) and file.name == ".session.json":
        content["crc32"] = f"{zlib.crc32(json.dumps(content, sort_keys=True).encode()):08x}"
    elif isinstance(content, dict) and file.name in ("run.json", "bit_mammography_final.keras.json"):
        content["checksum"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return json.dumps(content).encode()


def write_manifest(run, **changes):
    """run.json and its copy with other values, and a checksum that fits."""
    content = {**json.loads(run.manifest_file.read_text()), **changes}
    content.pop("checksum")
    for file in (run.manifest_file, run.path / ".run.json.copy"):
        file.write_bytes(sealed(run.manifest_file, content))


def forge(run, name, content):
    """Write a file of a run, and the manifest's checksums of it."""
    file = run.path / name
    file.write_bytes(content)
    if name == "run.json":
        (run.path / ".run.json.copy").write_bytes(content)
        return
    manifest, digest = json.loads(run.manifest_file.read_text()), hashlib.sha256(content).hexdigest()
    for part, key in (("outputs", name.removeprefix("best/")), ("records", name)):
        if key in manifest[part]:
            write_manifest(run, **{part: {**manifest[part], key: digest}})


def outside(run):
    return {
        path: path.read_bytes() if path.is_file() else None
        for path in sorted(run.path.parents[1].rglob("*"))
        if run.path not in path.parents and path.name != ".lock"
    }


def check(run, capsys, draw):
    """One value replaced, and every command that reads the folder without TensorFlow."""
    name = draw(st.sampled_from(FILES))
    if draw(st.booleans()):
        write_manifest(run, status="running")
    forge(run, name, mutated(draw, run.path / name))
    before = outside(run)
    for words in (("status",), ("trials",), ("trials", "--json"), ("status", "--json"), ("report", "--embed-images")):
        answer = typed(capsys, words[0], run.path, *words[1:])
        assert answer.code in (0, 1, 2, 3)
        assert answer.code == 0 or answer.err.startswith("mammo-search: ")
        for text in (answer.out, answer.err):
            assert "Traceback" not in text
            assert "unexpected " not in text
            assert "\x1b" not in text
    with contextlib.suppress(UserError), tempfile.TemporaryDirectory() as folder:
        write_events([find_run(str(run.path))], Path(folder))
    with contextlib.suppress(UserError):
        find_model(str(run.path))
    states = {each.name: each.state for each in all_statuses(run.path.parent)}
    assert states["good"] == "complete"
    assert set(states) == {"good", "sent"}
    page = run.report_file.read_bytes()
    assert SECRET not in page
    assert b"<script" not in page
    assert outside(run) == before


def kept(run):
    return {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


def restore(run, content):
    for path in [path for path in run.path.rglob("*") if path.is_file() and path not in content]:
        path.unlink()
    for path, before in content.items():
        if not path.is_file() or path.read_bytes() != before:
            path.write_bytes(before)


def fuzz(examples):
    shared = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
    return settings(max_examples=examples, phases=[Phase.generate, Phase.shrink], **shared)


def check_and_restore(sent, capsys, draw):
    before = kept(sent)
    try:
        check(sent, capsys, draw)
    finally:
        restore(sent, before)


@fuzz(12)
@given(st.data())
def test_a_replaced_value_ends_in_an_answer_or_one_line(sent, capsys, data):
    check_and_restore(sent, capsys, data.draw)


@pytest.mark.slow
@fuzz(400)
@given(st.data())
def test_any_replaced_value_ends_in_an_answer_or_one_line(sent, capsys, data):
    check_and_restore(sent, capsys, data.draw)


def forge_summary(run, **figures):
    summary = json.loads((run.best / "summary.json").read_text())
    forge(run, "best/summary.json", json.dumps({**summary, **figures}).encode())


@pytest.fixture
def folder(sent):
    """The folder "sent" for one test, and as it was afterwards."""
    before = kept(sent)
    yield sent
    for path in [path for path in sent.path.rglob("*") if path not in before and not path.is_dir()]:
        path.unlink()
    restore(sent, before)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("../../secret.png", "outside of it"),
        ("{outside}/secret.png", "outside of it"),
        ("figures/../../../secret.png", "outside of it"),
        ("predictions.csv", "no PNG file"),
        ("figures/roc.png", "not as the run wrote it"),
        ("figures/new.png", "not as the run wrote it"),
    ],
)
def test_only_the_run_s_own_figures_get_into_the_report(folder, capsys, place, words):
    place = place.format(outside=folder.path.parents[1])
    for name in ("roc.png", "new.png"):
        (folder.figures / name).write_bytes(b"\x89PNG\r\n\x1a\n" + SECRET)
    page = folder.report_file.read_bytes()
    for part in ("figures", "search_figures"):
        forge_summary(folder, **({"figures": {}, "search_figures": {}} | {part: {"roc": place}}))
        answer = typed(capsys, "report", folder.path)
        assert answer.code == 3
        assert words in answer.err
        assert folder.report_file.read_bytes() == page


def test_an_overlay_from_elsewhere_is_not_embedded(folder, capsys):
    summary = json.loads((folder.best / "summary.json").read_text())
    summary["cases"][0] |= {"overlay": "../../secret.png", "picture": str(folder.path.parent / "secret.png")}
    forge_summary(folder, cases=summary["cases"])
    assert typed(capsys, "report", folder.path).code == 0
    assert SECRET not in folder.report_file.read_bytes()
    answer = typed(capsys, "report", folder.path, "--embed-images")
    assert (answer.code, "outside of it" in answer.err) == (3, True)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "\0", '{"schema": 2}'])
def test_one_damaged_run_is_named_and_the_others_are_shown(folder, monkeypatch, capsys, text):
    for name in ("run.json", ".run.json.copy"):
        (folder.path / name).write_text(text)
    monkeypatch.chdir(folder.path.parents[1])
    answer = typed(capsys, "status")
    assert answer.code == 0
    assert [line.split()[:2] for line in answer.out.splitlines()[1:3]] in (
        [["good", "complete"], ["sent", "damaged"]],
        [["sent", "damaged"], ["good", "complete"]],
    )
    (said,) = [line for line in answer.out.splitlines() if line.startswith("sent: ")]
    assert "run.json" in said


def test_the_copy_serves_where_run_json_is_gone(folder, monkeypatch, capsys):
    folder.manifest_file.unlink()
    monkeypatch.chdir(folder.path.parents[1])
    assert {status.name: status.state for status in all_statuses()} == {"good": "complete", "sent": "complete"}
    assert typed(capsys, "report", "sent").code == 0
    assert typed(capsys, "trials", "sent").code == 0
    assert folder.manifest_file.is_file(), "the report has written the manifest again"


@pytest.mark.parametrize("names", [("trials.jsonl",), ("config.toml",), ("config.toml", "trials.jsonl")])
def test_what_a_complete_run_has_lost_is_said(folder, capsys, names):
    for name in names:
        (folder.path / name).unlink()
    answer = typed(capsys, "status", folder.path)
    assert answer.code == 0
    (state,) = [line for line in answer.out.splitlines() if line.startswith("state ")]
    assert state.split() == ["state", "damaged"]
    (error,) = [line for line in answer.out.splitlines() if line.startswith("error ")]
    assert all(name in error for name in names)
    assert "missing" in error


def test_a_pipe_is_not_waited_for_and_a_huge_text_is_not_read(folder, capsys):
    os.mkfifo(folder.path / "oof.fifo")
    answer = typed(capsys, "trials", folder.path)
    assert (answer.code, "a pipe" in answer.err) == (1, True)
    assert {each.name: each.state for each in all_statuses(folder.path.parent)}["sent"] == "damaged"
    (folder.path / "oof.fifo").unlink()
    for name in ("trials.jsonl", "best/summary.json"):
        os.truncate(folder.path / name, 2**34)
        answer = typed(capsys, "report", folder.path)
        assert (answer.code, f"{name} of 17 GB" in answer.err) == (1, True)
        os.truncate(folder.path / name, 0)


@pytest.mark.slow
def test_a_table_of_many_trials_is_read_in_one_pass(folder, tmp_path):
    record = json.loads(folder.trials_file.read_text().splitlines()[0])["record"]
    with (tmp_path / "trials.jsonl").open("w") as file:
        for number in range(20_000):
            text = json.dumps({**record, "trial": number, "curves": {"val_macro_auc": []}}, sort_keys=True)
            file.write(f'{{"crc32": "{zlib.crc32(text.encode()):08x}", "record": {text}}}\n')
    began = time.process_time()
    assert len(read_records(tmp_path / "trials.jsonl")) == 20_000
    assert time.process_time() - began < 15


def test_trials_that_are_none_of_the_plan_are_not_gone_on_from(folder):
    config, records = load_config(folder.config_file), read_records(folder.trials_file)
    plan = plan_run(config)
    require_planned(records, plan, config)
    first = records[0]
    for change in (
        {"configuration": 10**6},
        {"bracket": 50},
        {"rung": 7},
        {"epochs": first.epochs + 1},
        {"hyperparameters": {**first.hyperparameters, "dropout": 0.123}},
        {"hyperparameters": {}},
    ):
        with pytest.raises(RunError, match=f"trial {first.trial}, which is none of it"):
            require_planned((replace(first, **change), *records[1:]), plan, config)


def test_texts_of_a_run_do_not_steer_a_terminal():
    stream = io.StringIO()
    console = messages(stream)
    console.print(Table("a", title=ESCAPE), ESCAPE, style="bold", markup=False)
    assert "\x1b]" not in stream.getvalue()
    assert "\x1b[2J" not in stream.getvalue()
    assert "?]0;owned" in stream.getvalue()
