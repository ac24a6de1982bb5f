"""Evaluation of a model: calibration, operating points, subgroups, localisation, the nested protocol."""
