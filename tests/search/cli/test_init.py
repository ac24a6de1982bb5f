"""mammo-search init, and the file that it writes."""

import tomllib

import pytest

from search.config.reading import load_config
from search.config.schema import Config, demo_config
from search.config.writing import commented_toml, shipped_text, to_toml
from search.run_folder.lifecycle import result_settings
from search.run_folder.manifest import Manifest, write_manifest
from tests.conftest import ROOT
from tests.support.command_line import typed
from tests.support.tiny import tiny_config

SHIPPED = ROOT / "tuner_config.toml"
MANIFEST = {
    "name": "first",
    "status": "running",
    "created": "2026-01-01T00:00:00+00:00",
    "argv": ["run"],
    "demo": False,
    "fingerprints": {},
    "results_version": 1,
    "views_per_class": None,
    "seeds": {},
    "versions": {},
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_init_writes_the_commented_file_of_the_repository(tmp_path, capsys):
    answer = typed(capsys, "init", "--all")
    assert (answer.code, answer.out) == (0, "tuner_config.toml\n")
    assert (tmp_path / "tuner_config.toml").read_bytes() == SHIPPED.read_bytes()
    assert typed(capsys, "init", tmp_path / "mine.toml").code == 0
    (tmp_path / "folder").mkdir()
    assert typed(capsys, "init", "folder").out == "folder/tuner_config.toml\n"


def test_init_alone_writes_what_people_set_and_names_the_way_to_the_rest(tmp_path, capsys):
    assert typed(capsys, "init").code == 0
    short, whole = (tmp_path / "tuner_config.toml").read_text(), SHIPPED.read_text()
    assert load_config(tmp_path / "tuner_config.toml") == Config()
    assert "`init --all`" in short
    assert 2 * len(short) < len(whole) + 1000
    lines = iter(whole.splitlines())
    assert all(line in lines for line in short.splitlines()), "each line stands in the whole file, in that order"
    tables = tomllib.loads(short)
    assert {"max_trials", "max_epochs", "seed"} <= tables["search"].keys()
    assert not {"advanced", "ADVANCED"} & set(short.replace(":", " ").split())
    assert not {"augmentation", "roi"} & tables.keys()


def test_init_replaces_only_by_force(tmp_path, capsys):
    (tmp_path / "tuner_config.toml").write_text("mine")
    answer = typed(capsys, "init")
    assert answer.code == 2
    assert "--force" in answer.err
    assert (tmp_path / "tuner_config.toml").read_text() == "mine"
    assert typed(capsys, "init", "--force").code == 0
    assert load_config(tmp_path / "tuner_config.toml") == Config()


def test_init_from_a_run_gives_its_configuration_with_the_comments(tmp_path, capsys):
    config = tiny_config(tmp_path / "images", tmp_path, output__runs="runs", search__schedule="bit")
    run = tmp_path / "runs" / "first"
    run.mkdir(parents=True)
    write_manifest(run / "run.json", Manifest(**MANIFEST | {"settings": result_settings(config)}))
    (run / "config.toml").write_text(to_toml(config))
    answer = typed(capsys, "init", "--from", "first", "again.toml")
    assert answer.code == 0, answer.err
    assert load_config(tmp_path / "again.toml") == config
    assert "--demo" not in (tmp_path / "again.toml").read_text()
    text = (tmp_path / "again.toml").read_text()
    assert 'schedule = "bit"              # constant; after' in text, "an advanced setting that is not as usual"
    assert "\noptimizer = " not in text, "one that is"
    assert "\n[augmentation]\nviews = 2 " in text
    assert "folds = 2                     # folds a trial" in text


def test_init_from_an_outer_search_says_that_it_is_one(tmp_path, capsys):
    config = tiny_config(tmp_path / "images", tmp_path, output__runs="runs", split__protocol="nested")
    for place, outer in (("first", None), ("first/outer-2", {"run": "first", "fold": 2, "folds": 5})):
        run = tmp_path / "runs" / place
        run.mkdir(parents=True)
        settings = {"settings": result_settings(config), "protocol": "nested", "outer": outer}
        write_manifest(run / "run.json", Manifest(**MANIFEST | settings))
        (run / "config.toml").write_text(to_toml(config))
    assert typed(capsys, "init", "--from", "first/outer-2", "again.toml").code == 0
    first = (tmp_path / "again.toml").read_text().splitlines()[0]
    assert first.startswith("# Settings of outer search 2 of 5 of the nested run first; ")
    assert load_config(tmp_path / "again.toml") == config
    assert "(outer search 2 of 5 of the nested run first)" in typed(capsys, "status", "first/outer-2").out
    assert "outer search" not in typed(capsys, "status", "first").out


def test_init_from_a_demonstration_says_how_to_make_another(tmp_path, capsys):
    run = tmp_path / "runs" / "demo"
    run.mkdir(parents=True)
    manifest = Manifest(**MANIFEST | {"demo": True, "settings": result_settings(demo_config())})
    write_manifest(run / "run.json", manifest)
    (run / "config.toml").write_text(to_toml(demo_config()))
    assert typed(capsys, "init", "--from", "demo", "again.toml").code == 0
    assert "run --demo --config FILE" in (tmp_path / "again.toml").read_text().splitlines()[0]
    assert load_config(tmp_path / "again.toml") == demo_config()


def test_init_from_a_run_whose_configuration_was_damaged_is_refused(tmp_path, capsys):
    config = tiny_config(tmp_path / "images", tmp_path, output__runs="runs")
    run = tmp_path / "runs" / "first"
    run.mkdir(parents=True)
    write_manifest(run / "run.json", Manifest(**MANIFEST | {"settings": result_settings(config)}))
    (run / "config.toml").write_text(to_toml(config).replace("image_size = 48", "image_size = 40"))
    answer = typed(capsys, "init", "--from", "first", "again.toml")
    assert answer.code == 1
    assert "preparation.image_size 48 → 40" in answer.err
    assert not (tmp_path / "again.toml").exists()


def test_every_setting_stands_in_the_shipped_file_once_with_its_default():
    text = shipped_text()
    assert text == SHIPPED.read_text()
    assert commented_toml(Config(), advanced=True) == text
    # Switch on what is off by default: then each setting of the schema must be a key of its section.
    switched = "\n".join(line.removeprefix("# ") if " = " in line and line[2:3].islower() else line
                         for line in text.replace("known = [{", "known = [] # [{").splitlines())  # fmt: skip
    keys = {section: set(table) for section, table in tomllib.loads(switched).items()}
    assert keys == {name: set(type(getattr(Config(), name)).model_fields) for name in Config.model_fields}


def test_a_value_with_a_number_sign_keeps_its_comment(tmp_path):
    config = load_config(None, {"data.path": "a#b/c # d", "data.info": "x#.txt", "search.folds": 3})
    file = tmp_path / "c.toml"
    file.write_text(commented_toml(config))
    assert load_config(file) == config
    assert "# folder with mdb001.pgm" in file.read_text()
