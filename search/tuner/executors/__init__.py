"""Executors: where folds of trials are trained."""
