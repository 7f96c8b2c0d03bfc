"""Bundles as bioimage.io model packages, and back."""
