"""The mean of a run's seeds or folds in one file: what it says, what its thresholds are from, and what it leaves alone.

The models are trained here once more, by a loop of the test's own over the trainer, and assembled one by one.
"""

import csv
import io
import json
import shutil
import zipfile
from collections import namedtuple

import numpy as np
import pytest

from search.errors import RunError
from search.export.metadata import find_model, metadata_file, read_metadata
from search.run_folder.directory import RunDirectory
from search.run_folder.ledger import LEDGER
from tests.support.command_line import typed
from tests.support.json_answers import assert_described

pytestmark = pytest.mark.slow
SEEDS, FOLDS = 2, 2
Again = namedtuple("Again", ["searched", "stored", "network", "seeds", "development"])


@pytest.fixture(scope="module")
def run(finished):
    return finished[1].directory


@pytest.fixture(scope="module")
def means(run, tmp_path_factory):
    """The mean of the seeds and that of the folds, and what of the run's folder has changed by that."""
    from search.protocols.members.export import export_members

    folder, before = tmp_path_factory.mktemp("means"), contents(run)
    found = {kind: export_members(run, kind, out=folder / f"{kind}.keras") for kind in ("seeds", "folds")}
    assert contents(run) == before, "an export has changed the run's folder or the ledger"
    return found


@pytest.fixture(scope="module")
def again(run):
    """Every model that the mean of the seeds follows from, trained by hand."""
    from reports import softmax
    from search.protocols.members.train import searched_again
    from search.screen.output import messages
    from search.screen.progress import RunProgress
    from search.trials.cross_validation import train_epoch
    from search.trials.tail import TrainedTail

    searched, stored = searched_again(run, RunProgress(messages(), detail="quiet"))
    data, settings, trainer, configuration = (
        *(searched.data, searched.settings, searched.trainer),
        searched.outcome.configuration,
    )

    def train(rows, *purpose):
        trainer.begin(configuration, settings.seed, *purpose, head_init=settings.head_init)
        for epoch in range(1, searched.epochs + 1):
            train_epoch(trainer, configuration, data, settings, rows, epoch, *purpose)
        return TrainedTail(trainer.trained_weights, trainer.head_weights, ())

    seeds = [train(np.arange(len(data.labels)), "final", number) for number in range(SEEDS)]
    bank, development = data.banks[configuration.unfreeze_depth], []
    for fold, (training, validation) in enumerate(data.folds):
        for number in range(SEEDS):
            train(training, *(("fold", fold, "seed", number) if number else ("fold", fold)))
            said = softmax(trainer.logits(bank.values, bank.offsets[validation]))
            development += [(fold, number, [data.image_ids[row] for row in validation], said)]
    return Again(searched, stored, searched.network(48), seeds, development)


def contents(run):
    files = [*run.path.rglob("*"), run.runs / LEDGER]
    return {path: path.read_bytes() for path in files if path.is_file() and path.name not in (".lock", ".session.json")}


def development_images(run):
    from search.export.write import comparison_images

    images, described = comparison_images(run, read_metadata(run.model_file))
    assert described == "images of development patients"
    return images


def opened(path):
    """The mean, and each member's own probabilities, as anyone would read them from the file."""
    import keras

    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    assert [layer.name for layer in model.layers if layer.name.startswith("member_")] == ["member_1", "member_2"]
    return model, keras.Model(model.input, model.get_layer("probabilities").input)


def test_the_mean_of_the_seeds_is_that_of_its_members_and_the_first_is_the_run_s_own_model(run, means, again):
    from search.export.model import load_exported

    images = development_images(run)
    one_by_one = [again.network.assembled(tail).predict_on_batch(images) for tail in again.seeds]
    model, members = opened(means["seeds"].path)
    np.testing.assert_allclose(model.predict_on_batch(images), np.mean(one_by_one, axis=0), atol=2e-7)
    for said, alone in zip(members.predict_on_batch(images), one_by_one, strict=True):
        np.testing.assert_allclose(said, alone, atol=2e-7)
    own = load_exported(run.model_file)
    np.testing.assert_array_equal(one_by_one[0], own.predict_on_batch(images))
    assert np.abs(one_by_one[0] - one_by_one[1]).max() > 1e-4, "the test would not tell the seeds apart"
    assert means["seeds"].verification["largest_difference"] < 1e-6
    content = read_metadata(means["seeds"].path).content["members"]
    assert (content["kind"], content["count"], content["first_is_single"]) == ("seeds", SEEDS, True)


