"""One image through one bundle: its cells, its organ, or the organ of each cell. No framework is needed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
