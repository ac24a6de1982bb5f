"""The examples in every README run as they stand, but on the phantom and with the small backbone."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT

SMALLER = {
    'Path("all-mias.tar.gz")': "PHANTOM",
    "image_size=224": "image_size=48",
    'architecture_of("bit-m-r50x1")': 'architecture_of("bit-small")',
    'backbone_weights("bit-m-r50x1", "tf-hub")': 'backbone_weights("bit-small", "random")',
    "max_trials=10": "max_trials=1",
    "epochs=5": "epochs=1",
    'objective="val_loss"': 'objective="val_loss", seed=0',
}


PACKAGE_READMES = sorted(
    path.relative_to(ROOT)
    for package in ("mammo_data", "reports", "search", "tests")
    for path in (ROOT / package).rglob("README.md")
)


def examples():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(r"^## From Python\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"```python\n(.*?)```", section[1], re.DOTALL)


def smaller(code):
    for large, small in SMALLER.items():
        code = code.replace(large, small)
    return code


def test_every_substitution_is_of_something_that_a_readme_says():
    together = "".join((ROOT / readme).read_text(encoding="utf-8") for readme in ("README.md", *PACKAGE_READMES))
    assert not [large for large in SMALLER if large not in together]


def test_the_pictures_are_there_small_and_alone():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pictures = [ROOT / path for path in re.findall(r"^!\[.+\]\((.+)\)$", text, re.MULTILINE)]
    assert {path.suffix for path in pictures} == {".svg", ".png"}
    for path in pictures:
        assert 1_000 < path.stat().st_size < 150_000
        if path.suffix == ".svg":
            assert set(re.findall(r"https?://[^\"' )]+", path.read_text())) == {"http://www.w3.org/2000/svg"}


def test_data_search_and_report_of_one_s_own(phantom, tmp_path, monkeypatch, tensorflow_started):
    monkeypatch.chdir(tmp_path)
    *blocks, _ = examples()
    names = {"PHANTOM": phantom}
    for block in blocks:
        exec(compile(smaller(block), "README.md", "exec"), names)
    shape = next(iter(names["training"]))[0].shape
    assert tuple(shape) == (16, 48, 48, 3)
    held_out = set(names["split"].test_patients)
    assert not held_out & set(names["predictions"].patient_ids)
    assert names["evaluation"].metrics["macro_ovr_auc"]["value"] is not None
    assert (tmp_path / "figures" / "roc.png").stat().st_size > 10_000
    assert (tmp_path / "my-search").is_dir()


@pytest.mark.parametrize("readme", PACKAGE_READMES, ids=str)
def test_the_examples_of_a_package_readme_run(readme, phantom, tmp_path, monkeypatch, tensorflow_started):
    """Its Python blocks one after the other in one module, and each of its tables as a cases.csv."""
    from mammo_data import DataError, open_source

    monkeypatch.chdir(tmp_path)
    text = (ROOT / readme).read_text(encoding="utf-8")
    names = {"PHANTOM": phantom}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(smaller(block), str(readme), "exec"), names)
    for table in re.findall(r"```csv\n(.*?)```", text, re.DOTALL):
        Path("cases.csv").write_text(table)
        with pytest.raises(DataError, match=r"the images that cases\.csv lists"):  # all that is missing are the films
            open_source(Path())


def test_the_exported_file_gives_the_calibrated_probabilities_without_this_package(finished, tmp_path, monkeypatch):
    from mammo_data.preparation.prepared import PreparedSet
    from mammo_data.splits import Split
    from reports.predictions import Predictions

    config, result = finished
    monkeypatch.chdir(result.directory.best)
    (films,) = (PreparedSet.load(path) for path in (config.output.cache / "prepared").iterdir())
    rows = Split.read_csv(result.directory.split_file).test_rows(films.table)
    names = {"prepared": films.images[rows][..., None].astype(np.float32)}
    exec(compile(examples()[-1], "README.md", "exec"), names)
    stored = Predictions.read_csv(result.directory.best / "predictions_corrected.csv")
    assert names["calibrated"] == pytest.approx(stored.probabilities, abs=1e-4)
    point = result.metrics["operating_points"][0]
    assert names["malignant"].sum() == point["true_positives"] + point["false_positives"]
