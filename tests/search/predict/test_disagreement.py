"""Answers for one image that seem to contradict each other are explained in its row."""

import pytest

from reports.decisions.operating_points import OperatingThreshold
from search.predict.disagreement import disagreement, disagreements

WHY = "each endpoint has its own threshold, and the predicted class is the most probable one"
MALIGNANT, ABNORMAL = "malignant versus rest", "abnormal versus normal"
POINTS = tuple(
    OperatingThreshold(endpoint, classes, target, 0.5)
    for endpoint, classes in ((MALIGNANT, ("malignant",)), (ABNORMAL, ("benign", "malignant")))
    for target in (0.90, 0.95)
)
OWN = OperatingThreshold(MALIGNANT, ("malignant",), 0.90, 0.3, asked="specificity 0.9")


@pytest.mark.parametrize(
    ("predicted", "decisions", "note"),
    [
        ("malignant", (True, True, True, True), None),
        ("malignant", (True, False, True, False), None),
        ("normal", (False, False, False, False), None),
        ("benign", (False, False, True, False), None),
        ("malignant", (True, False, False, False),
         f"positive for {MALIGNANT} at 0.90, negative for {ABNORMAL}; "
         f"negative for {ABNORMAL} beside predicted malignant"),
        ("malignant", (True, True, True, False), f"positive for {MALIGNANT} at 0.95, negative for {ABNORMAL}"),
        ("normal", (False, False, True, False), f"positive for {ABNORMAL} beside predicted normal"),
        ("normal", (True, False, True, False),
         f"positive for {MALIGNANT} beside predicted normal; positive for {ABNORMAL} beside predicted normal"),
        ("benign", (True, False, True, True), f"positive for {MALIGNANT} beside predicted benign"),
        ("malignant", (False, False, True, True), f"negative for {MALIGNANT} beside predicted malignant"),
        ("benign", (False, False, False, False), f"negative for {ABNORMAL} beside predicted benign"),
    ],
)  # fmt: skip
def test_what_a_reader_would_stumble_over_is_named_with_its_reason(predicted, decisions, note):
    assert disagreement(predicted, POINTS, decisions) == (note and f"{note}: {WHY}")


def test_a_point_of_the_user_s_own_is_no_target_of_the_model_s():
    decisions = (False, False, False, False, True)
    found = disagreement("normal", (*POINTS, OWN), decisions)
    assert found == f"positive for {MALIGNANT} beside predicted normal: {WHY}"


def test_two_classes_have_nothing_to_contradict():
    points = tuple(OperatingThreshold(name, ("cancer",), 0.9, 0.5) for name in ("cancer versus rest", "abnormal"))
    assert disagreement("cancer", points, (True, True)) is None


def test_images_are_named_under_a_table_three_at_most():
    assert disagreements(["a"]) == f"Answers that seem to differ: 1 image (a); {WHY}."
    assert disagreements(list("abcd")) == f"Answers that seem to differ: 4 images (a, b, c, …); {WHY}."
