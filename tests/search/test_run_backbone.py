"""What a run says about its backbone, writes down about it, and refuses to go on with."""

import io
import json
import shutil

import pytest

from search.bit_architecture import R50X1
from search.bit_family import FAMILY, weights_spec
from search.bit_store import write_stored
from search.bit_verification import Verification, verify_backbone
from search.bit_weights import BitWeights, backbone_weights, random_weights
from search.config_file import load_config
from search.errors import RunError, WeightsError
from search.job import JobRequest, run_job
from search.output import messages
from search.progress import RunProgress
from search.run_directory import RunDirectory


@pytest.fixture(scope="module")
def liar(tmp_path_factory):
    """A stored file of random numbers that calls itself genuine."""
    path = tmp_path_factory.mktemp("carried") / "bit.safetensors"
    weights = random_weights(R50X1, 1)
    claim = BitWeights(weights.arrays, weights.fingerprint, "a friend", True, "verified: genuine BiT-M-R50x1")
    write_stored(path, claim, R50X1)
    return path


def test_a_run_prints_what_its_weights_are_and_takes_no_files_word_for_it(liar, tmp_path):
    from search.job_stations import resolve_backbone

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
    precision = {**manifest["precision"], "name": "bfloat16"}
    directory.write_manifest({**manifest, "status": "running", "precision": precision})
    before = directory.manifest_file.read_bytes()
    elsewhere = config.model_copy(update={"output": config.output.model_copy(update={"runs": tmp_path / "runs"})})
    with pytest.raises(RunError, match="precision bfloat16 → float32"):
        run_job(JobRequest(elsewhere, name="first"))
    assert directory.manifest_file.read_bytes() == before


def test_the_word_tf_hub_means_what_the_backbone_was_released_with(tmp_path):
    assert {weights_spec(name, "tf-hub") for name in FAMILY} == set(FAMILY)
    assert weights_spec("bit-s-r50x1", "random") == "random"
    with pytest.raises(WeightsError, match="--demo needs none"):
        backbone_weights("bit-small", "tf-hub", cache=tmp_path)


def test_genuine_bit_m_given_for_bit_s_is_told(liar):
    arrays = random_weights(R50X1, 1).arrays
    assert verify_backbone("bit-s-r50x1", arrays, R50X1) == Verification(None)
    assert backbone_weights("bit-s-r50x1", str(liar)).verification.startswith("not verified")
    text = Verification(None, asked_for="bit-s-r50x1").text
    assert text == "warning: these are the genuine BiT-M-R50x1, not bit-s-r50x1"
