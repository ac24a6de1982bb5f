"""Exports: what they compute, what lies beside them, and that a bad one is never kept."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest

from mammo_data.preparation.prepared import PreparedSet
from mammo_data.splits import Split
from search.cli.export import export
from search.errors import RunError
from search.export.formats import FORMATS
from search.export.metadata import ModelMetadata, metadata_file, read_metadata
from search.export.write import comparison_images, export_run
from search.files.digests import image_digest
from tests.conftest import ROOT
from tests.support.command_line import typed
from tests.support.json_answers import assert_described


@pytest.fixture(scope="module")
def exports(finished, tmp_path_factory):
    """The run's model in every format but its own."""
    folder = tmp_path_factory.mktemp("exports")
    return {kind: export_run(finished[1].directory, kind, folder) for kind in FORMATS if kind != "keras"}


def prepared_set(config):
    (found,) = (PreparedSet.load(path) for path in (config.output.cache / "prepared").iterdir())
    return found


def test_savedmodel_and_onnx_agree_with_the_stored_predictions(finished, exports):
    from reports.predictions import Predictions

    config, result = finished
    prepared = prepared_set(config)
    rows = Split.read_csv(result.directory.split_file).test_rows(prepared.table)
    images = prepared.images[rows][..., None].astype(np.float32)
    stored = Predictions.read_csv(result.directory.best / "predictions.csv").probabilities
    for kind, exported in exports.items():
        assert_described("export", exported.as_json())
        assert exported.verification["images"] == "images of development patients"
        assert exported.verification["largest_difference"] <= 1e-4
        assert np.abs(FORMATS[kind].run(exported.path, images) - stored).max() <= 1e-4


def test_exports_are_compared_on_development_patients_or_on_synthetic_films_where_those_are_gone(finished):
    run = finished[1].directory
    metadata = read_metadata(run.model_file)
    images, described = comparison_images(run, metadata)
    assert described == "images of development patients"
    assert {image_digest(image[..., 0].astype(np.uint8)) for image in images} <= set(
        metadata.content["development"]["images"]
    )
    gone = ModelMetadata({**metadata.content, "fingerprints": {"prepared": "0" * 64}})
    synthetic, described = comparison_images(run, gone)
    assert described == "synthetic films"
    assert synthetic.shape == images.shape
    assert len(np.unique(synthetic, axis=0)) == len(synthetic) == 16


def test_a_savedmodel_has_the_documented_signature(exports):
    import tensorflow as tf

    signature = tf.saved_model.load(str(exports["savedmodel"].path)).signatures["serving_default"]
    assert signature.structured_input_signature[1]["image"].shape.as_list() == [None, 48, 48, 1]
    assert signature.structured_outputs["probabilities"].shape.as_list() == [None, 3]


def test_an_onnx_file_tells_what_it_is(exports):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exports["onnx"].path), providers=["CPUExecutionProvider"])
    assert [(put.name, put.shape) for put in session.get_inputs()] == [("image", ["n", 48, 48, 1])]
    assert [(put.name, put.shape) for put in session.get_outputs()] == [("probabilities", ["n", 3])]
    inside = json.loads(session.get_modelmeta().custom_metadata_map["mammo_search"])
    beside = json.loads(exports["onnx"].metadata.read_text())
    assert inside == {name: beside[name] for name in inside}


def test_the_metadata_say_what_a_user_of_the_file_has_to_know(finished, exports):
    config, result = finished
    metrics = json.loads((result.directory.best / "metrics.json").read_text())
    for path in (result.directory.model_file, *(exported.path for exported in exports.values())):
        metadata = read_metadata(path)
        content = metadata.content
        assert content["model"] == path.name
        assert content["output"]["class_names"] == ["normal", "benign", "malignant"]
        assert content["calibration"]["temperature"] == metrics["calibration"]["temperature"]
        assert content["calibration"]["kind"] == metrics["calibration"]["chosen"]
        assert content["operating_curve"] == metrics["operating_curve"]
        assert [point["threshold"] for point in content["operating_points"]] == [
            point["threshold"] for point in metrics["operating_points"]
        ]
        for name in ("fold_thresholds", "fold_specificities"):
            assert [point[name] for point in content["operating_points"]] == [
                point[name] for point in metrics["operating_points"]
            ]
        assert asdict(metadata.preparation).items() <= config.preparation.model_dump().items()
        assert content["fingerprints"] == result.directory.read_manifest().fingerprints
        assert "Research use only" in content["use"]
        assert set(content["licence"]) == {"code", "weights", "data"}
    split, table = Split.read_csv(result.directory.split_file), prepared_set(config).table
    assert len(content["development"]["patients"]) == len(set(table.patient_ids)) - len(split.test_patients)
    assert len(content["development"]["images"]) == len(split.development_rows(table))