def test_one_trunk_is_in_the_file(run, means):
    """So the second member adds its own weights alone."""
    from search.export.model import load_exported

    own, mean = (load_exported(path).count_params() for path in (run.model_file, means["seeds"].path))
    member = load_exported(means["seeds"].path).get_layer("member_2").count_params()
    assert mean == own + member < 2 * own


def test_thresholds_are_from_means_of_as_many_models_a_fold(finished, means, again):
    from reports import Predictions, corrected_predictions, fit_correction, fixed_thresholds
    from search.trials.data import training_shares

    config, stored = finished[0], again.stored.predictions
    found = {}
    for fold, number, images, said in again.development:
        for image, row in zip(images, said, strict=True):
            found.setdefault((fold, image), {})[number] = row
    keys = list(zip(again.stored.folds.tolist(), stored.image_ids, strict=True))
    np.testing.assert_array_equal([found[key][0] for key in keys], stored.probabilities)
    mean = np.array([(found[key][0] + found[key][1]) / 2 for key in keys])
    cases = Predictions(stored.image_ids, stored.patient_ids, stored.labels, mean, stored.class_names)
    shares = training_shares(config.search.minority, len(stored.class_names))
    choice = fit_correction(cases, shares, folds=again.stored.folds, seed=config.split.seed)
    metadata = read_metadata(means["seeds"].path)
    for name in ("kind", "temperature", "log_prior_shift"):
        assert getattr(metadata.correction, name) == getattr(choice.correction, name)
    expected = fixed_thresholds(corrected_predictions(cases, choice.correction), again.stored.folds)
    assert [(point.endpoint, point.target_specificity, point.threshold) for point in metadata.thresholds] == [
        (point.endpoint, point.target_specificity, point.threshold) for point in expected
    ]
    single = read_metadata(finished[1].directory.model_file)
    assert [point.threshold for point in metadata.thresholds] != [point.threshold for point in single.thresholds]
    assert metadata.read.operating_curve != single.read.operating_curve
    assert "means of 2 models a fold" in metadata.members.thresholds


def test_folds_are_the_search_s_own_models_without_thresholds(finished, means, again, phantom, capsys):
    from mammo_data.preparation.prepared import PreparedSet

    (prepared,) = (PreparedSet.load(path) for path in (finished[0].output.cache / "prepared").iterdir())
    _, members = opened(means["folds"].path)
    stored = again.stored
    for fold, rows in enumerate(stored.folds == fold for fold in range(FOLDS)):
        images = [name for name, inside in zip(stored.predictions.image_ids, rows, strict=True) if inside]
        at = [prepared.table.image_ids.index(name) for name in images]
        said = members.predict_on_batch(prepared.images[at][..., None].astype(np.float32))[fold]
        np.testing.assert_allclose(said, stored.predictions.probabilities[rows], atol=1e-4)
    metadata = read_metadata(means["folds"].path)
    assert metadata.content["calibration"] is metadata.content["operating_curve"] is None
    assert metadata.content["operating_points"] == []
    assert "each development woman was trained on by all of the 2 models but one" in metadata.members.thresholds
    answer = typed(capsys, "predict", means["folds"].path, sorted(phantom.glob("*.pgm"))[0])
    assert answer.code == 0, answer.err
    (said,) = [line for line in answer.error_lines if line.startswith("Probabilities are")]
    assert "plain and there are no thresholds, for each development woman was trained on by all" in said
    assert "_at_" not in answer.out
    refused = typed(capsys, "predict", means["folds"].path, phantom, "--at-sensitivity", "0.9")
    assert refused.code == 1
    assert "a mean of folds without any" in refused.error_lines[-1]


