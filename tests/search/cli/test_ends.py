"""How a command ends before its time: by Ctrl-C, by SIGTERM, or for whoever reads its answer has read enough."""

import csv
import json
import signal
import subprocess
import sys

import pytest

from search.config.writing import to_toml
from tests.conftest import ROOT
from tests.support.command_line import typed
from tests.support.json_answers import assert_described

PROGRAM = [sys.executable, "-m", "search"]
ENOUGH = 3_000  # rows that nobody waits for


@pytest.fixture
def place(finished, tmp_path, monkeypatch):
    """A folder with the settings of the finished run, so that it is found by its name."""
    (tmp_path / "tuner_config.toml").write_text(to_toml(finished[0]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def begun(*words, **others):
    return subprocess.Popen(
        [*PROGRAM, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **others
    )


def test_a_prediction_that_is_interrupted_keeps_its_rows_and_says_how_many(place, phantom):
    films = sorted(phantom.glob("*.pgm"))
    listed = "\n".join(str(film) for _ in range(ENOUGH // len(films) + 1) for film in films)
    total = len(listed.splitlines())
    process = begun("predict", "first", "-")
    process.stdin.write(listed.encode())
    process.stdin.close()
    rows = [process.stdout.readline() for _ in range(20)]
    process.send_signal(signal.SIGINT)
    rows += process.stdout.read().splitlines(keepends=True)
    said = process.stderr.read().decode().splitlines()
    assert process.wait() == 130
    process.stdout.close()
    process.stderr.close()
    assert said[-1] == f"mammo-search: interrupted; {len(rows) - 1} of {total} rows kept on standard output"
    found = list(csv.DictReader(row.decode() for row in rows))
    assert {row["error"] for row in found} == {""}


@pytest.mark.slow
def test_sigterm_keeps_the_rows_of_a_file(place, phantom):
    films = sorted(phantom.glob("*.pgm"))
    listed = "\n".join(str(film) for _ in range(ENOUGH // len(films) + 1) for film in films)
    process = begun("predict", "first", "-", "--out", "rows.csv")
    process.stdin.write(listed.encode())
    process.stdin.close()
    while not any(path.stat().st_size for path in place.glob(".rows-*")):
        assert process.poll() is None, process.stderr.read()
    process.terminate()
    said = process.stderr.read().decode().splitlines()
    assert process.wait() == 130
    process.stdout.close()
    process.stderr.close()
    with (place / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert said[-1] == f"mammo-search: interrupted; {len(rows)} of {len(listed.splitlines())} rows kept in rows.csv"
    assert not list(place.glob(".rows-*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_every_command_says_that_it_was_interrupted(place, number):
    """Here while it reads a list of paths, of which it has taken more than a pipe holds."""
    process = begun("predict", "first", "-")
    process.stdin.write(b"film.pgm\n" * 2**18)
    process.stdin.flush()
    process.send_signal(number)
    out, said = process.communicate()
    assert (process.returncode, out, said) == (130, b"", b"mammo-search: interrupted\n")


READ_IN_PART = [
    "--help",
    "run --help",
    "status",
    "status --json",
    "trials",
    "trials --json",
    "data check PHANTOM",
    "data check PHANTOM --json",
    "weights list --json",
    "weights depths",
    "run --dry-run --max-trials 40 --name other",
]


@pytest.mark.parametrize("line", READ_IN_PART)
def test_a_reader_that_has_read_enough_is_no_error(place, phantom, line):
    words = [word.replace("PHANTOM", str(phantom)) for word in line.split()]
    process = begun(*words)
    process.stdout.close()  # at once: whatever is written finds nobody
    said = process.stderr.read().decode()
    process.stderr.close()
    process.stdin.close()
    process.wait()
    assert "Traceback" not in said
    assert "BrokenPipe" not in said
    assert "Exception" not in said


def test_a_complete_run_typed_again_answers_as_it_did(place, finished, capsys):
    result = finished[1]
    files = sorted(path for path in result.directory.path.rglob("*") if path.name != ".lock")
    before = {path: path.stat().st_mtime_ns for path in files}
    answer = typed(capsys, "run", "--name", "first", "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert_described("run", found)
    assert found == json.loads(json.dumps(result.as_json()))
    assert f"first is complete; its report: {result.directory.report_file}" in answer.err
    text = typed(capsys, "run", "--name", "first")
    assert text.code == 0
    assert set(result.as_text().split()) <= set(text.out.split())
    planned = typed(capsys, "run", "--name", "first", "--dry-run")
    assert (planned.code, "first is complete" in planned.out) == (0, True)
    assert {path: path.stat().st_mtime_ns for path in files} == before
    for words, said in ((["--seed", "9"], "search.seed 1 → 9"), (["--resume"], "a complete one")):
        refused = typed(capsys, "run", "--name", "first", *words)
        assert refused.code == 1
        assert said in refused.err
        assert "--fresh" in refused.err


def test_a_complete_run_is_not_the_result_of_other_films(place, finished, phantom, tmp_path, capsys):
    import shutil

    films = shutil.copytree(phantom, tmp_path / "films")
    data = bytearray((films / "mdb001.pgm").read_bytes())
    data[-1] ^= 1
    (films / "mdb001.pgm").write_bytes(data)
    answer = typed(capsys, "run", "--name", "first", "--data", films)
    assert answer.code == 1
    assert "found others in" in answer.err
