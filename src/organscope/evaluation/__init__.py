"""A bundle on a part of an index: scores with intervals, through the inference side."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
