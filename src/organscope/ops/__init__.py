"""Pure functions on arrays: preprocessing, tiles, instances, measures."""
