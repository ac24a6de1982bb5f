"""What a run says about its backbone, writes down about it, and refuses to go on with."""

import io
import json
import shutil

import numpy as np
import pytest

from search.bit.architecture import R50X1, SMALL
from search.bit.family import FAMILY, Verification, verify_backbone
from search.bit.resolve import backbone_weights, stored_paths
from search.bit.weights import BitWeights, random_weights, write_stored
from search.config.reading import load_config
from search.config.writing import to_toml
from search.errors import RunError, WeightsError
from search.job import Job
from search.protocols.run import run_job
from search.run_folder.directory import RunDirectory
from search.screen.output import messages
from search.screen.progress import RunProgress
from tests.support.command_line import typed
from tests.support.tiny import tiny_config


@pytest.fixture(scope="module")
def liar(tmp_path_factory):
    """A stored file of random numbers that calls itself genuine."""
    path = tmp_path_factory.mktemp("carried") / "bit.safetensors"
    weights = random_weights(R50X1, 1)
    claim = BitWeights(weights.arrays, weights.fingerprint, "a friend", True, "verified: genuine BiT-M-R50x1")
    write_stored(path, claim, R50X1)
    return path


def test_a_run_prints_what_its_weights_are_and_takes_no_files_word_for_it(liar, tmp_path):
    from search.protocols.holdout import resolve_backbone

    screen = io.StringIO()
    config = load_config(None, {"backbone.weights": str(liar), "search.precision": "float32"})
    backbone = resolve_backbone(config, RunDirectory(tmp_path), RunProgress(messages(screen)))
    assert backbone.weights.genuine is False
    text = " ".join(screen.getvalue().split())
    assert "warning: not the genuine BiT-M-R50x1, all 151 tensors differ" in text
    assert "float32 (as configured)" in text
    assert "verified: genuine" not in text


def test_the_manifest_tells_the_weights_and_the_precision(finished):
    _, result = finished
    manifest = json.loads(result.directory.manifest_file.read_text())
    assert manifest["weights_verification"] == "not verified: random weights, nothing is pretrained"
    assert manifest["precision"] == {"name": "float32", "reason": "as configured", "deviation": 4.4e-6}


def test_a_run_does_not_go_on_in_another_precision(finished, tmp_path):
    config, result = finished
    directory = RunDirectory(shutil.copytree(result.directory.path, tmp_path / "runs" / "first"))
    manifest = directory.read_manifest()
    precision = {**manifest.precision.model_dump(), "name": "bfloat16"}
    directory.write_manifest(manifest.but(status="running", precision=precision))
    before = directory.manifest_file.read_bytes()
    elsewhere = config.model_copy(update={"output": config.output.model_copy(update={"runs": tmp_path / "runs"})})
    with pytest.raises(RunError, match="precision bfloat16 → float32"):
        run_job(Job(elsewhere, name="first"))
    assert directory.manifest_file.read_bytes() == before


FINE_TUNING = {
    "search.schedule": "bit",
    "search.backbone_lr_factor": 1e-6,
    "search.optimizer": "adamw",
    "search.precision": "bfloat16-tail",
}
OTHER_START = {"search.head_init": "glorot"}


