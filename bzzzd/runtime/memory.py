"""Memory that is free inside the process, given back to the system."""

from __future__ import annotations

import ctypes


def give_back() -> bool:
    """Have the C library return free memory; ``False`` where it cannot. Takes a millisecond or a few."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; musl has none
    return bool(trim(0)) if trim is not None else False
