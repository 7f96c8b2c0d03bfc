"""Train organ classifiers with PyTorch Lightning and timm. Never loaded together with TensorFlow."""
