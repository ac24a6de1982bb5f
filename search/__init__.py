"""The hyperparameter search, from the plan over the trials to the exported model.

These are the names for use from outside; each is imported when it is first asked for, so that this package alone loads
neither TensorFlow nor numpy. What is not named here may change without notice.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
