"""Figures of an evaluation and of trials, drawn with matplotlib and Pillow."""
