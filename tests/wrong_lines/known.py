"""Wrong lines that once passed all tests, or were feared to; and drawn ones that are no mistake."""

from __future__ import annotations

from dataclasses import dataclass

from tests.wrong_lines.product import WrongLine

KNOWN = (
    # Held-out patients have a say in what they are to judge.
    WrongLine(
        "held_out",
        "development=stored.predictions,",
        'development=Predictions(**vars(first) | {"patient_ids": tuple(f"x{name}" for name in first.patient_ids)}),',
        tests=("test_the_correction_is_chosen_across_folds_and_fitted_on_the_winner_s_out_of_fold_logits",),
    ),
    WrongLine(
        "operating_points",
        "threshold_at_specificity(inner.positive, inner.scores, target)",
        "threshold_at_specificity(positive, scores, target)",
        tests=("test_operating_points_count_what_a_reader_would_count",),
    ),
    WrongLine(
        "held_out",
        "split.development_rows(table)",
        "split.test_rows(table)",
        tests=("test_slices_by_radius_are_cut_where_the_development_patients_cut_them",),
    ),
    WrongLine("holdout_split", "if wanted.file is None:", "if wanted.file is not None:"),
    WrongLine(
        "_strata",
        "max(label, worst.get(patient, 0))",
        "label",
        tests=("test_the_split_is_stratified_by_the_patients_worst_label",),
    ),
    # How sure a figure is.
    WrongLine("Jackknife._moves", "self.strata if self.fixed else", "self.strata if not self.fixed else"),
    WrongLine("Jackknife.estimate", "parts**2 / spare", "parts**2 / sizes"),
    WrongLine("mover_limits", "factor * (below if factor > 0 else above)", "factor * below"),
    WrongLine("share_interval", "share_limits(found, patients", "share_limits(found, len(hit)"),
    WrongLine("difference", "first.jackknife.correlation(np.stack([one, two]))", "np.eye(2)"),
    WrongLine("worst", "np.maximum.at(found, of, values)", "np.minimum.at(found, of, values)"),
    WrongLine("out_of_fold_of_seeds", "np.mean(said, axis=0)", "said[-1]"),
    # Thresholds, and what each fold says of them.
    WrongLine(
        "fold_spread",
        "endpoint.scores[folds == fold]",
        "endpoint.scores[folds == fold][::-1]",
        tests=("test_operating_points_count_what_a_reader_would_count",),
    ),
    WrongLine(
        "_cross_fitted",
        "_fit(development.take(others), kind, training_shares)",
        "_fit(development, kind, training_shares)",
        tests=("test_every_case_is_tried_under_what_the_other_folds_gave_and_the_chosen_one_is_fitted_on_all",),
    ),
    WrongLine(
        "_helps",
        "difference + MARGIN * error < 0",
        "difference < 0",
        tests=("test_a_correction_that_helps_by_less_than_a_standard_error_is_not_applied",),
    ),
    WrongLine(
        "operating_points",
        "inner.scores[inner.positive] >= threshold",
        "inner.scores[inner.positive] > threshold",
        tests=("test_operating_points_count_what_a_reader_would_count",),
    ),
    WrongLine(
        "operating_points",
        "judged(scores >= threshold",
        "judged(scores > threshold",
        tests=("test_operating_points_count_what_a_reader_would_count",),
    ),
    WrongLine(
        "operating_points",
        "(inner.scores[inner.positive] >= threshold).sum(), inner.positive.sum()",
        "(scores[positive] >= threshold).sum(), positive.sum()",
        tests=("test_operating_points_count_what_a_reader_would_count",),
    ),
    WrongLine(
        "threshold_at_specificity",
        'side="left"',
        'side="right"',
        tests=("test_a_threshold_is_the_lowest_score_that_keeps_the_specificity",),
    ),
    # What may change when a run goes on, and what a cache is found by.
    WrongLine("result_settings", "not in _FREE_SETTINGS", 'not in {*_FREE_SETTINGS, "search.batch_size"}'),
    WrongLine("result_settings", "not in _FREE_SETTINGS", 'not in {*_FREE_SETTINGS, "search.steps_per_epoch"}'),
    WrongLine(
        "prepare",
        "asdict(settings)])",
        '{**asdict(settings), "remove_labels": None}])',
        tests=("test_another_value_of_any_setting_rebuilds",),
    ),
    WrongLine(
        "StoredViews.fingerprint",
        "[listed, self.seed, asdict(self.augmentation)]",
        "[listed, asdict(self.augmentation)]",
    ),
    WrongLine(
        "StoredViews.fingerprint",
        "[listed, self.seed, asdict(self.augmentation)]",
        "[listed, self.seed]",
    ),
    WrongLine(
        "boundary_values",
        "prepared.fingerprint,",
        '"",',
        tests=("test_a_bank_is_made_anew_for_whatever_changes_its_values",),
    ),
    WrongLine(
        "boundary_values",
        "weights.fingerprint,",
        '"",',
        tests=("test_a_bank_is_made_anew_for_whatever_changes_its_values",),
    ),
    WrongLine("BankStore.load", "manifest == _manifest(key, values, _checksum(values))", "True"),
    WrongLine(
        "load_checked_npz",
        "arrays if written == checksum(arrays) else None",
        "arrays",
        tests=("test_other_arrays_under_the_same_checksum_are_not_read",),
    ),
    # Training.
    WrongLine("train_epoch", "settings.full_epochs * steps", "(settings.full_epochs + 1) * steps"),
    WrongLine("train_epoch", "(epoch - 1) * steps", "epoch * steps"),
    WrongLine("train_on_fold", 'if number else ("fold", fold)', 'if number else ("fold", 0)'),
    WrongLine(
        "score",
        "np.ma.masked_invalid(np.asarray(fold_curves, dtype=np.float64)).mean(axis=0)",
        "np.ma.median(np.ma.masked_invalid(np.asarray(fold_curves, dtype=np.float64)), axis=0)",
        tests=("test_the_objective_is_the_end_of_the_mean_curve",),
    ),
    WrongLine("BankStore._fill", "np.abs(part).max() > FLOAT16_LIMIT", "part.max() > FLOAT16_LIMIT"),
    # Retraining and what the run hands over.
    WrongLine("Searched.epochs", "winner.objective_epoch", "winner.epochs - 1"),
    WrongLine("_finish", "seeds=config.retrain.seeds", "seeds=1"),
    WrongLine("_finish", "seeds=config.retrain.seeds", "seeds=config.retrain.seeds + 1"),
    WrongLine("train_final", 'everything, epoch, "final", number)', 'everything, epoch, "final", 0)'),
    WrongLine("train_final", 'settings.seed, "final", number,', 'settings.seed, "final", 0,'),
    WrongLine("train_final", "np.arange(len(data.labels))", "data.folds[0][0]"),
    WrongLine("prepared_input", "1 / 127.5, offset=-1.0", "1 / 128, offset=-1.0"),
    WrongLine(
        "_KerasLayers.norm_relu",
        "epsilon=GROUP_NORM_EPSILON",
        "epsilon=GROUP_NORM_EPSILON * 10",
        tests=("test_trainable_and_exported_graphs_agree_at_odd_sizes_and_without_contrast",),
    ),
    # Out-of-fold files.
    WrongLine("write_out_of_fold", "np.array(data.image_ids)[rows]", "np.array(data.image_ids)[np.roll(rows, 1)]"),
    WrongLine("write_out_of_fold", "data.labels[rows]", "data.labels[np.roll(rows, 1)]"),
    WrongLine(
        "write_out_of_fold",
        "np.arange(record.initial_epoch + 1, record.epochs + 1, dtype=np.int32)",
        "np.arange(record.initial_epoch + 1, record.epochs + 1, dtype=np.int32)[::-1]",
    ),
    WrongLine("read_out_of_fold", "record.objective_epoch", "record.best_epoch"),
    WrongLine("TrainingSettings.backbone_rate", "min(", "max("),
    WrongLine(
        "training_settings",
        "bit_learning_rate(search.batch_size)",
        "bit_learning_rate(512)",
        tests=("test_a_search_trains_with_what_is_configured",),
    ),
    # Around the run.
    WrongLine(
        "run_job",
        "open_run_directory(job.config.output.runs, job.run_name, fresh=job.fresh, resume=job.resume)",
        "open_run_directory(job.config.output.runs, job.run_name, fresh=job.resume, resume=job.resume)",
        tests=("test_what_changes_no_result_may_change",),
    ),
    # Not merely left out, for a lock that nobody has any more is released as well.
    WrongLine("locked", "lock.release()", 'globals().setdefault("_held", []).append(lock)'),
    WrongLine("held_out", "directory.runs, split.test_fingerprint", 'directory.runs, split.test_fingerprint + "x"'),
    WrongLine(
        "_append",
        "(LEDGER_COPY, LEDGER)",
        "(LEDGER_COPY,)",
        tests=("test_a_line_that_a_kill_left_in_one_file_is_written_into_the_other",),
    ),
    WrongLine("evaluate_model", "len(readings(run.runs, labelled.held_out))", "7"),
    WrongLine("record_evaluation", "counted=not known", "counted=True"),
    WrongLine("record_final_stage", "replace(each, time=asked.time) == asked", "False"),
    # What the final stage keeps.
    WrongLine("FinalStore._load", "!= self._key(name, follows_from)", '== ""'),
    WrongLine("MammoTuner._delete_checkpoints", "promotable | leading |", "promotable |"),
    WrongLine("_fold_model", "trainer.restore(state)", "trainer.fits(state)"),
    WrongLine("JobClock.part_ended", "3 * first <= (total or 0)", "True"),
    WrongLine("slowdown", "fmean(waiting) - 1", "fmean(waiting)"),
    WrongLine("usual_model", 'if manifest.protocol == "holdout" else 1', "if True else 1"),
    # Exported models at work.
    WrongLine(
        "_predicted",
        "zip(calibrated.tolist(), own.tolist(), strict=True)",
        "zip(calibrated.tolist()[::-1], own.tolist()[::-1], strict=True)",
    ),
    WrongLine("_prepared", "film[1].result()", "film[1].result()[::-1]"),
    WrongLine("_difference", "not difference <= kind.bound", "not difference <= 1.0"),
    # Controls.
    WrongLine("_between_patients", "shuffled[by_patient] = np", "shuffled[:] = np"),
    WrongLine("PermutationTest.p_value", "(1 + np.count_nonzero", "(np.count_nonzero"),
)


@dataclass(frozen=True)
class Accepted:
    """A change that no user could see.

    Attributes:
        line: The change.
        reason: Why nobody could.
    """

    line: WrongLine
    reason: str


ACCEPTED = (
    Accepted(
        WrongLine("run_status", 'state == "failed" and session', 'state == "failed"'),
        "a run has failed where its session says so; the other side is there for the type checker",
    ),
    Accepted(
        WrongLine("OverlayWriter.write", "name is not None and image is not None", "name is not None"),
        "an image that has a prediction was prepared; the other side is there for the type checker",
    ),
    Accepted(
        WrongLine("RunReport.summary", "self.outcome.winner.objective_epoch", "self.outcome.winner.epochs"),
        "a trial is scored at its last epoch: the two are one number in every run that is reported when it ends",
    ),
)
