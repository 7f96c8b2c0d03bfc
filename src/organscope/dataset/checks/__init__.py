"""Checks of a data set: each a function from a survey to findings, listed in `CHECKS`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
