"""The demonstration's films hold no leak, and a signal of size, seen through the frozen backbone alone."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from search.audit.permutation import PERMUTATIONS, RIDGE, permutation_test
from search.cohort import job_source
from search.config.schema import demo_config


@pytest.fixture(scope="module")
def features(tmp_path_factory, tensorflow_started):
    """Depth-0 features of the demonstration's images: float32 [n, channels], size of the breast in thirds, patients."""
    from mammo_data.preparation.prepared import PreparationSettings, prepare
    from search.bit.family import architecture_of
    from search.bit.resolve import resolve_weights
    from search.boundary.trunk import frozen_trunk

    config, workspace = demo_config(), tmp_path_factory.mktemp("permutation")
    preparation = PreparationSettings(image_size=config.preparation.image_size)
    cached = config.model_copy(update={"output": config.output.model_copy(update={"cache": workspace})})
    prepared = prepare(job_source(cached, demo=True), preparation, workspace)
    architecture = architecture_of(config.backbone.name)
    weights = resolve_weights(config.backbone.weights, architecture, seed=config.backbone.weights_seed)
    trunk = frozen_trunk(architecture, weights, image_size=config.preparation.image_size, depths=(0,))
    pixels = np.repeat(prepared.images[..., None], 3, axis=-1).astype(np.float32) / 127.5 - 1
    pooled = np.concatenate([trunk(pixels[start : start + 24])[0] for start in range(0, len(pixels), 24)])
    sizes = np.mean(prepared.images > 18, axis=(1, 2))
    return pooled, np.digitize(sizes, np.quantile(sizes, (1 / 3, 2 / 3))), np.array(prepared.table.patient_ids)


def patient_folds(patients):
    part = np.unique(patients, return_inverse=True)[1] % 5
    return [(np.flatnonzero(part != fold), np.flatnonzero(part == fold)) for fold in range(5)]


def test_true_labels_stand_out_of_a_null_around_chance(features):
    found = permutation_test(*features, folds=patient_folds(features[2]), n_classes=3)
    print(found.as_dict())
    assert len(found.null) == PERMUTATIONS == 100
    assert abs(np.mean(found.null) - 0.5) < 0.02
    assert found.p_value < 0.05


def test_folds_that_part_the_copies_of_an_image_lift_the_null(features):
    """Augmented before the split: the classic leak. Even labels that mean nothing are then predicted."""
    pooled, labels, patients = (np.concatenate([part, part]) for part in features)
    pooled = pooled + np.random.default_rng(0).normal(scale=0.05 * pooled.std(axis=0), size=pooled.shape)
    part = np.random.default_rng(1).integers(5, size=len(labels))
    leaky = [(np.flatnonzero(part != fold), np.flatnonzero(part == fold)) for fold in range(5)]
    found = permutation_test(pooled, labels, patients, folds=leaky, n_classes=3, permutations=20)
    honest = permutation_test(pooled, labels, patients, folds=patient_folds(patients), n_classes=3, permutations=20)
    print(np.mean(found.null), np.mean(honest.null))
    assert np.mean(found.null) > 0.7
    assert abs(np.mean(honest.null) - 0.5) < 0.04


@pytest.mark.parametrize("seed", range(5))
def test_women_may_have_any_number_of_images(seed):
    """scikit-learn's ridge, fold by fold, on labels that were laid end to end woman by woman in a drawn order."""
    rng = np.random.default_rng(seed)
    counts = rng.permutation([1, 2, 3, 4] * 8)
    patients = np.repeat([f"p{number:03d}" for number in range(len(counts))], counts)
    labels = rng.integers(3, size=len(patients))
    shown = rng.permutation(len(patients))  # a woman's images need not stand together
    patients, labels = patients[shown], labels[shown]
    features, folds = rng.normal(size=(len(patients), 8)) + 0.5 * labels[:, None], patient_folds(patients)
    found = permutation_test(features, labels, patients, folds=folds, n_classes=3, permutations=9, seed=seed)
    assert found.observed == pytest.approx(ridge_auc(features, labels, folds), abs=1e-9)
    draws, women, null = np.random.default_rng(seed), np.unique(patients), []
    rows_of = [np.flatnonzero(patients == woman) for woman in women]
    for _ in range(9):
        shuffled = np.empty_like(labels)
        shuffled[np.concatenate(rows_of)] = np.concatenate([labels[rows_of[k]] for k in draws.permutation(len(women))])
        assert not np.array_equal(shuffled, labels)
        null.append(ridge_auc(features, shuffled, folds))
    assert found.null == pytest.approx(null, abs=1e-9)
    assert found.p_value == (1 + sum(score >= found.observed for score in null)) / 10


def ridge_auc(features, labels, folds):
    aucs = []
    for training, validation in folds:
        model = make_pipeline(StandardScaler(), Ridge(RIDGE)).fit(features[training], np.eye(3)[labels[training]])
        scores = model.predict(features[validation])
        aucs.append(np.mean([roc_auc_score(labels[validation] == k, scores[:, k]) for k in range(3)]))
    return np.mean(aucs)
