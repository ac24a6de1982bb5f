from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from reports.page.answer import checks, headline
from reports.page.report import render_model_card, render_report, write_report
from reports.page.report_figures import FEWEST_WEIGHED, importance_words
from reports.page.run_summary import RunSummary
from tests.support.example import example_summary, unhappy_summary
from tests.support.slow import slow

SECTIONS = ("answer", "honest", "asked", "settings", "reproduce", "more")
FOLDED = ("performance", "worth", "probabilities", "thresholds", "women", "subgroups", "localisation", "checks")
FOLDED += ("figures", "search", "errors", "files")

VOID = {"meta", "link", "img", "br", "hr", "input", "line", "circle"}


class Reader(HTMLParser):
    """Collects addresses, tags and text, and refuses tags that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_the_report_is_one_file_that_asks_the_network_for_nothing(summary: RunSummary, tmp_path: Path) -> None:
    path = write_report(summary, tmp_path / "report.html")
    html = path.read_text(encoding="utf-8")
    reader = Reader(html)
    assert all(address.startswith(("data:", "#")) for address in reader.addresses)
    assert sum(address.startswith("data:image/png;base64,") for address in reader.addresses) == 9
    assert "script" not in reader.tags
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_the_sections_come_in_the_order_a_reader_asks_and_the_rest_is_folded(summary: RunSummary) -> None:
    html = render_report(summary)
    places = [html.index(f'<section id="{name}">') for name in SECTIONS]
    places += [html.index(f'<details id="{name}">') for name in FOLDED]
    assert places == sorted(places)
    assert html.index('id="errors"') > html.index('id="figure-timeline"') > html.index('id="search"')
    assert "open" not in re.findall(r"<details[^>]*>", html)


def test_the_answer_is_one_plain_sentence_with_the_interval_and_the_baselines_below(summary: RunSummary) -> None:
    html = render_report(summary)
    head, _, _ = html.partition("</h1>")
    point, *_ = summary.metrics["by_patient"]["operating_points"]
    said = (
        f"Of {point['positives']} women with cancer, {point['true_positives']} were found, with "
        f"{point['false_positives']} false alarms among {point['negatives']} others."
    )
    assert Reader(head.rpartition("<h1>")[2]).text == said
    assert (point["endpoint"], point["target_specificity"]) == (summary.metrics["primary_endpoint"], 0.9)
    table = html[html.index('<table class="cards leading">') :].partition("</table>")[0]
    shown = [summary.metrics["primary_auc"], *(each["metrics"]["primary_auc"] for each in summary.metrics["baselines"])]
    limits = [f"{auc['value']:.2f} [{auc['lower']:.2f}, {auc['upper']:.2f}]" for auc in shown]
    text = Reader(f"{table}</table>").text
    assert [text.index(each) for each in limits] == sorted(text.index(each) for each in limits)
    text = Reader(html).text
    assert "Held-out patients evaluated once." in text
    assert "selected, optimistic" in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"positives": 1, "true_positives": 1}, "Of 1 woman with cancer, 1 was found, with "),
        ({"true_positives": 0, "false_positives": 0}, "women with cancer, 0 were found, with 0 false alarms among"),
        ({"positives": 0}, "of 100 pairs the image with cancer scores higher than the one without."),
    ],
)
def test_the_sentence_is_right_for_one_and_for_none(summary: RunSummary, changes: dict[str, int], said: str) -> None:
    first, *others = summary.metrics["by_patient"]["operating_points"]
    women = {**summary.metrics["by_patient"], "operating_points": [first | changes, *others]}
    assert said in headline(replace(summary, metrics={**summary.metrics, "by_patient": women}))


def test_baselines_that_did_better_and_leaks_speak_against_the_answer(summary: RunSummary) -> None:
    states = [check.state for check in checks(summary)]
    assert "fail" in states  # the shortcut probe's
    first, *others = summary.metrics["baselines"]
    worse = {"primary_auc": {"value": -0.2, "lower": -0.3, "upper": -0.1}}
    beaten = {**summary.metrics, "baselines": [first | {"difference": first["difference"] | worse}, *others]}
    page = replace(summary, metrics=beaten)
    (check,) = [check for check in checks(page) if "baseline" in check.text]
    assert check.state == "fail"
    assert "no, the linear probe did better" in check.text
    assert '<td data-column="Is the winner better?">no, worse</td>' in render_report(page)


def test_the_page_says_whether_the_winner_has_converged_and_what_the_primary_endpoint_would_have_named(
    summary: RunSummary,
) -> None:
    text = Reader(render_report(summary)).text
    assert summary.metrics["convergence"]["sentence"] in text
    assert summary.metrics["ranking"]["sentence"] in text
    assert "would have been chosen" in summary.metrics["ranking"]["sentence"]
    over_fitted = {**summary.metrics["convergence"], "converged": False, "diagnosis": "It over-fits: <b>."}
    over_fitted["outer_searches"] = {"converged": 3, "not_converged": 1, "not_told": 1}
    html = render_report(replace(summary, metrics={**summary.metrics, "convergence": over_fitted}))
    assert f'<li class="warn">{summary.metrics["convergence"]["sentence"][:10]}' in html
    assert "It over-fits: &lt;b&gt;." in html
    assert "The winners of 3 of 5 outer searches have converged (it can&#39;t be told of 1)." in html


@pytest.mark.parametrize(
    ("mode", "upper", "state", "part"), [("whole", 0.8, "warn", "images"), ("roi", 0.95, "pass", "crops")]
)
def test_whether_the_threshold_keeps_its_aim_is_a_reason_for_or_against(
    summary: RunSummary, mode: str, upper: float, state: str, part: str
) -> None:
    points = [dict(point) for point in summary.metrics["operating_points"]]
    primary = [point for point in points if point["endpoint"] == summary.metrics["primary_endpoint"]]
    point = min(primary, key=lambda point: point["target_specificity"])
    point["specificity"] = {"value": 0.7, "lower": 0.6, "upper": upper}
    page = replace(summary, mode=mode, metrics={**summary.metrics, "operating_points": points})
    (check,) = [check for check in checks(page) if "threshold" in check.text]
    assert check.state == state
    aim = f"{100 * point['target_specificity']:.0f}\u00a0%"
    assert f"leave {aim} of {part} without cancer below it; here it leaves 70\u00a0%." in check.text
    assert f'<li class="{state}">Does the threshold keep its aim?' in render_report(page)
    without = replace(page, metrics={key: value for key, value in page.metrics.items() if key != "operating_points"})
    assert not [check for check in checks(without) if "threshold" in check.text]


def settings_of(page: RunSummary) -> str:
    """The words of the section about the winner's settings."""
    html = render_report(page)
    return Reader(html[html.index('<section id="settings">') :].partition("</section>")[0] + "</section>").text


