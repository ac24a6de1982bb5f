"""Checks of a set before it is trained on: integrity, duplicates, shortcuts, a preview to look at."""
