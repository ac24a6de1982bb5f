"""Metrics, figures and the report, made from tables alone: nothing here knows of Keras or of the data set.

These are the names for use from outside; each is imported when it is first asked for, so that this package alone loads
neither pandas nor scikit-learn nor matplotlib. What is not named here may change without notice.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
