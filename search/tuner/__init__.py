"""Tuner: which trial is next, and where it is trained."""