def test_predict_says_how_far_the_members_are_apart(means, phantom, capsys):
    from search.export.model import ExportedModel
    from search.predict.films import prepare_film

    films = sorted(phantom.glob("*.pgm"))[:10]  # more than a batch
    path = means["seeds"].path
    metadata = read_metadata(path)
    prepared = np.stack([prepare_film(film.read_bytes(), film.name, metadata.preparation) for film in films])
    _, members = opened(path)
    worst = [
        metadata.calibrated(said.astype(np.float64))[:, -1]
        for said in members.predict_on_batch(prepared[..., None].astype(np.float32))
    ]
    answer = typed(capsys, "predict", path, *films, films[0].with_name("none.pgm"), "--json")
    *rows, gone = map(json.loads, answer.out.splitlines())
    for row in (*rows, gone):
        assert_described("predict", row)
    assert gone["spread"] is None
    given = np.array([[row["spread"]["lowest"], row["spread"]["highest"]] for row in rows])
    np.testing.assert_allclose(given, np.transpose([np.min(worst, axis=0), np.max(worst, axis=0)]), atol=1e-4)
    assert (given[:, 1] - given[:, 0]).max() > 1e-4, "the test would see nothing"
    answer = typed(capsys, "predict", path, *films)
    table = list(csv.DictReader(io.StringIO(answer.out)))
    assert [float(row["malignant_lowest_member"]) for row in table] == pytest.approx(given[:, 0], abs=1e-6)
    assert [float(row["malignant_highest_member"]) for row in table] == pytest.approx(given[:, 1], abs=1e-6)
    assert "Spread over members: smallest to largest of 2 models' malignant." in answer.err
    assert "uncertain" not in answer.err + answer.out
    model = ExportedModel(find_model(str(path)))
    np.testing.assert_array_equal(model.probabilities(prepared), model.with_members(prepared)[0])


@pytest.mark.parametrize(("width", "shown"), [(80, False), (120, True)])
def test_a_table_with_the_members_fits_the_terminal(means, width, shown):
    from search.predict.films import PredictedImage
    from search.predict.predict import row_text

    header, text = row_text(read_metadata(means["seeds"].path), "table", width)
    probabilities = {"normal": 0.125, "benign": 0.25, "malignant": 0.625}
    row = text(PredictedImage("a.png", probabilities, probabilities, (True,) * 4, (0.5, 0.75)))
    assert max(map(len, (header + row).splitlines())) <= width
    assert ("0.500–0.750" in row) == shown
    assert ("The spread is in wider tables, csv and jsonl." in " ".join(header.split())) == (not shown)


def test_an_overlay_of_a_mean_is_the_mean_of_its_members_maps(run, means, again):
    from search.export.model import load_exported
    from search.predict.overlays import ExportedSaliency

    images = development_images(run)[:4, ..., 0].astype(np.uint8)
    classes = np.array([0, 1, 2, 2])
    maps, stride = ExportedSaliency(load_exported(means["seeds"].path)).maps(images, classes)
    alone = [ExportedSaliency(again.network.assembled(tail)).maps(images, classes) for tail in again.seeds]
    assert {stride} == {each for _, each in alone}
    expected = np.mean([each for each, _ in alone], axis=0)
    np.testing.assert_allclose(maps, expected, atol=1e-4 * expected.max())
    assert expected.max() > 0


def test_a_mean_in_its_run_is_taken_as_it_is_and_in_every_format(run, means, tmp_path, capsys):
    """An earlier export lies in best/ of a copy; of another run's, or damaged, it is made again."""
    from search.protocols.members.export import export_members
    from search.protocols.members.request import request_members

    copy = RunDirectory(shutil.copytree(run.path, tmp_path / "runs" / run.name))
    usual = copy.best / "bit_mammography_seeds.keras"
    assert not request_members(copy, "seeds").is_made
    shutil.copy(means["seeds"].path, usual)
    read_metadata(means["seeds"].path).write(usual, format="keras", verification=None)
    assert request_members(copy, "seeds").is_made
    assert find_model(str(usual)).run is not None
    exported = export_members(copy, "seeds", "onnx")
    assert exported.path == usual.with_suffix(".onnx")
    assert exported.verification["largest_difference"] <= 1e-4
    # What is exported where nobody says which: the mean, of a run that retrained several seeds.
    answer = typed(capsys, "export", copy.path, "--format", "savedmodel", "--json")
    assert answer.code == 0, answer.err
    assert f"2 seeds, as an earlier export has left them in {usual}" in answer.err
    found = json.loads(answer.out)
    assert_described("export", found)
    assert found["verification"]["largest_difference"] <= 1e-4
    for path in (exported.path, usual.with_suffix(".savedmodel")):
        assert read_metadata(path).members.count == SEEDS
    usual.write_bytes(usual.read_bytes()[:-1])
    assert not request_members(copy, "seeds").is_made
    read_metadata(means["folds"].path).write(usual, format="keras", verification=None)
    assert not request_members(copy, "seeds").is_made


