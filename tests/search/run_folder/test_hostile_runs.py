"""A model, an array file, or a whole run folder made to harm whoever opens it. (Archives: mammo_data's own test.)"""

import io
import json
import pickle
import shutil
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from search.errors import RunError, UserError
from search.files.digests import json_checksum
from search.files.tensors import load_checked_npz, load_checked_safetensors
from search.run_folder.directory import RunDirectory, open_run_directory
from search.run_folder.trial_log import read_records
from tests.support.command_line import typed


class Trap:
    """Leaves a file where it is unpickled."""

    def __init__(self, file):
        self._file = file

    def __reduce__(self):
        return Path.touch, (self._file,)


def repacked(model: Path, target: Path, change) -> Path:
    """A copy of a .keras file with another configuration."""
    with zipfile.ZipFile(model) as source, zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            archive.writestr(name, content)
    return target


def replace_last_layer(**layer):
    def change(config):
        config["config"]["layers"][-1].update(layer)

    return change


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ({"module": "keras.layers", "class_name": "Lambda"}, "keras.layers.Lambda"),
        ({"module": "keras.layers", "class_name": "TFSMLayer"}, "keras.layers.TFSMLayer"),
        ({"module": "keras.layers", "class_name": "TorchModuleWrapper"}, "TorchModuleWrapper"),
        ({"module": "keras.layers", "class_name": "StringLookup"}, "StringLookup"),
        ({"module": "trap", "class_name": "Layer"}, "trap.Layer"),
        ({"module": "os", "class_name": "system"}, "os.system"),
        ({"module": "keras.src.utils.python_utils", "class_name": "func_load"}, "func_load"),
        ({"module": "keras.utils", "class_name": "get_file"}, "keras.utils.get_file"),
        ({"module": None, "class_name": "__lambda__"}, "__lambda__"),
        ({"module": ["keras.layers"], "class_name": "Dense"}, "Dense"),
        ({"registered_name": "trap>Layer"}, "a registered trap>Layer"),
        ({"compile_config": {"optimizer": "adam"}}, "a compile_config"),
        ({"custom_objects": {"Dense": "trap"}}, "a custom_objects"),
        ({"config": {"activation": "trap"}}, "trap as activation"),
        ({"config": {"activation": ["relu"]}}, "unhashable"),
        ({"config": {"activation": {"module": "builtins", "class_name": "function", "config": "eval"}}}, "function"),
        ({"config": {"kernel_initializer": "trap"}}, "trap as kernel_initializer"),
        ({"config": {"b": {"module": "keras.initializers", "class_name": "Orthogonal"}}}, "initializers.Orthogonal"),
        ({"config": {"b": {"module": "keras.regularizers", "class_name": "get"}}}, "keras.regularizers.get"),
        ({"config": {"b": {"module": "trap", "class_name": "L2"}}}, "trap.L2"),
        ({"config": {"kernel_constraint": {"module": "trap", "class_name": "MaxNorm"}}}, "trap.MaxNorm"),
        ({"config": {"bias_constraint": "trap"}}, "trap as bias_constraint"),
    ],
)
def test_a_model_with_anything_but_plain_layers_is_refused(finished, tmp_path, monkeypatch, layer, words):
    from search.export.model import load_exported

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "trap.py").write_text("from pathlib import Path\nPath('sprung').touch()\n")
    _, result = finished
    file = repacked(result.directory.model_file, tmp_path / "evil.keras", replace_last_layer(**layer))
    with pytest.raises(RunError) as error:
        load_exported(file)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "sprung").exists()


def external_link(file, outside):
    file["layers/evil"] = h5py.ExternalLink(str(outside), "secret")


def soft_link(file, outside):
    file["layers/evil"] = h5py.SoftLink("/layers")


def external_data(file, outside):
    file.create_dataset("evil", (4,), "u1", external=[(str(outside), 0, 4)])


def virtual_data(file, outside):
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource(str(outside), "secret", (4,))
    file.create_virtual_dataset("evil", layout)


def many_zeros(file, outside):
    file.create_dataset("evil", (10**12,), "u1", compression="gzip")


def text(file, outside):
    file["evil"] = "text"


