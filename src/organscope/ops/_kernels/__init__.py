"""Compiled kernels (numba) behind the functions of `ops`.

They are compiled at their first call and kept in a cache, but the first command after an installation waits for that:
so no kernel has parts that nobody calls (a wrapper for C; one for Python where only other kernels call it), and none
assigns one slice to another, for which numba compiles seconds of error messages.
"""

from functools import partial

import numba

kernel = partial(numba.njit, cache=True, no_cfunc_wrapper=True)
"""Decorator of a function that Python calls."""

inner_kernel = partial(numba.njit, cache=True, no_cfunc_wrapper=True, no_cpython_wrapper=True)
"""Decorator of a function that only kernels call."""
