"""Many short trainings that search for good settings: a space as data, Optuna, and one subprocess a trial."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
