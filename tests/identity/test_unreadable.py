"""Signed bytes that cannot be decoded are refused like any others that do not hold, whoever signed them.

What a member sends is read by tasks whose death ends the process, so no other exception may come out of a reader.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from bzzzd.crypto.envelope import seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import InvalidEnvelope
from bzzzd.identity.charter import open_document
from bzzzd.identity.grants import Trust, mesh_id_of
from bzzzd.identity.invitation import open_ask, read_outcome
from bzzzd.identity.noderecord import open_node_record
from bzzzd.identity.pins import root_of
from bzzzd.identity.policy import open_policy
from bzzzd.identity.records import open_record
from bzzzd.identity.revocations import read_list
from bzzzd.slurp.coordinator import read_coordinator

KEY = SigningKey.generate()
MESH = mesh_id_of(KEY.public)
TRUST = Trust(MESH, KEY.public)
# The encoder of msgspec writes no such text, so these are put together by hand: a name that is no UTF-8.
NO_TEXT = b"\xa2\xff\xfe"


def a_map(name: str) -> bytes:
    return b"\x81" + msgspec.msgpack.encode(name) + NO_TEXT


READERS: dict[str, tuple[Callable[[bytes], Any], bytes]] = {
    "grant": (lambda payload: TRUST.admit([seal(KEY, "grant", MESH, payload)], now=1.0), a_map("id")),
    "root of a chain": (lambda payload: root_of([seal(KEY, "grant", MESH, payload)], MESH), a_map("id")),
    "agent record": (lambda payload: open_record(seal(KEY, "agent-record", MESH, payload), MESH), a_map("id")),
    "node record": (
        lambda payload: open_node_record(seal(KEY, "node-record", MESH, payload), MESH),
        b"\x93\x91" + NO_TEXT + b"\x01\x01",
    ),
    "ask to join": (lambda payload: open_ask(seal(KEY, "join-ask", MESH, payload), MESH), a_map("id")),
    "policy": (
        lambda payload: open_policy(seal(KEY, "policy", MESH, payload), MESH),
        b"\x81" + msgspec.msgpack.encode("roles") + a_map("guests").replace(NO_TEXT, b"\x91" + NO_TEXT),
    ),
    "document": (lambda payload: open_document(seal(KEY, "policy", MESH, payload), MESH), b"\xc1"),
    "list of revocations": (read_list, b"\x81" + NO_TEXT),
    "coordinator": (read_coordinator, b"\xc1"),
    "outcome of joining": (read_outcome, b"\xc1"),
}


@pytest.mark.parametrize("name", READERS)
def test_what_cannot_be_decoded_is_invalid(name: str) -> None:
    reader, payload = READERS[name]
    with pytest.raises(InvalidEnvelope):
        reader(payload)
