"""Reuse of freed memory from one layer of a forward pass to the next."""

import ctypes
import functools
import platform

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
"""Options of glibc's `mallopt`, numbered as in malloc.h."""


@functools.cache
def keep_freed_memory() -> None:
    """Make the process keep freed memory for its next allocation.

    glibc returns large blocks to the system at once, and the system clears them before handing
    them out again: for the activations of a convolution, that takes about a third of the time of
    the convolution itself. Without glibc nothing is done.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
