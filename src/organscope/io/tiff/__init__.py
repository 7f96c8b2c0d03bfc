"""TIFF images: metadata, integrity, and regions read without reading the rest."""
