"""Figures of an evaluation and of trials, drawn with matplotlib and Pillow."""

from reports.figures.write import write_evaluation_figures, write_figures, write_nested_figures

__all__ = ["write_evaluation_figures", "write_figures", "write_nested_figures"]
