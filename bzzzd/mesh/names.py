"""Which names of topics and protocols the mesh takes. Pure."""

from __future__ import annotations

from typing import Final

from bzzzd.errors import BadInput
from bzzzd.mesh.values import JOIN_PROTOCOL, MAX_TOPIC_BYTES

_RESERVED: Final = ("/ipfs/", "/meshsub/", "/multistream/", "/noise", "/yamux/")


def check_topic(topic: str) -> None:
    """Raises ``BadInput``."""
    if not topic or len(topic.encode("utf-8")) > MAX_TOPIC_BYTES:
        raise BadInput(f"a topic has 1 to {MAX_TOPIC_BYTES} bytes; {topic[:40]!r} does not")


def check_protocol(protocol: str) -> None:
    """Raises ``BadInput``."""
    if not protocol.startswith("/") or len(protocol) > 128 or "\n" in protocol:
        raise BadInput(f"a protocol is named like /bzzz/ledger/1; {protocol[:40]!r} is not")
    if protocol == JOIN_PROTOCOL or protocol.startswith(_RESERVED):
        raise BadInput(f"{protocol} is spoken by the mesh itself")
