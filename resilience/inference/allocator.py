"""Memory that is used again: what a forward pass frees, the next layer takes."""

import ctypes
import functools
import platform

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
"""Options of glibc's `mallopt`, by their numbers in malloc.h."""


@functools.cache
def keep_freed_memory() -> None:
    """Have the process keep memory that is freed, for its next allocation.

    glibc gives large blocks back to the system at once, and the system clears them before it gives
    them out again: for the activations of a convolution that takes about as long as a third of
    the convolution. Elsewhere than on glibc nothing is done.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