def test_an_interrupted_export_leaves_no_file_and_goes_on_to_the_same_bytes(run, means, tmp_path):
    from contextlib import contextmanager

    from search.protocols.members.export import export_members
    from search.screen.output import messages
    from search.screen.progress import RunProgress

    class Interrupted(RunProgress):
        """Ctrl-C in the training of the folds' other models, after the first of them."""

        @contextmanager
        def station(self, name, **options):
            with super().station(name, **options) as moved:

                def interrupt(done, total):
                    if name == "folds" and done > total // 2:
                        raise KeyboardInterrupt
                    moved(done, total)

                yield interrupt

    target = tmp_path / "seeds.keras"
    with pytest.raises(KeyboardInterrupt):
        export_members(run, "seeds", out=target, progress=Interrupted(messages(), detail="quiet"))
    assert list(tmp_path.iterdir()) == []
    said = io.StringIO()
    export_members(run, "seeds", out=target, progress=RunProgress(messages(said)))
    assert "kept from before the interruption: model-1, model-2, fold-1-seed-2" in said.getvalue()
    # Both were trained by themselves, the first one in two parts.
    assert target.read_bytes() == means["seeds"].path.read_bytes()
    assert metadata_file(target).read_bytes() == means["seeds"].metadata.read_bytes()


def test_films_that_are_gone_are_one_line(run, phantom, tmp_path, capsys):
    aside = phantom.rename(phantom.with_name("aside"))
    try:
        answer = typed(capsys, "export", run.path, "--model", "seeds", "--out", tmp_path / "seeds.keras")
    finally:
        aside.rename(phantom)
    assert answer.code == 1
    (line,) = answer.error_lines
    assert "the films that first was made with" in line
    assert str(phantom) in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "setting", "words"),
    [
        ("seeds", ("seeds = 2", "seeds = 1"), "one seed was trained: nothing to average"),
        ("folds", ("folds = 2", "folds = 1"), "one fold was used: nothing to average"),
    ],
)
def test_one_model_alone_is_nothing_to_average(run, kind, setting, words, tmp_path, capsys):
    copy = RunDirectory(shutil.copytree(run.path, tmp_path / "one"))
    text = copy.config_file.read_text()
    assert text.count(setting[0]) == 1
    copy.config_file.write_text(text.replace(*setting))
    copy.update_manifest(**copy.checksums())
    answer = typed(capsys, "export", copy.path, "--model", kind, "--out", tmp_path / "out.keras")
    assert answer.code == 1
    (line,) = answer.error_lines
    assert words in line
    if kind == "seeds":  # then the one model is what there is, and nobody has to name it
        answer = typed(capsys, "export", copy.path, "--out", tmp_path / "out.keras")
        assert answer.code == 0, answer.err
        assert (tmp_path / "out.keras").read_bytes() == run.model_file.read_bytes()


def test_a_mean_that_is_not_what_is_said_beside_it_is_refused(means, phantom, tmp_path, capsys):
    """Another number of members, one model's metadata, and a member that would run code."""
    film, metadata = sorted(phantom.glob("*.pgm"))[0], read_metadata(means["seeds"].path)
    path = tmp_path / "mean.keras"

    def predicted(members):
        changed = type(metadata)({**metadata.content, "members": members})
        changed.write(path, format="keras", verification=None)
        answer = typed(capsys, "predict", path, film)
        assert answer.code == 1
        return answer.error_lines[-1]

    shutil.copy(means["seeds"].path, path)
    said = metadata.content["members"]
    assert "a mean of 2 models where 3 are named beside it" in predicted(said | {"count": 3})
    assert "a mean of 2 models where 0 are named beside it" in predicted(None)
    assert "what is to be known of the model" in predicted(said | {"kind": "friends"})
    with zipfile.ZipFile(means["seeds"].path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    (member,) = [layer for layer in config["config"]["layers"] if layer["name"] == "member_2"]
    member["config"]["layers"][-1]["class_name"] = "Lambda"
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, json.dumps(config) if name == "config.json" else part)
    assert "found keras.layers.Lambda" in predicted(said)


def test_a_run_that_is_not_finished_is_one_line(run, tmp_path):
    from search.protocols.members.request import request_members

    copy = RunDirectory(shutil.copytree(run.path, tmp_path / "running"))
    copy.update_manifest(status="running", finished=None)
    with pytest.raises(RunError, match="a run that is finished"):
        request_members(copy, "seeds")
