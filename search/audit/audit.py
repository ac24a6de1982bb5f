"""The audit: four questions that a reviewer asks of any result on so few women, answered with figures.

Schema of audit.json, version 1:

    schema        1
    mode          "whole" or "roi"
    overlap       {"passed", "shared": [{"sides": [name, name], "patients": [id, ...]}, ...], "compared"}; ``compared``
                  counts the pairs of sides
    duplicates    {"passed", "images", "pairs": [{"images": [id, id], "sides": [side, side], "correlation"}, ...]};
                  pairs of different patients on different sides ("held out", "fold 1", ...)
    shortcuts     {"endpoint", "warn_above", "probes": [{"name", "auc", "lower", "upper", "visible", "trivial",
                  "warns"}, ...]}; ``auc`` is null where there are too few patients
    permutation   null, or {"statistic", "observed", "null_mean", "null_sd", "null_lower", "null_upper",
                  "permutations", "p_value"}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mammo_data import PreparedSet, RoiSet, Split
from mammo_data.checks.shortcuts import WARN_ABOVE
from mammo_data.splits import fold_positions
from reports import AuditResult, PermutationResult
from search.audit.overlap import CrossSidePair, SharedPatients, same_images, shared_patients
from search.audit.permutation import PermutationTest, permutation_test
from search.audit.shortcuts import Probe, shortcut_probes

SCHEMA = 1
ENDPOINT = "abnormal versus normal"


@dataclass(frozen=True)
class LeakAudit:
    """The answers.

    Attributes:
        mode: "whole" or "roi".
        compared: Pairs of sides whose patients were compared.
        shared: Those with patients in common; none is right.
        images: Number of images that were compared pixel by pixel.
        pairs: The same image on two sides; none is right.
        probes: The shortcut probe.
        permutation: The label-permutation control, or None where it could not be made.
    """

    mode: str
    compared: int
    shared: tuple[SharedPatients, ...]
    images: int
    pairs: tuple[CrossSidePair, ...]
    probes: tuple[Probe, ...]
    permutation: PermutationTest | None

    @property
    def leaks(self) -> bool:
        """Whether a patient or an image is on two sides."""
        return bool(self.shared or self.pairs)

    def as_dict(self) -> dict[str, Any]:
        """The content of audit.json."""
        return {
            "schema": SCHEMA,
            "mode": self.mode,
            "overlap": {
                "passed": not self.shared,
                "shared": [asdict(entry) for entry in self.shared],
                "compared": self.compared,
            },
            "duplicates": {
                "passed": not self.pairs,
                "images": self.images,
                "pairs": [asdict(pair) for pair in self.pairs],
            },
            "shortcuts": {
                "endpoint": ENDPOINT,
                "warn_above": WARN_ABOVE,
                "probes": [probe.as_dict() for probe in self.probes],
            },
            "permutation": self.permutation.as_dict() if self.permutation else None,
        }

    def answers(self) -> dict[str, AuditResult]:
        """Question to answer, as the report prints them."""
        trivial = [probe for probe in self.probes if probe.visible and probe.trivial]
        others = [probe for probe in self.probes if not (probe.visible and probe.trivial)]
        asked = any(probe.auc is not None for probe in trivial)
        return {
            "Is any patient on two sides?": AuditResult(
                not self.shared,
                "; ".join(f"{' and '.join(entry.sides)} share {', '.join(entry.patients)}" for entry in self.shared)
                or f"none, in {self.compared} pairs of sides",
            ),
            "Is any image on two sides under another patient's name?": AuditResult(
                not self.pairs,
                "; ".join(
                    f"{' and '.join(pair.images)} ({' and '.join(pair.sides)}, correlation {pair.correlation:.3f})"
                    for pair in self.pairs
                )
                or f"none, mirrored copies included, among {self.images} images",
            ),
            "Do shortcuts in the pixels tell abnormal from normal?": AuditResult(
                not any(probe.warns for probe in trivial) if asked else None,
                f"patient-grouped AUC: {'; '.join(map(str, trivial))} (a warning above {WARN_ABOVE:.2f})",
            ),
            "For comparison": AuditResult(
                # Neither is a fault of the images: no network sees a file's number, and texture is where lesions are.
                None,
                f"{'; '.join(map(str, others))}; a file's number is no feature of any model, and texture holds the "
                "lesions too",
            ),
        }

    def permutation_result(self) -> PermutationResult | None:
        """The control as the report prints it."""
        if self.permutation is None:
            return None
        values = self.permutation.as_dict()
        return PermutationResult(**{name: values[name] for name in PermutationResult.__dataclass_fields__})

    def as_text(self) -> str:
        """The answers as lines of text."""
        marks = {True: "ok", False: "LOOK", None: "–"}
        lines = [f"{marks[answer.passed]:<5} {question} {answer.detail}" for question, answer in self.answers().items()]
        if self.permutation:
            values = self.permutation.as_dict()
            lines.append(
                f"{'–':<5} Shuffled labels: {values['null_mean']:.3f} "
                f"[{values['null_lower']:.3f}, {values['null_upper']:.3f}] in {values['permutations']} shuffles, "
                f"true labels {values['observed']:.3f}, p = {values['p_value']:.3f} ({values['statistic']})"
            )
        return "\n".join(lines)


def audit(
    films: PreparedSet,
    prepared: PreparedSet,
    split: Split,
    *,
    features: NDArray[np.floating] | None = None,
    sides: Mapping[str, Sequence[str]] | None = None,
    probes: Callable[[], tuple[Probe, ...]] | None = None,
    seed: int = 0,
) -> LeakAudit:
    """Answer all four questions.

    Pixels of the held-out patients are looked at for duplicates and shortcuts. Nothing that is found flows back into a
    search: a run audits after its final evaluation, and the label permutation is given development features only.

    Args:
        films: Whole images, to be compared for duplicates.
        prepared: What the search is given: the same, or crops of them.
        split: Who is on which side.
        features: Pooled features of the development rows of ``prepared``, [rows, channels], or None to leave the label
            permutation out.
        sides: Patients that the search was given for each side, beside the split's own.
        probes: Gives `shortcut_probes` of ``prepared``, where an audit of the same images has made them before.
        seed: Of the probe's folds and trees, of shuffles and resamples.
    """
    compared, shared = shared_patients(split, sides or {})
    permutation = None
    if features is not None:
        development = prepared.table.take(split.development_rows(prepared.table))
        permutation = permutation_test(
            features,
            development.labels,
            development.patient_ids,
            folds=fold_positions(prepared.table, split),
            n_classes=len(development.class_names),
            seed=seed,
        )
    return LeakAudit(
        mode="roi" if isinstance(prepared, RoiSet) else "whole",
        compared=compared,
        shared=shared,
        images=len(films.table),
        pairs=same_images(films, split),
        probes=probes() if probes else shortcut_probes(prepared, seed),
        permutation=permutation,
    )
