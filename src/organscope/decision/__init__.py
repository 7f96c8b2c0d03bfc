"""From scores to an answer: calibrated probability, distance to what is known, accept or abstain."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
