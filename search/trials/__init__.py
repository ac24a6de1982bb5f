"""Trials: data, head, tail, compiled steps, schedule, cross-validation, checkpoints, worker."""
