from __future__ import annotations

import ctypes

from bzzzd.runtime.limits import resident_bytes
from bzzzd.runtime.memory import give_back


def test_free_memory_goes_back_to_the_system():
    if getattr(ctypes.CDLL(None), "malloc_trim", None) is None:
        assert give_back() is False
        return
    kept = [bytearray(20_000) for _ in range(3000)]
    last = kept.pop()
    full = resident_bytes()
    kept.clear()
    give_back()
    assert resident_bytes() < full - 30_000_000
    assert len(last) == 20_000
