"""Compiled kernels (numba) behind the functions of `ops`."""
