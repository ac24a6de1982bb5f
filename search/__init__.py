"""The hyperparameter search: plan, trials, retraining, export and the command line."""

__version__ = "0.1.0"
