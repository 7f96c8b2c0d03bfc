"""Segmentation with the U-Net family in Keras 3. Network, losses and augmentation use `keras` alone."""
