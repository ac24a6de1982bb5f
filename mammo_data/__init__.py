"""Mammograms of any packaging: opened, checked, split by patients, prepared, cropped and fed to a network.

These are the names for use from outside; each is imported when it is first asked for, so that this package alone loads
neither OpenCV nor scikit-learn nor TensorFlow. What is not named here may change without notice.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
