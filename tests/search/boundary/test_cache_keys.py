"""A cache is read again where nothing has changed that its values depend on, and only there."""

from dataclasses import fields, replace

import numpy as np
import pytest

from mammo_data.preparation.settings import AugmentationSettings
from search.boundary.bank_key import BankKey
from search.boundary.plan import plan_banks
from tests.support.every_setting import CONFIG, each_field_changed, each_setting_changed

SIDE = 32
AUGMENTATION = AugmentationSettings()


@pytest.fixture(scope="module")
def films(phantom, tmp_path_factory):
    from mammo_data.preparation.prepared import PreparationSettings, prepare
    from mammo_data.sources.open import open_source

    return prepare(open_source(phantom), PreparationSettings(image_size=SIDE), tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def split(films):
    from mammo_data.splits import patient_split

    return patient_split(films.table, folds=3)


@pytest.fixture(scope="module")
def plan(engine, films, split):
    """One view of each image, stored for the head alone."""
    return banks_plan(engine, films, split, views=1)


def banks_plan(engine, films, split, *, views):
    from search.boundary.banks import boundary_shapes

    labels = films.table.labels[split.development_rows(films.table)]
    shapes = boundary_shapes(engine.architecture, [0], SIDE)
    return plan_banks(labels, 3, shapes, base_views=views, most_views=views, max_bytes=10**9)


@pytest.mark.parametrize("section", ["preparation", "roi", "augmentation"])
def test_every_setting_of_images_reaches_the_package_that_makes_them(section):
    before = getattr(CONFIG, section).settings()
    for path, config in each_setting_changed(CONFIG).items():
        of, _, name = path.partition(".")
        if of == section and path not in ("augmentation.views", "augmentation.most_views"):
            made = getattr(config, section).settings()
            assert made == replace(before, **{name: getattr(getattr(config, section), name)}), path
            assert made != before, path


def test_every_field_of_a_bank_s_key_names_another_bank():
    key = BankKey(weights="w", prepared="p", views="v", depth=1, batch_size=8)
    texts = {field.name: "other" for field in fields(key) if isinstance(getattr(key, field.name), str)}
    numbers = {field.name: 99 for field in fields(key) if isinstance(getattr(key, field.name), int)}
    others = [replace(key, **{name: value}) for name, value in (texts | numbers).items()]
    assert len(others) == len(fields(key)) == 8
    assert len({each.fingerprint for each in (key, *others)}) == 9


def test_the_stored_views_are_told_by_which_they_are_and_how_they_are_made(engine, films, split, plan):
    from mammo_data.splits import patient_split
    from search.boundary.views import stored_views

    def views(plan=plan, split=split, seed=0, augmentation=AUGMENTATION):
        return stored_views(films, split, plan, seed=seed, augmentation=augmentation)

    def fingerprint(**changes):
        return views(**changes).fingerprint

    others = {name: fingerprint(augmentation=each) for name, each in each_field_changed(AUGMENTATION).items()}
    others["seed"] = fingerprint(seed=1)
    others["more views"] = fingerprint(plan=banks_plan(engine, films, split, views=2))
    others["other patients"] = fingerprint(split=patient_split(films.table, folds=3, seed=1))
    others["other numbers"] = replace(views(), numbers=views().numbers + 1).fingerprint
    assert len({fingerprint(), *others.values()}) == 1 + len(others)
    assert fingerprint() == fingerprint()


def test_a_bank_is_made_anew_for_whatever_changes_its_values(engine, films, split, plan, tmp_path, monkeypatch):
    """One fill each; nothing that has another value is taken from an earlier one, and what is the same is."""
    from search.bit.weights import random_weights
    from search.boundary.banks import boundary_values
    from search.boundary.views import stored_views

    def values(films=films, plan=plan, weights=engine.weights, **settings):
        views = stored_views(films, split, plan, seed=0, augmentation=AUGMENTATION)
        found = boundary_values(
            views,
            plan,
            architecture=engine.architecture,
            weights=weights,
            cache=tmp_path,
            max_bytes=10**9,
            **settings,
        )
        return np.array(found[0])

    def banks():
        return {file.parent.name for file in tmp_path.glob("*/bank.json")}

    first, seen = values(), banks()
    assert len(seen) == 1
    assert np.array_equal(values(), first)
    assert banks() == seen
    darker = replace(films, images=films.images // 2, fingerprint="0" * 64)
    others = {
        "prepared": {"films": darker},
        "weights": {"weights": random_weights(engine.architecture, 1)},
        "dtype": {"dtype": "mixed_bfloat16"},
        "views": {"plan": banks_plan(engine, films, split, views=2)},
    }
    for name, other in others.items():
        found = values(**other)
        assert len(banks()) == len(seen) + 1, name
        assert not np.array_equal(found, first), name
        seen = banks()
    with monkeypatch.context() as patch:
        patch.setattr("search.boundary.banks.arithmetic_in_words", lambda: "tensorflow 0.1, keras 0.1, CPU")
        values()
    assert len(banks()) == len(seen) + 1, "other libraries"


def test_random_weights_of_another_seed_have_another_fingerprint(engine):
    from search.bit.weights import fingerprint_of, random_weights

    assert random_weights(engine.architecture, 1).fingerprint != engine.weights.fingerprint
    arrays = dict(engine.weights.arrays)
    name = next(iter(arrays))
    changed = arrays[name].copy()
    changed.reshape(-1)[0] += 1
    renamed = {f"{name}/other" if each == name else each: values for each, values in arrays.items()}
    reshaped = arrays | {name: arrays[name].reshape(-1)}
    prints = {fingerprint_of(each) for each in (arrays, arrays | {name: changed}, renamed, reshaped)}
    assert len(prints) == 4
