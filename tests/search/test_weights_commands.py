"""The commands weights fetch, weights verify and doctor, as a user calls them."""

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from search.bit_architecture import R50X1
from search.bit_store import write_stored
from search.bit_weights import random_weights
from search.commands import doctor as doctor_command
from search.commands import weights as weights_command
from search.errors import WeightsError

runner = CliRunner()


@pytest.fixture
def doctor_app() -> typer.Typer:
    app = typer.Typer()
    app.command()(doctor_command.doctor)
    return app


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    path = tmp_path_factory.mktemp("npz") / "bit.npz"
    np.savez(path, **random_weights(R50X1, 1).arrays)
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_fetched_weights_can_be_carried_and_verified_elsewhere(npz, tmp_path):
    carried = tmp_path / "carried.safetensors"
    fetched = runner.invoke(weights_command.app, ["fetch", str(npz), "--output", str(carried), "--json"])
    assert fetched.exit_code == 0, fetched.output
    answer = json.loads(fetched.stdout)
    assert answer["genuine"] is False
    verified = runner.invoke(weights_command.app, ["verify", str(carried), "--json"])
    assert verified.exit_code == 1
    assert json.loads(verified.stdout)["fingerprint"] == answer["fingerprint"]


def test_fetching_from_nowhere_raises_the_one_line_error():
    result = runner.invoke(weights_command.app, ["fetch", "no-such-file.npz"])
    assert isinstance(result.exception, WeightsError)
    assert "--demo needs none" in str(result.exception)


def test_doctor_names_each_lack_and_what_to_do(doctor_app, tmp_path):
    result = runner.invoke(doctor_app, ["--data", str(tmp_path / "nothing"), "--json"])
    assert result.exit_code == 3
    checks = {check["subject"]: check for check in json.loads(result.stdout)}
    assert checks["weights"]["state"] == "lack"
    assert "mammo-search weights fetch" in checks["weights"]["remedy"]
    assert checks["data"]["state"] == "lack"
    assert checks["data"]["remedy"]
    assert checks["tensorflow"]["state"] == checks["devices"]["state"] == "ok"


def test_doctor_knows_stored_weights(doctor_app, tmp_path):
    stored = tmp_path / "bit.safetensors"
    write_stored(stored, random_weights(R50X1, 1), R50X1)
    result = runner.invoke(doctor_app, ["--weights", str(stored), "--data", str(tmp_path)])
    assert str(stored) in result.stdout
    stored.write_bytes(b"half")
    again = runner.invoke(doctor_app, ["--weights", str(stored), "--json"])
    checks = {check["subject"]: check for check in json.loads(again.stdout)}
    assert checks["weights"]["state"] == "lack"