def test_the_settings_that_won_stand_beside_what_they_cost(summary: RunSummary) -> None:
    text = settings_of(summary)
    winner = summary.winner
    assert winner is not None
    depth = winner.hyperparameters["unfreeze_depth"]
    for words in (
        "The settings that won, and what they cost",
        f"unfreeze depth {depth} blocks (residual units) at the end of the network that are trained",
        "384 optimizer steps (updates of the weights) on all development patients",
        "5 groups of patients: a trial is trained 5 times",
        "1,210 views (3 / 8 / 12 an image, by class)",
        "bfloat16 (this processor multiplies it faster)",
        "weights random, seed 0",
        "3 min 32 s in all, the times of the trials add up to",
        "on 2 CPU cores",
    ):
        assert words in text
    older = settings_of(replace(summary, bank="", precision="", seconds=0.0, device="", weights_provenance=""))
    assert "cost the times of the trials add up to" in older
    assert "weights not recorded" in older
    assert not re.search(r"None|views|precision|CPU", older)
    assert "settings" not in re.findall(r'<section id="(.*?)"', render_report(replace(summary, trials=())))


def test_the_page_says_why_it_has_no_importances(summary: RunSummary) -> None:
    few = [record for record in summary.trials if record.objective is not None and record.epochs == 4]
    assert importance_words(few[: FEWEST_WEIGHED - 1], {}) == (
        "Which hyperparameter mattered can't be said: that takes 10 trials of one budget, and at most 9 have the same "
        "(4 epochs)."
    )
    enough = "Which hyperparameter mattered was not asked: that needs optuna, and scores that differ."
    assert importance_words(few, {}) == enough
    assert enough in Reader(render_report(summary)).text
    assert importance_words((), {}) == importance_words(few, {"importance": Path("importance.png")}) == ""


