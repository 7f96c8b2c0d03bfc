"""What a training did, told to MLflow, to Weights & Biases, to both or to none, through one small protocol."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
