"""Segment, classify and analyze many images: plan first, then one complete result after the other."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
