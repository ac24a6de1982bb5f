import contextlib
import itertools
import re
from datetime import date
from pathlib import Path
from typing import get_args

import pytest

from search.config.reading import load_config
from search.config.schema import BackboneSection, Config
from search.config.writing import to_toml
from search.errors import ConfigError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_written_reads_back_equal(tmp_path):
    config = load_config(None, {"search.max_trials": 7, "split.file": tmp_path / 'a "quoted" name.csv'})
    assert load_config(write(tmp_path / "c.toml", to_toml(config))) == config


def test_the_shipped_file_holds_the_defaults():
    assert load_config(Path(__file__).parents[3] / "tuner_config.toml") == Config()


def test_flags_beat_the_file_and_the_file_beats_the_base(tmp_path):
    text = "[search]\nmax_trials = 5\nfactor = 2\n[space]\ndropout = { min = 0.1, max = 0.2 }"
    file = write(tmp_path / "c.toml", text)
    base = load_config(None, {"search.max_trials": 3, "search.seed": 9})
    config = load_config(file, {"search.factor": 4}, base=base)
    assert (config.search.max_trials, config.search.factor, config.search.seed) == (5, 4, 9)
    assert config.space.dropout.max == 0.2


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[search]\nmax_trails = 3", "2: search.max_trails: unknown key; did you mean 'max_trials'?"),
        ("\n# so\n[serch]\na = 1", "3: serch: unknown key; did you mean 'search'?"),
        ("folds = 3", "1: folds: unknown key; it belongs to [split] or [search]"),
        ("[search]\nimage_size = 3", "2: search.image_size: unknown key; it belongs to [preparation]"),
        (
            "[split]\nxyz = 1",
            "2: split.xyz: unknown key; known are protocol, outer_folds, test_fraction, folds, seed, file",
        ),
        ("[search]\nfactor = 1", "2: search.factor: expected at least 2; found 1"),
        ("[search]\nfactor = 'much'", "2: search.factor: expected a whole number; found 'much'"),
        ("[search]\nfactor = true", "2: search.factor: expected a whole number; found true"),
        ("[search]\nmax_minutes = false", "2: search.max_minutes: expected a number; found false"),
        ("[space]\nhead_width = [64, true]", "2: space.head_width.1: expected a whole number; found true"),
        ("[space]\nl2 = { max = true }", "2: space.l2.max: expected a number; found true"),
        ("[search]\nmax_minutes = inf", "2: search.max_minutes: expected a finite number; found inf"),
        ("[data]\nmode = 'hole'", "2: data.mode: expected 'whole' or 'roi'; found 'hole'; did you mean 'whole'?"),
        ("search = 3", "1: search: expected a table; found 3"),
        ("[space]\nl2 = { min = 0, max = 1, sampling = 'log' }", "2: space.l2: expected min <= max, and min > 0"),
        ("[space]\nhead_width = [8]\ndropout = { max = 1 }", "3: space.dropout: expected 0 <= min and max < 1; found"),
        ("[space.l2]\nmini = 1", "2: space.l2.mini: unknown key; did you mean 'min'?"),
        ("[split]\nfolds = 3\n[search]\nfolds = 4", "4: search.folds: expected at most split.folds = 3; found 4"),
        (
            "[space]\nhead_width = [\n  64, # one\n  0,\n]",
            "2: space.head_width.1: expected at least 1; found 0",
        ),
        (
            "[space]\nhead_width = [\n  64,\n]\n[[space.known]]\ndropout = 0.1\nheadwidth = 3\nl2 = 0\n"
            "learning_rate = 1\nunfreeze_depth = 0\nhead_width = 4",
            "7: space.known.0.headwidth: unknown key; did you mean 'head_width'?",
        ),
    ],
)
def test_a_mistake_is_one_line_with_its_place(tmp_path, text, line):
    with pytest.raises(ConfigError) as error:
        load_config(write(tmp_path / "c.toml", text))
    (found,) = str(error.value).splitlines()
    assert found.startswith(f"{tmp_path / 'c.toml'}:{line}")


@pytest.mark.parametrize(
    ("overrides", "origin", "line"),
    [
        ({"search.max_trials": 0}, "--max-trials", "--max-trials: search.max_trials: expected at least 1; found 0"),
        ({"search.max_trails": 5}, "--set", "--set: search.max_trails: unknown key; did you mean 'max_trials'?"),
        ({"space.dropout.max": -1}, "--set", "--set: space.dropout: expected min <= max"),
        ({"search.factor.x": 3}, "--set", "--set: search.factor: expected a table; found a setting without parts"),
        ({"search.folds": 9}, "--folds", "--folds: search.folds: expected at most split.folds = 5; found 9"),
    ],
)
def test_a_mistake_on_the_command_line_names_the_flag(tmp_path, overrides, origin, line):
    file = write(tmp_path / "c.toml", "[search]\nmax_trials = 7\n[space]\ndropout = { min = 0.1, max = 0.3 }")
    with pytest.raises(ConfigError) as error:
        load_config(file, overrides, origins=dict.fromkeys(overrides, origin))
    assert str(error.value).startswith(line)


