"""What each unfreeze depth trains: exactly its variables, and every one of them."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from search.bit.architecture import R50X1, BitArchitecture
from search.bit.backbone import assign_official, build_tail, official_variables
from search.bit.family import FAMILY, SMALL_BACKBONE, architecture_of
from search.bit.weights import random_weights
from search.plan.space import Configuration
from tests.support.json_answers import assert_described
from tests.support.slow import slow

# What depth trains, from where, how many parameters of the backbone; the published network's.
DEPTHS_OF_R50X1 = """\
 0 head alone 0
 1 block4/unit03 4,466,688
 2 block4/unit02 8,929,280
 3 block4/unit01 14,962,688
 4 block3/unit06 16,079,872
 5 block3/unit05 17,197,056
 6 block3/unit04 18,314,240
 7 block3/unit03 19,431,424
 8 block3/unit02 20,548,608
 9 block3/unit01 22,057,984
10 block2/unit04 22,338,048
11 block2/unit03 22,618,112
12 block2/unit02 22,898,176
13 block2/unit01 23,276,032
14 block1/unit03 23,346,432
15 block1/unit02 23,416,832
16 block1/unit01 23,490,944
17 root_block 23,500,352
"""
# R50x1's units and names at an eighth of its width.
NARROW = BitArchitecture((3, 4, 6, 3), 8, 4, "narrow")


@pytest.fixture(scope="module")
def narrow_weights():
    return random_weights(NARROW, 1)


@pytest.mark.parametrize("depth", [0, 1, 4, *slow(2, 3, *range(5, NARROW.max_depth + 1))])
def test_one_step_moves_the_depths_variables_and_all_of_them(depth, narrow_weights):
    tail = build_tail(NARROW, depth, NARROW.boundary_shape(depth, (32, 32)))
    assign_official(tail, narrow_weights.arrays)
    # Not compiled: tracing eighteen graphs would take minutes.
    model = keras.Sequential([tail, keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    x = np.random.default_rng(0).uniform(-1, 1, (3, *tail.input_shape[1:])).astype("float32")
    # What trains is the published kernel; a standardised one in its place would train without standardisation.
    for name, variable in official_variables(model).items():
        assert np.array_equal(np.asarray(variable), narrow_weights.arrays[name]), name
    model.train_on_batch(x, np.array([0, 1, 2]))
    moved = {
        name
        for name, variable in official_variables(model).items()
        if not np.array_equal(np.asarray(variable), narrow_weights.arrays[name])
    }
    assert moved == set(NARROW.trained_variables(depth))


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 3, 16, 17])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_one_step_of_the_search_moves_them_at_full_size(depth, dtype, tensorflow_started):
    from search.trials.data import class_emphasis
    from search.trials.tail import TailTrainer

    weights = random_weights(R50X1, 1)
    shape = R50X1.boundary_shape(depth, (64, 64))
    trainer = TailTrainer(
        R50X1, weights, depth=depth, boundary_shape=shape, head_width=16, n_classes=3, optimizer="sgd", dtype=dtype
    )
    trainer.begin(Configuration(16, dropout=0.0, l2=1e-4, learning_rate=1.0, unfreeze_depth=depth), 0, "fold", 0)
    bank = np.random.default_rng(0).uniform(-1, 1, (4, *shape)).astype("float32")
    labels = np.array([0, 1, 2, 0])
    head = [values.copy() for layer in trainer.head_weights.values() for values in layer]
    rates = np.array([1.0], np.float32)
    trainer.train(bank, np.arange(4)[None], labels[None], rates, class_emphasis("balanced", labels, 3))
    moved = {n for n, values in trainer.trained_weights.items() if not np.array_equal(values, weights.arrays[n])}
    assert moved == set(R50X1.trained_variables(depth))
    after = [values for layer in trainer.head_weights.values() for values in layer]
    assert not any(np.array_equal(old, new) for old, new in zip(head, after, strict=True))


def test_the_command_shows_the_table_of_each_backbone():
    from search.cli.main import app

    runner = CliRunner()
    text = runner.invoke(app, ["weights", "depths"]).stdout.splitlines()
    assert [line.split() for line in text[1:]] == [line.split() for line in DEPTHS_OF_R50X1.splitlines()]
    for name in (*FAMILY, SMALL_BACKBONE):
        answer = json.loads(runner.invoke(app, ["weights", "depths", "--backbone", name, "--json"]).stdout)
        assert_described("weights depths", answer)
        assert [row["depth"] for row in answer] == list(range(architecture_of(name).max_depth + 1))
        assert answer[0] == {"depth": 0, "from_unit": None, "parameters": 0}
        assert answer[-1]["from_unit"] == "root_block"