def test_the_trials_are_given_what_the_configuration_says(engine):
    from search.plan.hyperband import plan_hyperband
    from search.protocols.holdout import training_settings

    others = {"search.batch_size": 8, "search.minority": "none", "search.seed": 3}
    config = load_config(None, FINE_TUNING | OTHER_START | others)
    settings = training_settings(config, plan_hyperband(6, max_epochs=9), engine.data)
    assert (settings.schedule, settings.head_init, settings.backbone_lr_factor) == ("bit", "glorot", 1e-6)
    assert (settings.seed, settings.batch_size, settings.minority, settings.full_epochs) == (3, 8, "none", 9)
    assert settings.steps_per_epoch == -(-max(len(training) for training, _ in engine.data.folds) // 8)


@pytest.mark.slow
def test_bits_fine_tuning_from_the_command_line_to_the_exported_file(phantom, tmp_path, capsys, monkeypatch):
    """One run of one epoch at depth 1 on weights from a file; the backbone's own rate is next to nothing."""
    import keras

    from search.bit.backbone import official_variables

    monkeypatch.chdir(tmp_path)
    weights = random_weights(SMALL, 7)
    write_stored(tmp_path / "carried.safetensors", weights, SMALL)
    (tmp_path / "tuner_config.toml").write_text(
        to_toml(tiny_config(phantom, tmp_path, search__max_trials=1, search__max_epochs=1, search__folds=1))
    )
    flags = [f"--set={path}={value}" for path, value in FINE_TUNING.items()]
    flags += ["--set=space.unfreeze_depth=[1]", "--set=retrain.seeds=1", "--weights", "carried.safetensors"]
    answer = typed(capsys, "run", "--quiet", "--name", "fine", "--backbone", "bit-small", *flags)
    assert answer.code == 0, answer.err
    manifest = json.loads((tmp_path / "runs" / "fine" / "run.json").read_text())
    assert {path: manifest["settings"][path] for path in FINE_TUNING} == FINE_TUNING
    assert manifest["settings"]["backbone.name"] == "bit-small"
    assert manifest["precision"]["name"] == "bfloat16-tail"
    assert manifest["fingerprints"]["weights"] == weights.fingerprint
    assert manifest["weights_verification"] == "not verified: no published checksums for these weights"
    model = keras.saving.load_model(tmp_path / "runs" / "fine" / "best" / "bit_mammography_final.keras")
    norms = {name: np.asarray(v) for name, v in official_variables(model).items() if "group_norm" in name}
    assert len(norms) == 2 * 3 * 4 + 2
    assert max(np.abs(values - weights.arrays[name]).max() for name, values in norms.items()) < 1e-6
    last = model.get_layer("head_logits").get_weights()[0]
    assert 0 < np.abs(last).max() < 0.1, "it has left zero, and is far from where it would have been drawn"


@pytest.mark.parametrize(
    ("path", "value"),
    [*(FINE_TUNING | OTHER_START).items(), ("backbone.name", "bit-m-r50x1"), ("backbone.weights_seed", 5)],
)
def test_a_run_does_not_go_on_with_another_backbone_or_another_way_of_training_it(path, value, finished, tmp_path):
    config, result = finished
    directory = RunDirectory(shutil.copytree(result.directory.path, tmp_path / "runs" / "first"))
    directory.write_manifest(directory.read_manifest().but(status="running"))
    before = directory.manifest_file.read_bytes()
    section, _, key = path.partition(".")
    changed = getattr(config, section).model_copy(update={key: value})
    output = config.output.model_copy(update={"runs": tmp_path / "runs"})
    with pytest.raises(RunError, match=path):
        run_job(Job(config.model_copy(update={section: changed, "output": output}), name="first"))
    assert directory.manifest_file.read_bytes() == before


def test_a_source_means_what_the_backbone_was_released_with(tmp_path):
    (module,) = stored_paths("bit-s-r101x1", "tf-hub", tmp_path)
    assert module.name.startswith("s-r101x1-1-")
    assert module in stored_paths("bit-s-r101x1", "auto", tmp_path)
    assert stored_paths("bit-s-r50x1", "random") == ()
    with pytest.raises(WeightsError, match=r"Expected auto, tf-hub, kaggle, npz, random, .* found timm,"):
        stored_paths("bit-s-r50x1", "timm", tmp_path)
    for source in ("auto", "tf-hub"):
        with pytest.raises(WeightsError, match="--demo needs none"):
            backbone_weights("bit-small", source, cache=tmp_path)
    assert all(len(row.places) == (4 if row.name.startswith("bit-m") else 3) for row in FAMILY.values())


def test_genuine_bit_m_given_for_bit_s_is_told(liar):
    arrays = random_weights(R50X1, 1).arrays
    assert verify_backbone("bit-s-r50x1", arrays, R50X1) == Verification(None)
    assert backbone_weights("bit-s-r50x1", str(liar)).verification.startswith("not verified")
    text = Verification(None, asked_for="bit-s-r50x1").text
    assert text == "warning: these are the genuine BiT-M-R50x1, not bit-s-r50x1"
