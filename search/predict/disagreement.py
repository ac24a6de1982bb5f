"""Answers of one image that seem to contradict each other, and why they can.

A film may be called malignant and not abnormal at one target, or be predicted normal beside a positive answer. Neither
is an error: each endpoint has a threshold of its own, chosen for its own negatives, and the predicted class is the most
probable one, whatever the thresholds. Made coherent, the answers would no longer keep the specificity that they are
for; so they stand, and it is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from reports.decisions.operating_points import OperatingThreshold

_WHY = "each endpoint has its own threshold, and the predicted class is the most probable one"
_NAMED = 3


def disagreement(predicted: str, points: Sequence[OperatingThreshold], decisions: Sequence[bool]) -> str | None:
    """What seems to be contradicted in the answers for one image, and why; None where nothing is.

    Args:
        predicted: Its most probable class.
        points: The operating points.
        decisions: Whether it is positive at each.
    """
    found = list(dict.fromkeys(_findings(predicted, points, decisions)))
    return f"{'; '.join(found)}: {_WHY}" if found else None


def disagreements(images: Sequence[str]) -> str:
    """A sentence about all images with a disagreement, one or more."""
    named = ", ".join(images[:_NAMED]) + (", …" if len(images) > _NAMED else "")
    return f"Answers that seem to differ: {len(images)} image{'s' if len(images) > 1 else ''} ({named}); {_WHY}."


def _findings(predicted: str, points: Sequence[OperatingThreshold], decisions: Sequence[bool]) -> Iterator[str]:
    decided = list(zip(points, decisions, strict=True))
    for one, other in combinations(decided, 2):
        # A class is in a larger set of classes as well: yes for the one and no for the other.
        for (narrow, yes), (wide, also) in ((one, other), (other, one)):
            at_one_target = narrow.asked is wide.asked is None and narrow.target_specificity == wide.target_specificity
            if at_one_target and yes and not also and set(narrow.classes) < set(wide.classes):
                yield f"positive for {narrow.title}, negative for {wide.endpoint}"
    for endpoint in dict.fromkeys(point.endpoint for point in points):
        answers = [(point, positive) for point, positive in decided if point.endpoint == endpoint]
        belongs = predicted in answers[0][0].classes
        if any(positive for _, positive in answers) != belongs:
            yield f"{'negative' if belongs else 'positive'} for {endpoint} beside predicted {predicted}"