def test_the_readme_s_example_reads_what_lies_beside_a_model(finished, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "search" / "export" / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(finished[1].directory.best)
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("('normal', 'benign', 'malignant') 48 [")


def test_the_command_line_offers_every_format():
    assert set(get_args(get_type_hints(export)["format"])) == set(FORMATS)


def test_a_model_under_foreign_metadata_is_refused(exports, tmp_path):
    copy = tmp_path / "model.onnx"
    copy.write_bytes(exports["onnx"].path.read_bytes() + b"\0")
    with pytest.raises(RunError, match=r"no such|No such"):
        read_metadata(copy)
    metadata_file(copy).write_bytes(exports["onnx"].metadata.read_bytes())
    with pytest.raises(RunError, match="other content"):
        read_metadata(copy)
    metadata_file(copy).write_text('{"schema": 1}')
    with pytest.raises(RunError, match="demo: missing"):
        read_metadata(copy)


def test_an_export_that_differs_is_not_kept_and_the_one_before_it_stays(finished, tmp_path, monkeypatch):
    """A format whose file has another last bias than the run's model."""
    from search.export.model import load_exported

    def with_other_bias(model_file, path, metadata):
        model = load_exported(model_file)
        kernel, bias = model.get_layer("head_logits").get_weights()
        model.get_layer("head_logits").set_weights([kernel, bias + np.array([0, 0, 1e-3])])
        model.save(path)

    directory, target = finished[1].directory, tmp_path / "model.keras"
    here = replace(FORMATS["keras"], run=lambda path, images: load_exported(path).predict_on_batch(images))
    with monkeypatch.context() as patched:
        patched.setitem(FORMATS, "keras", here)
        assert export_run(directory, "keras", target).verification["largest_difference"] == 0
        before = target.read_bytes()
        patched.setitem(FORMATS, "keras", replace(here, write=with_other_bias))
        for out in (target, tmp_path / "other.keras"):
            with pytest.raises(RunError, match="a difference of"):
                export_run(directory, "keras", out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.keras", "model.keras.json"]
    assert target.read_bytes() == before
    read_metadata(target)


@pytest.mark.parametrize("kind", ["savedmodel", "onnx"])
def test_a_difference_of_twice_the_bound_is_refused(finished, tmp_path, monkeypatch, kind):
    """A changed last bias moves the probabilities of some image by 2e-4, and of none by more."""
    from search.export.model import load_exported, save_model

    directory, model = finished[1].directory, load_exported(finished[1].directory.model_file)
    images, _ = comparison_images(directory, read_metadata(directory.model_file))
    worst = model.predict_on_batch(images)[:, 2]
    kernel, bias = model.get_layer("head_logits").get_weights()
    # d softmax / d logit is p (1 - p).
    model.get_layer("head_logits").set_weights([kernel, bias + np.array([0, 0, 2e-4 / (worst * (1 - worst)).max()])])
    save_model(model, tmp_path / "changed.keras")

    def with_other_bias(model_file, path, metadata, write=FORMATS[kind].write):
        write(tmp_path / "changed.keras", path, metadata)

    monkeypatch.setitem(FORMATS, kind, replace(FORMATS[kind], write=with_other_bias))
    target = tmp_path / f"model{FORMATS[kind].suffix}"
    with pytest.raises(RunError, match=r"within 0\.0001 of Keras's.* a difference of 0\.0002"):
        export_run(directory, kind, target)
    assert not target.exists()


def test_a_file_of_another_kind_is_never_replaced(finished, tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("years of work")
    answer = typed(capsys, "export", finished[1].directory.path, "--out", tmp_path / "thesis.tex")
    assert answer.code == 2
    assert "with the suffix .keras" in answer.err
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_changed_model_is_not_exported(finished, tmp_path, capsys):
    import shutil

    folder = Path(shutil.copytree(finished[1].directory.path, tmp_path / "first"))
    model = folder / "best" / "bit_mammography_final.keras"
    model.write_bytes(model.read_bytes()[:-1])
    answer = typed(capsys, "export", folder, "--format", "savedmodel", "--out", tmp_path / "out")
    assert answer.code == 1
    assert "as the run wrote it" in answer.err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_keras_export_is_compared_in_a_fresh_process_to_the_last_bit(finished, tmp_path, capsys):
    words = ("--model", "single", "--out", tmp_path / "copies", "--json")
    answer = typed(capsys, "export", finished[1].directory.path, *words)
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert found["verification"]["largest_difference"] == 0
    assert Path(found["model"]).read_bytes() == finished[1].directory.model_file.read_bytes()
    assert read_metadata(Path(found["model"])).content["verification"] == found["verification"]


@pytest.mark.slow
@pytest.mark.mias
def test_all_formats_agree_with_keras_on_every_real_film(mias_archive, tmp_path, capsys):
    """R50x1 with random weights at 128 pixels, all 322 films in batches of 16."""
    if not mias_archive.is_file():
        pytest.skip(f"{mias_archive} is absent")
    from mammo_data.preparation.prepared import prepare
    from mammo_data.sources.open import open_source
    from search.bit.architecture import R50X1
    from search.export.model import load_exported
    from tests.support.untrained import write_untrained

    path, metadata = write_untrained(R50X1, 128, tmp_path)
    films = prepare(open_source(mias_archive), metadata.preparation, tmp_path / "cache").images
    batches = [films[start : start + 16][..., None].astype(np.float32) for start in range(0, len(films), 16)]
    model = load_exported(path)
    expected = np.concatenate([model.predict_on_batch(batch) for batch in batches])
    assert len(expected) == 322
    for kind in ("savedmodel", "onnx"):
        written = tmp_path / f"model{FORMATS[kind].suffix}"
        FORMATS[kind].write(path, written, metadata)
        found = np.concatenate([FORMATS[kind].run(written, batch) for batch in batches])
        largest = np.abs(found - expected).max()
        with capsys.disabled():
            print(f"\n{kind}: largest difference {largest:.2g} on {len(found)} films")
        assert largest <= FORMATS[kind].bound
    # The other process computes the whole set in one batch, so this one does, too.
    whole = films[..., None].astype(np.float32)
    difference = np.abs(FORMATS["keras"].run(path, whole) - model.predict_on_batch(whole)).max()
    with capsys.disabled():
        print(f"keras in a fresh process: largest difference {difference:.2g} on {len(films)} films")
    assert difference == 0


ELSEWHERE = """\
import sys, keras, numpy
try:
    import search
    sys.exit("this package is installed here")
except ImportError:
    pass
model = keras.saving.load_model(sys.argv[1], safe_mode=True)
images = numpy.load(sys.argv[2])
numpy.save(sys.argv[3], model.predict_on_batch(images))
"""


@pytest.mark.slow
@pytest.mark.network
def test_the_keras_file_gives_the_same_bits_where_only_tensorflow_is_installed(finished, tmp_path):
    """In an environment of its own: `tensorflow` of this version with its dependencies, and nothing else."""
    import subprocess
    from importlib.metadata import version

    from search.export.model import load_exported

    config, result = finished
    images = prepared_set(config).images[:16][..., None].astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    python = tmp_path / "only" / "bin" / "python"
    packages = [f"{name}=={version(name)}" for name in ("tensorflow", "keras", "numpy")]
    for command in (["uv", "venv", tmp_path / "only"], ["uv", "pip", "install", "--python", python, *packages]):
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    files = [result.directory.model_file, tmp_path / "images.npy", tmp_path / "out.npy"]
    subprocess.run([python, "-c", ELSEWHERE, *files], check=True, capture_output=True, cwd=tmp_path)
    here = load_exported(result.directory.model_file).predict_on_batch(images)
    assert np.array_equal(np.load(tmp_path / "out.npy"), here)