def test_an_older_run_s_page_says_nothing_of_convergence(summary: RunSummary) -> None:
    older = {key: value for key, value in summary.metrics.items() if key not in ("convergence", "ranking")}
    text = Reader(render_report(replace(summary, metrics=older))).text
    assert "converged" not in text
    assert "would have been chosen" not in text
    assert "Research use only, not a medical device" in text
    assert summary.command in text
    assert "file number alone gives abnormal AUC 0.66" in text
    assert "Labels shuffled between patients 100 times" in text
    assert "Corrected for the choice of trial (BBC-CV, a bootstrap that chooses anew among 30 candidates" in text
    assert "Can the probabilities be taken at their word?" in text
    assert "Operating points" in text
    assert "too few cases" in text
    assert "The mean of the winner's 3 fold models" in text
    assert "--protocol nested evaluates the procedure on every patient: about 21 min" in text
    assert "Does it look at the lesions?" in text


def test_only_a_demonstration_is_called_one(summary: RunSummary) -> None:
    assert "Demonstration on synthetic data" in render_report(summary)
    real = render_report(replace(summary, is_demo=False, weights_genuine=True))
    assert "emonstration" not in real
    assert "Not the published backbone" not in real
    assert "Not the published backbone" in render_report(replace(summary, is_demo=False))


def test_all_trials_are_listed_winner_first(summary: RunSummary) -> None:
    html = render_report(summary)
    table = html[html.index('<table class="cards trials">') :].partition("</table>")[0]
    assert table.count("<tr") == 1 + 38
    assert table.index('class="winner"') < table.index('class="completed"')
    assert "the loss was not finite in fold 2, epoch 3" in table


def test_each_cell_of_a_wide_table_knows_its_column(summary: RunSummary) -> None:
    html = render_report(summary)
    tables = re.findall(r'<table class="cards.*?</table>', html, re.DOTALL)
    assert len(tables) >= 7
    for table in tables:
        heads = [re.sub(r"<.*?>", "", head) for head in re.findall(r"<th scope=\"col\".*?</th>", table)]
        for row in re.findall(r"<tr.*?</tr>", table.partition("</thead>")[2], re.DOTALL):
            assert re.findall(r'<t[dh] data-column="(.*?)"', row) == heads


def test_figures_stand_in_the_order_of_the_page_whatever_the_run_s(summary: RunSummary) -> None:
    html = render_report(replace(summary, figures=dict(reversed(summary.figures.items()))))
    assert html == render_report(summary)


def test_codes_are_spelled_out(summary: RunSummary) -> None:
    text = Reader(render_report(summary)).text
    assert "tissue: dense-glandular (D)" in text
    assert "abnormality: architectural distortion" in text
    assert "both breasts of affected women" in text


@pytest.mark.parametrize(("after", "words"), [(0.9, "it lowers"), (1.3, "it does not lower")])
def test_a_correction_that_does_not_help_is_not_praised(summary: RunSummary, after: float, words: str) -> None:
    calibration = json.loads(json.dumps(summary.metrics["calibration"]))
    calibration["uncorrected"]["log_loss"]["value"], calibration["corrected"]["log_loss"]["value"] = 1.1, after
    assert words in render_report(replace(summary, metrics={**summary.metrics, "calibration": calibration}))


@pytest.mark.parametrize(
    ("kind", "temperature", "prior", "words"),
    [
        ("none", 1.0, False, "So none is applied: the probabilities are the model's own."),
        ("prior", 1.0, True, "the natural prior that balanced training hides lowers the log loss, and is put back"),
        ("temperature", 1.5, False, "the temperature is 1.50 (the model is too sure)"),
        (
            "both",
            0.5,
            True,
            "(the model is too unsure), and the natural prior that balanced training hides is put back",
        ),
    ],
)
def test_the_page_says_which_correction_is_applied_and_what_it_was_chosen_from(
    summary: RunSummary, kind: str, temperature: float, prior: bool, words: str
) -> None:
    calibration = summary.metrics["calibration"] | {"chosen": kind, "temperature": temperature, "prior_shift": prior}
    html = render_report(replace(summary, metrics={**summary.metrics, "calibration": calibration}))
    assert words in Reader(html).text.replace(" .", ".")
    table = html[html.index("Corrections, each fitted on some folds") :].partition("</table>")[0]
    applied = re.findall(r"<tr><th [^>]*>([^<]*)</th>.*>yes</td></tr>", table)
    names = {"none": "none, plain probabilities", "prior": "natural prior", "both": "natural prior and temperature"}
    assert applied == [names.get(kind, kind)]
    for candidate in calibration["candidates"]:
        assert f"{candidate['log_loss']:.3f}" in table
    assert ("Held-out patients, before and after the correction" in html) == (kind != "none")


