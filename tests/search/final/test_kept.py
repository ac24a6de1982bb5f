"""What the final stage keeps: it comes back to the bit, and what is not what was kept is made anew."""

from dataclasses import replace

import numpy as np
import pytest

from search.audit.audit import LeakAudit
from search.audit.overlap import CrossSidePair, SharedPatients
from search.audit.permutation import PermutationTest
from search.audit.shortcuts import Probe
from search.run_folder.directory import RunDirectory
from tests.support.damage import DAMAGES

PROBE = Probe("black area", 0.1 + 0.2, None, 1 / 3, visible=True, trivial=False)
AUDIT = LeakAudit(
    "whole",
    3,
    (SharedPatients(("held out", "fold 1"), ("p1", "p2")),),
    64,
    (CrossSidePair(("mdb001", "mdb002"), ("held out", "training"), 0.987654),),
    (PROBE,),
    PermutationTest(0.7, (0.1 + 0.2, 2 / 3)),
)


@pytest.fixture
def run(finished, tmp_path):
    """The folder of a run with nothing but its manifest."""
    directory = RunDirectory(tmp_path / "runs" / "mine")
    directory.path.mkdir(parents=True)
    directory.write_manifest(finished[1].directory.read_manifest())
    return directory


def store_of(run, said=None):
    from search.final.kept import FinalStore

    return FinalStore(run, (said if said is not None else []).append)


def made(run, value=AUDIT, name="audit", follows_from=("a",)):
    """What the store gives, and whether it was made for that."""
    from search.final.kept import as_json

    calls = []
    found = store_of(run).kept(name, as_json(type(value)), lambda: calls.append(1) or value, *follows_from)
    return found, bool(calls)


def test_what_was_kept_comes_back_equal_and_is_not_made_again(run):
    assert made(run) == (AUDIT, True)
    assert made(run, replace(AUDIT, images=1)) == (AUDIT, False)
    assert made(run, replace(AUDIT, permutation=None), name="another") == (replace(AUDIT, permutation=None), True)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_part_is_made_anew(run, damage):
    made(run)
    file = run.final_parts / "audit.npz"
    file.write_bytes(damage(file.read_bytes()))
    assert made(run) == (AUDIT, True)
    assert made(run) == (AUDIT, False)


def test_what_follows_from_something_else_is_made_anew(run):
    made(run)
    assert made(run, follows_from=("b",)) == (AUDIT, True)
    manifest = run.read_manifest()
    for changed in (
        {"results_version": manifest.results_version + 1},
        {"fingerprints": manifest.fingerprints | {"prepared": "0" * 64}},
        {"settings": manifest.settings | {"search.seed": 99}},
    ):
        run.write_manifest(manifest.but(**changed))
        assert made(run)[1], changed
        assert not made(run)[1]


def test_a_whole_file_of_another_part_is_made_anew(run):
    """Copied to another name, or what an older version kept under this one."""
    from search.files.tensors import load_checked_npz, save_checked_npz

    made(run)
    made(run, name="another")
    file = run.final_parts / "audit.npz"
    file.write_bytes((run.final_parts / "another.npz").read_bytes())
    assert made(run)[1]
    arrays = load_checked_npz(file)
    for other in ({"json": np.array('{"mode": 3}')}, {"rows": np.arange(3)}):
        save_checked_npz(file, {"key": arrays["key"], **other})
        assert made(run)[1], other


def test_the_parts_that_were_found_are_told_in_one_line_and_go_with_the_end(run):
    from search.final.kept import as_json

    said = []
    for name in ("one", "two"):
        store_of(run).kept(name, as_json(int), lambda: 1)
    store = store_of(run, said)
    for name in ("one", "two", "three"):
        store.kept(name, as_json(int), lambda: 1)
    assert said == ["kept from before the interruption: one, two"]
    store.forget()
    assert not run.final_parts.exists()
    assert said == ["kept from before the interruption: one, two"]


def test_a_trained_tail_comes_back_to_the_bit_and_one_of_another_shape_does_not(engine, run):
    from search.final.retrain import tail_form
    from search.plan.space import Configuration
    from search.trials.worker import TrainerPool
    from tests.support.retrained import retrain

    pool = TrainerPool(engine.architecture, engine.weights, engine.data, optimizer="sgd")
    chosen = [Configuration(width, dropout=0.3, l2=1e-3, learning_rate=1e-2, unfreeze_depth=1) for width in (16, 8)]
    trainer, other = map(pool, chosen)

    def trained():
        (tail,) = retrain(trainer, chosen[0], engine.data, engine.settings, epochs=1, seeds=1)
        return tail

    first = store_of(run).kept("model-1", tail_form(lambda: trainer), trained)
    again = store_of(run).kept("model-1", tail_form(lambda: trainer), pytest.fail)
    assert again.losses == first.losses
    assert again.fingerprint == first.fingerprint
    assert {name: values.tobytes() for name, values in again.arrays.items()} == {
        name: values.tobytes() for name, values in first.arrays.items()
    }
    assert list(again.head) == list(first.head)
    with pytest.raises(ValueError, match="not the weights of this tail"):
        tail_form(lambda: other).unpack({**first.arrays, "losses": np.array(first.losses)})


def test_an_overlay_that_has_changed_is_drawn_anew_with_all(tmp_path):
    from search.final.localisation import Localisation, kept_form

    folder = tmp_path / "figures" / "localisation"
    folder.mkdir(parents=True)
    overlay = folder / "malignant-right-1-mdb001.png"
    overlay.write_bytes(b"picture")
    form, found = kept_form(tmp_path / "figures"), Localisation(None, {"mdb001": overlay})
    kept = form.pack(found)
    assert form.unpack(kept) == found
    overlay.write_bytes(b"another")
    with pytest.raises(ValueError, match="not the overlays that were drawn"):
        form.unpack(kept)
