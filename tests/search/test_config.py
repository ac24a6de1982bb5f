from pathlib import Path

import pytest

from search.config import Config, load_config, to_toml
from search.errors import ConfigError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_written_reads_back_equal(tmp_path):
    config = load_config(None, {"search.max_trials": 7, "split.file": tmp_path / "a \"quoted\" name.csv"})
    assert load_config(write(tmp_path / "c.toml", to_toml(config))) == config


def test_the_shipped_file_holds_the_defaults():
    assert load_config(Path(__file__).parents[2] / "tuner_config.toml") == Config()


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
        ("[search]\nmax_trails = 3", "search.max_trails: unknown key; did you mean 'max_trials'?"),
        ("[serch]\na = 1", "serch: unknown key; did you mean 'search'?"),
        ("[search]\nfactor = 1", "search.factor: input should be greater than or equal to 2; found 1"),
        ("[space]\nl2 = { min = 0, max = 1, sampling = 'log' }", "space.l2: expected min <= max, and min > 0"),
        ("[split]\nfolds = 3\n[search]\nfolds = 4", "search.folds: expected at most split.folds = 3; found 4"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(tmp_path, text, line):
    with pytest.raises(ConfigError) as error:
        load_config(write(tmp_path / "c.toml", text))
    (found,) = str(error.value).splitlines()
    assert found.startswith(f"{tmp_path / 'c.toml'}: {line}")


def test_every_mistake_is_named(tmp_path):
    with pytest.raises(ConfigError) as error:
        load_config(write(tmp_path / "c.toml", "[search]\nfactor = 1\nmax_trials = 0\nbatch = 2"))
    assert len(str(error.value).splitlines()) == 3


@pytest.mark.parametrize("text", ["max_trials = ", "\x00"])
def test_a_file_that_is_no_toml_is_one_line(tmp_path, text):
    with pytest.raises(ConfigError, match="TOML"):
        load_config(write(tmp_path / "c.toml", text))


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml"):
        load_config(tmp_path / "none.toml")


def test_every_preparation_and_augmentation_setting_can_be_configured_and_has_one_default():
    from mammo_data.augmentation import AugmentationSettings
    from mammo_data.standardise import PreparationSettings

    assert Config().preparation.settings() == PreparationSettings()
    assert Config().augmentation.settings() == AugmentationSettings()
    changed = load_config(None, {"augmentation.rotation": 3.0, "preparation.clahe": True})
    assert changed.augmentation.settings().rotation == 3.0
    assert changed.preparation.settings().clahe


def test_an_augmentation_that_turns_images_inside_out_is_refused():
    with pytest.raises(ConfigError, match=r"augmentation: expected strength × scale below 1"):
        load_config(None, {"augmentation.strength": 2.0, "augmentation.scale": 0.6})
