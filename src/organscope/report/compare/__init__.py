"""The page of a comparison: tables, figures and the pictures on which models disagree."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
