"""What is in a data set, as tables: made from a survey, drawn by `report.dataset`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
