"""What --dry-run says of sizes before anything is computed, beside what a run then leaves on disk."""

import json

from typer.testing import CliRunner

from mammo_data.sources.open import load_cases, open_source
from search.config.reading import load_config
from search.protocols.expected_cost import expected_cost
from tests.support.json_answers import assert_described


def test_the_banks_have_the_announced_size(finished, phantom):
    config, result = finished
    cost = expected_cost(config, load_cases(open_source(phantom)), gflops=100)
    values = sorted(path.stat().st_size for path in (config.output.cache / "banks").glob("*/values.npy"))
    announced = sorted(cost.banks.bytes.values())
    # The header of an .npy file is 128 bytes.
    assert all(size in [expected + 128 for expected in announced] for size in values)
    assert list(cost.banks.views_per_class) == json.loads(result.directory.manifest_file.read_text())["views_per_class"]


def test_the_answer_as_json_is_as_described(phantom, tmp_path, monkeypatch):
    from search.cli.main import app

    monkeypatch.chdir(tmp_path)
    words = ["run", "--dry-run", "--data", str(phantom), "--protocol", "nested", "--backbone", "bit-small"]
    answer = json.loads(CliRunner().invoke(app, [*words, "--weights", "random", "--json"]).stdout)
    assert answer["expected"]["searches"] == answer["nested"]["searches"] == 6
    assert_described("run --dry-run", answer)


def test_over_the_budget_fewer_views_then_recomputing(finished, phantom):
    config, _ = finished
    cases = load_cases(open_source(phantom))
    full = expected_cost(config, cases, gflops=100)

    def with_budget(size):
        return config.model_copy(update={"cache": config.cache.model_copy(update={"max_gb": size / 1e9})})

    fewer = expected_cost(with_budget(0.7 * full.banks.total_bytes), cases, gflops=100)
    assert fewer.banks.views < full.banks.views
    assert not fewer.banks.recomputed
    nothing = expected_cost(with_budget(0), cases, gflops=100)
    assert nothing.banks.recomputed == config.space.depths
    assert nothing.time.seconds("search") > full.time.seconds("search")
    assert nothing.time.seconds("trunk") == 0


def test_a_dry_run_without_data_still_shows_the_plan(tmp_path, monkeypatch):
    from search.cli.main import app

    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(app, ["run", "--dry-run", "--data", str(tmp_path / "nothing")])
    assert answer.exit_code == 0, answer.output
    assert "Hyperband" in answer.stdout
    assert "depend on the data" in answer.stdout
    as_json = CliRunner().invoke(app, ["run", "--dry-run", "--data", str(tmp_path / "nothing"), "--json"])
    assert json.loads(as_json.stdout)["expected"] is None


def test_the_nested_protocol_is_counted_with_all_its_searches(finished, phantom):
    config, _ = finished
    cases = load_cases(open_source(phantom))
    split = config.split.model_copy(update={"protocol": "nested", "outer_folds": 5})
    nested = expected_cost(config.model_copy(update={"split": split}), cases, gflops=100)
    assert nested.searches == 6
    assert nested.development_images == 64
    assert "64 images" in nested.as_text()


def test_a_long_job_says_what_would_shorten_it_and_a_short_one_nothing(phantom):
    cases = load_cases(open_source(phantom))
    config = load_config(None, {"backbone.weights": "random", "search.precision": "float32"})
    long = expected_cost(config, cases, gflops=2)
    assert long.time.seconds() > 4 * 3600
    assert 2 <= len(long.shorter) <= 3
    assert all(way.seconds < 0.85 * long.time.seconds() for way in long.shorter)
    assert [way.seconds for way in long.shorter] == sorted(way.seconds for way in long.shorter)
    assert "--image-size 224: about" in long.as_text()
    # Each can be typed, and is then what is expected.
    word, value = ["--image-size", "224"]
    assert word == "--image-size"
    typed = load_config(
        None, {"backbone.weights": "random", "search.precision": "float32", "preparation.image_size": int(value)}
    )
    again = expected_cost(typed, cases, gflops=2)
    assert again.time.seconds() == next(way.seconds for way in long.shorter if way.words == "--image-size 224")
    assert not expected_cost(config, cases, gflops=20_000).shorter


def test_a_dry_run_counts_gpus_and_says_which_banks_they_keep(phantom, tmp_path, monkeypatch, listed):
    from search.cli.main import app

    monkeypatch.chdir(tmp_path)
    listed("".join(f"{number}, NVIDIA A100-SXM4-40GB, 40960\n" for number in range(4)))
    words = ["run", "--dry-run", "--data", str(phantom), "--backbone", "bit-small", "--weights", "random"]

    def told(*more):
        answer = CliRunner().invoke(app, [*words, *more])
        assert answer.exit_code == 0, answer.output
        return answer.stdout

    one, four = (
        json.loads(told("--device", "gpu", "--workers", str(count), "--json"))["expected"]["parts"] for count in (1, 4)
    )
    assert one["search"] / 4 <= four["search"] < one["search"] / 3
    assert four["trunk"] == one["trunk"]
    lines = told("--device", "gpu", "--workers", "4").splitlines()
    (memory,) = [line for line in lines if line.startswith("memory of the device")]
    assert memory.endswith(", of 43 GB; the banks of depth 0, 1, 2, 3 are kept there")
    (time,) = [line for line in lines if line.startswith("time: ")]
    assert "with 4 workers, by what a GPU of some years ago does" in time
    assert not [line for line in lines if "others are at work" in line], "they take nothing of a GPU"
    assert "kept there" not in told("--device", "cpu")