def test_what_each_fold_says_of_a_threshold_stands_beside_it(summary: RunSummary) -> None:
    html = render_report(summary)
    table = html[html.index("Do the folds agree on these thresholds?") :].partition("</table>")[0]
    for point in summary.metrics["operating_points"]:
        assert len(point["fold_thresholds"]) == 5
        assert ", ".join(f"{each:.3f}" for each in point["fold_thresholds"]) in table
        assert ", ".join(f"{each:.2f}" for each in point["fold_specificities"]) in table


def test_the_page_of_a_run_of_an_earlier_version_leaves_out_what_it_does_not_know(summary: RunSummary) -> None:
    new = ("candidates", "chosen", "fold_thresholds", "fold_specificities")
    calibration = {key: value for key, value in summary.metrics["calibration"].items() if key not in new}
    points = [
        {key: value for key, value in point.items() if key not in new} for point in summary.metrics["operating_points"]
    ]
    metrics = {**summary.metrics, "calibration": calibration, "operating_points": points}
    del metrics["operating_curve"]
    old = replace(summary, metrics=metrics)
    html = render_report(old)
    assert "Do the folds agree" not in html
    assert "Corrections, each fitted" not in html
    assert "Held-out patients, before and after the correction" in html
    assert "## Thresholds and probabilities" not in render_model_card(old)


def test_a_value_without_an_interval_claims_nothing(summary: RunSummary) -> None:
    primary = summary.metrics["primary_auc"] | {"lower": None, "upper": None}
    html = render_report(replace(summary, metrics={**summary.metrics, "primary_auc": primary}))
    assert "does not tell it from chance" in html
    assert "not defined on these patients" not in html


def test_what_is_missing_is_said_and_what_is_markup_is_text(summary: RunSummary) -> None:
    reader = Reader(render_report(unhappy_summary(summary)))
    assert "script" not in reader.tags
    assert "<script>alert('x')</script> & Co" in reader.text
    assert "not defined" in reader.text
    assert "answers nothing about it" in reader.text
    assert "No audit was made" in reader.text
    assert "No label-permutation check was made" in reader.text
    assert "evaluated 3 times" in reader.text


@pytest.mark.parametrize(
    ("lower", "upper", "words"),
    [(0.6, 0.9, "better than chance"), (0.4, 0.7, "does not show"), (0.1, 0.4, "worse than chance")],
)
def test_the_verdict_follows_the_interval(summary: RunSummary, lower: float, upper: float, words: str) -> None:
    primary = summary.metrics["primary_auc"] | {"value": (lower + upper) / 2, "lower": lower, "upper": upper}
    assert words in render_report(replace(summary, metrics={**summary.metrics, "primary_auc": primary}))


def test_errors_are_named_and_pictures_of_the_data_are_in_it_only_when_asked_for(
    summary: RunSummary, embedding: RunSummary
) -> None:
    wrong = [seen for seen in summary.cases if not seen.case.right]
    html, with_pictures = render_report(summary), render_report(embedding)
    text = Reader(html).text
    for seen in wrong:
        assert f"{seen.case.image_id} {seen.case.label} {seen.case.predicted}" in text
        assert seen.overlay.rpartition("/")[2] in text
    assert "No picture of the data set is in this file" in text
    drawn = len(summary.figures) + len(summary.search_figures)
    assert html.count("data:image/png") == drawn
    assert with_pictures.count("data:image/png") == drawn + len(summary.cases)
    assert "mind its licence" in Reader(with_pictures).text


@pytest.mark.parametrize("missing", [2, *slow(0, 1)])
def test_a_whole_report_without_a_class_says_not_defined(missing: int, tmp_path: Path) -> None:
    without = example_summary(tmp_path, missing=missing)
    metrics, name = without.metrics, without.metrics["class_names"][missing]
    assert metrics["macro_ovr_auc"]["value"] is None
    assert metrics["per_class"][name]["auc"]["value"] is None
    assert (metrics["primary_auc"]["value"] is None) == (missing == 2)
    assert metrics["ensemble"]["difference"]["macro_ovr_auc"]["value"] is None
    for document in (Reader(render_report(without)).text, render_model_card(without)):
        assert "not defined" in document
        assert not re.search(r"\b(nan|None|inf)\b", document)
    if missing == 2:
        assert "answers nothing about it" in render_report(without)
