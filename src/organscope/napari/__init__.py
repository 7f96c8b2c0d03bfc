"""The plugin of napari: results as layers, the analysis of a layer, a sample. napari finds it by `napari.yaml`."""