@pytest.mark.parametrize("change", [external_link, soft_link, external_data, virtual_data, many_zeros, text])
def test_weights_that_lead_elsewhere_are_refused(finished, tmp_path, change):
    from search.export.wall import require_plain_model

    _, result = finished
    weights = tmp_path / "model.weights.h5"
    with zipfile.ZipFile(result.directory.model_file) as source:
        content = {name: source.read(name) for name in source.namelist()}
    weights.write_bytes(content[weights.name])
    with h5py.File(tmp_path / "outside.h5", "w") as outside:
        outside["secret"] = np.arange(4, dtype=np.uint8)
    with h5py.File(weights, "a") as file:
        change(file, tmp_path / "outside.h5")
    content[weights.name] = weights.read_bytes()
    with zipfile.ZipFile(tmp_path / "evil.keras", "w") as archive:
        for name, member in content.items():
            archive.writestr(name, member)
    require_plain_model(result.directory.model_file)
    with pytest.raises(RunError, match=r"link among the weights|no plain array"):
        require_plain_model(tmp_path / "evil.keras")


def test_an_archive_that_grows_is_refused(tmp_path):
    from search.export.wall import require_plain_model

    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, size in {"config.json": 2, "metadata.json": 2, "model.weights.h5": 10**8}.items():
            archive.writestr(name, b"0" * size)
    with pytest.raises(RunError, match="grows when it is read"):
        require_plain_model(tmp_path / "bomb.keras")


def test_keras_itself_refuses_a_lambda_that_gets_past_the_first_wall(tmp_path, monkeypatch):
    """A real lambda layer with real bytecode, as Keras writes it."""
    import keras

    from search.export import model as export

    monkeypatch.chdir(tmp_path)  # first: Keras calls the layer where it is made
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: Path("sprung").touch() or x)])
    (tmp_path / "sprung").unlink(missing_ok=True)
    model.save("lambda.keras")
    (tmp_path / "sprung").unlink(missing_ok=True)
    with pytest.raises(RunError, match="Lambda"):
        export.load_exported(tmp_path / "lambda.keras")
    monkeypatch.setattr(export, "require_plain_model", lambda path: None)
    with pytest.raises((ValueError, TypeError)):
        export.load_exported(tmp_path / "lambda.keras")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["model.h5", "model.pkl", "model.keras"])
