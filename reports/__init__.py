"""Metrics, figures and the report, made from tables alone: nothing here knows of Keras or of the data set."""