def test_a_part_of_a_table_can_be_changed_alone(tmp_path):
    file = write(tmp_path / "c.toml", "[space]\nlearning_rate = { max = 0.03 }")
    config = load_config(file, {"space.dropout.max": 0.3})
    assert (config.space.dropout.min, config.space.dropout.max) == (0.0, 0.3)
    assert config.space.learning_rate.model_dump() == {"min": 1e-4, "max": 0.03, "sampling": "log"}


def test_every_mistake_is_named(tmp_path):
    with pytest.raises(ConfigError) as error:
        load_config(write(tmp_path / "c.toml", "[search]\nfactor = 1\nmax_trials = 0\nbatch = 2"))
    assert len(str(error.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "line"),
    [("\nmax_trials = ", 2), ("\x00", 1), ("[search]\nfactor = 3\nfactor = 4\n", 3), ("a = '''\nb", 2)],
)
def test_a_file_that_is_no_toml_is_one_line(tmp_path, text, line):
    with pytest.raises(ConfigError, match=rf"c\.toml:{line}: expected TOML; found: [^\n]+$"):
        load_config(write(tmp_path / "c.toml", text))


def test_a_file_that_is_no_text_is_one_line(tmp_path):
    (tmp_path / "c.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(tmp_path / "c.toml")


def test_mistakes_are_told_from_top_to_bottom_after_those_of_the_flags(tmp_path):
    file = write(tmp_path / "c.toml", "[space]\nnobody = 1\n[search]\nmax_trails = 3\nfactor = 1\n[split]\nfolds = 0")
    with pytest.raises(ConfigError) as error:
        load_config(file, {"search.seed": -1}, origins={"search.seed": "--seed"})
    places = [line.split(": ")[0] for line in str(error.value).splitlines()]
    assert places == ["--seed", *(f"{file}:{line}" for line in (2, 4, 5, 7))]


def test_a_byte_order_mark_changes_nothing(tmp_path):
    plain, marked = tmp_path / "plain.toml", tmp_path / "marked.toml"
    plain.write_text(to_toml(Config()), encoding="utf-8")
    marked.write_text(to_toml(Config()), encoding="utf-8-sig", newline="\r\n")
    assert load_config(marked) == load_config(plain)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml"):
        load_config(tmp_path / "none.toml")


def test_every_preparation_and_augmentation_setting_can_be_configured_and_has_one_default():
    from mammo_data.preparation.settings import AugmentationSettings, PreparationSettings

    assert Config().preparation.settings() == PreparationSettings()
    assert Config().augmentation.settings() == AugmentationSettings()
    changed = load_config(None, {"augmentation.rotation": 3.0, "preparation.clahe": True})
    assert changed.augmentation.settings().rotation == 3.0
    assert changed.preparation.settings().clahe


def test_every_backbone_of_the_family_can_be_named():
    from search.bit.family import FAMILY, SMALL_BACKBONE

    named = get_args(BackboneSection.model_fields["name"].annotation)
    assert set(named) == {*FAMILY, SMALL_BACKBONE}


@pytest.mark.parametrize(("name", "deepest"), [("bit-m-r50x1", 17), ("bit-s-r101x1", 34), ("bit-small", 5)])
def test_a_depth_that_the_backbone_lacks_is_refused(name, deepest):
    known = {"head_width": 8, "dropout": 0.1, "l2": 0.0, "learning_rate": 0.1, "unfreeze_depth": deepest + 1}
    assert load_config(None, {"backbone.name": name, "space.unfreeze_depth": [0, deepest]})
    for change in ({"space.unfreeze_depth": [deepest + 1]}, {"space.known": [known]}):
        with pytest.raises(ConfigError, match=f"expected at most {deepest} for {name}; found {deepest + 1}"):
            load_config(None, {"backbone.name": name, "space.unfreeze_depth": [0], **change})


def test_an_augmentation_that_turns_images_inside_out_is_refused():
    with pytest.raises(ConfigError, match=r"augmentation: expected strength × scale below 1"):
        load_config(None, {"augmentation.strength": 2.0, "augmentation.scale": 0.6})


WRONG = [
    *(True, -1, 1.5, 10**30, float("nan"), float("inf"), "", "words", "1e", b"", date(2026, 1, 2)),
    *([], ["words"], [[1]], {}, {"words": 1}, None),
]
A_LIBRARY_S = re.compile(
    r"Input|valid |unable|Value error|not permitted|Field required|keyword|validation|Tuple|pydantic"
)


def test_no_wrong_value_is_answered_in_the_words_of_a_library():
    paths = [f"{name}.{key}" for name, section in Config() for key in type(section).model_fields]
    paths += ["space.dropout.min", "space.l2.sampling", "search", "data"]
    said = []
    for path, value in itertools.product(paths, WRONG):
        with contextlib.suppress(ConfigError):
            load_config(None, {path: value})
            continue
        with pytest.raises(ConfigError) as error:
            load_config(None, {path: value}, origins={path: "--set"})
        said += str(error.value).splitlines()
    assert len(said) > 10 * len(paths) // 2
    assert not [line for line in said if A_LIBRARY_S.search(line)]
    assert not [
        line for line in said if not re.search(r"^--set: [a-z0-9_.]+: (expected .*; found |unknown key; )", line)
    ]