def test_a_pickle_by_any_name_is_no_model(tmp_path, name):
    from search.export.model import load_exported

    (tmp_path / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(RunError):
        load_exported(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_arrays_that_are_pickles_are_not_read(tmp_path):
    trap = np.array([Trap(tmp_path / "sprung")], dtype=object)
    np.savez(tmp_path / "trap.npz", logits=trap, crc32c=np.array("00000000"))
    assert load_checked_npz(tmp_path / "trap.npz") is None
    raw = io.BytesIO()
    np.save(raw, trap, allow_pickle=True)
    for name in ("fold-0.safetensors", "fold-0.npz"):
        (tmp_path / name).write_bytes(raw.getvalue())
    assert load_checked_safetensors(tmp_path / "fold-0.safetensors") is None
    assert load_checked_npz(tmp_path / "fold-0.npz") is None
    assert not (tmp_path / "sprung").exists()


@pytest.fixture
def foreign(finished, tmp_path):
    """A run folder from somebody else, unfinished."""
    _, result = finished
    directory = RunDirectory(tmp_path / "runs" / "foreign")
    shutil.copytree(result.directory.path, directory.path, ignore=shutil.ignore_patterns("*.png", ".lock"))
    directory.write_manifest(directory.read_manifest().but(status="running"))
    return directory


@pytest.mark.parametrize("name", ["checkpoints", "search", "trials.jsonl", "log.txt", "oof/0000.npz", "best/figures"])
def test_a_link_in_a_run_folder_leads_nowhere(foreign, tmp_path, name):
    treasure = tmp_path / "home"
    (treasure / "thesis").mkdir(parents=True)
    (treasure / "thesis" / "chapter1.tex").write_text("years of work")
    place = foreign.path / name
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    place.symlink_to(treasure)
    with pytest.raises(RunError, match="a link"):
        open_run_directory(foreign.path.parent, "foreign")
    assert (treasure / "thesis" / "chapter1.tex").read_text() == "years of work"
    assert [path.name for path in treasure.rglob("*")] == ["thesis", "chapter1.tex"]


def test_a_reading_command_does_not_follow_a_link_either(foreign, tmp_path, capsys):
    (tmp_path / "home").mkdir()
    shutil.rmtree(foreign.best)
    foreign.best.symlink_to(tmp_path / "home")
    answer = typed(capsys, "report", foreign.path)
    assert answer.code == 1
    assert "a link, best" in answer.err
    assert not list((tmp_path / "home").iterdir())


ESCAPE = "\x1b]0;owned\x07\x1b[2J"


def test_texts_of_a_manifest_do_not_steer_the_terminal(foreign, capsys):
    foreign.write_manifest(foreign.read_manifest().but(argv=("run", ESCAPE)))
    answer = typed(capsys, "status", foreign.path)
    assert "?]0;owned??[2J" in answer.out
    assert "\x1b" not in answer.out


def test_names_in_a_record_do_not_steer_the_terminal(foreign, capsys):
    first = json.loads(foreign.trials_file.read_text().splitlines()[0])["record"]
    text = json.dumps({**first, "hyperparameters": {ESCAPE: 1.0}}, sort_keys=True)
    foreign.trials_file.write_text(f'{{"crc32": "{zlib.crc32(text.encode()):08x}", "record": {text}}}\n')
    answer = typed(capsys, "trials", foreign.path)
    assert answer.code == 1
    assert "not a record of a trial" in answer.err
    assert "\x1b" not in answer.out + answer.err


@pytest.mark.parametrize("name", ["../elsewhere", "/tmp/x", "..", ".hidden", "a/b", "a\x00b", ""])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(UserError):
        open_run_directory(tmp_path / "runs", name)
    assert not list(tmp_path.iterdir())


def forge(run, **changes):
    """Write a manifest that its own program would not write, with a checksum that fits."""
    content = {**json.loads(run.manifest_file.read_text()), **changes}
    text = json.dumps({**content, "checksum": json_checksum(content, without="checksum")})
    for name in ("run.json", ".run.json.copy"):
        (run.path / name).write_text(text)


HOSTILE_VALUES = {
    "status": ["complete"],
    "name": {"a": 1},
    "argv": "rm -rf",
    "views_per_class": [10**9, 1, 1],
    "fingerprints": None,
    "settings": "../../etc/passwd",
    "created": "yesterday",
    "finished": "0001-01-01T00:00:00",
    "plan": [3, "trials"],
    "precision": {"name": ["float32"]},
    "outer": {"run": "first", "fold": -1, "folds": 10**30},
    "ended_after": 10**4000,
    "outputs": {"figures/roc.png": 7},
}


@pytest.mark.parametrize("key", HOSTILE_VALUES)
def test_a_manifest_of_other_types_is_one_line(foreign, key):
    forge(foreign, **{key: HOSTILE_VALUES[key]})
    with pytest.raises(RunError, match=key) as error:
        foreign.read_manifest()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"schema": 1' + ', "a": ' * 5, "null", "\udcff", '{"a": NaN}'])
def test_a_manifest_that_is_no_manifest_is_one_line(tmp_path, text):
    (tmp_path / "run.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(RunError) as error:
        RunDirectory(tmp_path).read_manifest()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"trial": "../../../etc/passwd"},
        {"trial": -1},
        {"trial": 10**30},
        {"parent": 0},
        {"status": "sudo"},
        {"curves": {"loss": "abc"}},
        {"curves": [["deep"]]},
        {"hyperparameters": "__import__('os')"},
        {"epochs": None},
    ],
)
def test_a_record_of_other_types_is_one_line_though_its_checksum_fits(foreign, change):
    first = json.loads(foreign.trials_file.read_text().splitlines()[0])["record"]
    text = json.dumps({**first, **change}, sort_keys=True)
    foreign.trials_file.write_text(f'{{"crc32": "{zlib.crc32(text.encode()):08x}", "record": {text}}}\n')
    with pytest.raises(RunError, match=r"trials\.jsonl line 1") as error:
        read_records(foreign.trials_file)
    assert "\n" not in str(error.value)


def test_a_configuration_can_only_hold_settings(tmp_path):
    from search.config.reading import load_config

    file = tmp_path / "config.toml"
    for text in ("[search]\nseed = \"__import__('os')\"\n", "[run]\nhook = 'rm'\n", "[search]\nmax_trials = 1e400\n"):
        file.write_text(text)
        with pytest.raises(UserError):
            load_config(file)
