"""The demonstration's data hold a signal and no leak, seen through the frozen backbone alone."""

import numpy as np
import pytest

from search.demo import demo_config, demo_data


@pytest.fixture(scope="module")
def features(tmp_path_factory, tensorflow_started):
    """Depth-0 features of the demonstration's images: float32 [n, channels], labels, patients."""
    from mammo_data.layouts import open_source
    from mammo_data.prepared import PreparationSettings, prepare
    from search.bit_family import architecture_of
    from search.bit_weights import resolve_weights
    from search.trunk import frozen_trunk

    config, workspace = demo_config(), tmp_path_factory.mktemp("permutation")
    settings = PreparationSettings(image_size=config.preparation.image_size)
    prepared = prepare(open_source(demo_data(workspace)), settings, workspace)
    architecture = architecture_of(config.backbone.name)
    weights = resolve_weights(config.backbone.weights, architecture, seed=config.backbone.weights_seed)
    trunk = frozen_trunk(architecture, weights, image_size=config.preparation.image_size, depths=(0,))
    pixels = np.repeat(prepared.images[..., None], 3, axis=-1).astype(np.float32) / 127.5 - 1
    pooled = np.concatenate([trunk(pixels[start : start + 24])[0] for start in range(0, len(pixels), 24)])
    return pooled, prepared.table.labels, np.array(prepared.table.patient_ids)


def cross_validated_auc(pooled, labels, patients):
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from reports.metrics import macro_ovr_auc

    model = make_pipeline(StandardScaler(), RidgeClassifier(alpha=1000.0))
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    scores = cross_val_predict(model, pooled, labels, groups=patients, cv=folds, method="decision_function")
    return macro_ovr_auc(labels, scores)


def permuted(labels, patients, rng):
    """Each woman's pair of labels given to another woman."""
    names, position = np.unique(patients, return_inverse=True)
    pairs = np.stack([labels[position == patient] for patient in range(len(names))])
    result = np.empty_like(labels)
    for patient, pair in enumerate(pairs[rng.permutation(len(names))]):
        result[position == patient] = pair
    return result


def test_true_labels_stand_out_of_a_null_around_chance(features):
    pooled, labels, patients = features
    rng = np.random.default_rng(0)
    null = np.array([cross_validated_auc(pooled, permuted(labels, patients, rng), patients) for _ in range(100)])
    observed = cross_validated_auc(pooled, labels, patients)
    p_value = (1 + np.sum(null >= observed)) / (1 + len(null))
    print(f"observed {observed:.3f}, null {null.mean():.3f} ± {null.std():.3f}, p {p_value:.3f}")
    assert abs(null.mean() - 0.5) < 0.02
    assert p_value < 0.05
