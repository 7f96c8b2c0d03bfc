"""What one pass over every image and label image of an index finds; checks and summary start from it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
