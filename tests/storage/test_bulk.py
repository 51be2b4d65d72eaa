from __future__ import annotations

import asyncio
import os
import time

import pytest

from bzzzd.crypto import age
from bzzzd.errors import NotAllowed
from bzzzd.storage.versions.bulk import decrypt_large, encrypt_large


def test_both_ways_speak_the_same_format():
    identity = age.new_identity()
    data = os.urandom(300_001)
    assert age.decrypt(encrypt_large(data, [age.recipient_of(identity)]), [identity]) == data
    assert decrypt_large(age.encrypt(data, [age.recipient_of(identity)]), [identity]) == data


def test_content_for_others_and_damaged_content_is_refused():
    identity, other = age.new_identity(), age.new_identity()
    data = encrypt_large(bytes(100_000), [age.recipient_of(identity)])
    for wrong, key in ((data, other), (data[:-1], identity), (b"garbage", identity)):
        with pytest.raises(NotAllowed):
            decrypt_large(wrong, [key])


async def test_the_loop_goes_on_while_large_content_is_encrypted():
    identity = age.new_identity()
    data = bytes(32 * 1024 * 1024)
    gaps = []

    async def watch():
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            gaps.append(time.perf_counter() - began)

    watcher = asyncio.create_task(watch())
    began = time.perf_counter()
    await asyncio.to_thread(encrypt_large, data, [age.recipient_of(identity)])
    took = time.perf_counter() - began
    watcher.cancel()
    # Held for the whole call, the loop would have come round once or twice.
    assert len(gaps) >= 4
    assert max(gaps) < took
