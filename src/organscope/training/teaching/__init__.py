"""Teach a classifier on the user's own images: a head on the features of a frozen encoder, without a framework."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
