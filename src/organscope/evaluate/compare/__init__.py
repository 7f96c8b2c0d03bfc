"""Several models on the same pictures: scores, paired tests, cost, and where they differ."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
