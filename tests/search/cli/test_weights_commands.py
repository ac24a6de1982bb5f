"""The commands of `mammo-search weights`, as a user types them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from search.bit.architecture import R50X1
from search.bit.family import FAMILY
from search.bit.weights import random_weights
from tests.support.command_line import typed
from tests.support.json_answers import assert_described


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    path = tmp_path_factory.mktemp("npz") / "bit.npz"
    np.savez(path, **random_weights(R50X1, 1).arrays)
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_fetched_weights_can_be_carried_and_verified_elsewhere(npz, tmp_path, capsys, monkeypatch):
    carried = tmp_path / "carried.safetensors"
    fetched = typed(capsys, "weights", "fetch", npz, "--output", carried, "--json")
    assert fetched.code == 0, fetched.err
    answer = json.loads(fetched.out)
    assert answer["genuine"] is False
    assert_described("weights fetch", answer)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
    verified = typed(capsys, "weights", "verify", carried, "--json")
    assert verified.code == 1
    assert json.loads(verified.out)["fingerprint"] == answer["fingerprint"]
    assert_described("weights verify", json.loads(verified.out))


@pytest.mark.parametrize("name", ["bit.npz", "folder", "nowhere/bit.safetensors"])
def test_an_output_that_could_not_be_used_is_refused_before_the_work(name, npz, tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    answer = typed(capsys, "weights", "fetch", npz, "--output", tmp_path / name)
    assert answer.code == 2
    assert "--output" in answer.error_lines[0]
    assert not answer.out
    assert {path.name for path in tmp_path.iterdir()} == {"folder"}


def test_the_list_has_handle_licence_and_input_range_of_each_backbone(capsys):
    rows = {row["name"]: row for row in json.loads(typed(capsys, "weights", "list", "--json").out)}
    assert set(rows) == set(FAMILY)
    assert_described("weights list", list(rows.values()))
    row = rows["bit-m-r50x1"]
    assert row["parameters"] == 23_500_352
    assert row["handle"] == "https://tfhub.dev/google/bit/m-r50x1/1"
    assert row["licence"] == "Apache-2.0"
    assert (row["module_range"], row["input_range"]) == ([0.0, 1.0], [-1.0, 1.0])
    text = typed(capsys, "weights", "list").out
    assert all(row["handle"] in text for row in rows.values())
