"""DHT records among members: validated on every node, bounded, and read from several holders.

The library answers a get from its own copy and never asks further; a record that another node has
renewed would stay unseen for a day. Here a get asks the closest holders too, and the namespace's rule
selects among what they and we hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import trio
from libp2p.host.basic_host import BasicHost
from libp2p.kad_dht.common import MAX_VALUE_STORE_SIZE
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.kad_dht.pb.kademlia_pb2 import Record
from libp2p.kad_dht.value_store import ValueStore
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.records.utils import InvalidRecordType
from libp2p.records.validator import NamespacedValidator, Validator

from bzzzd.errors import BadInput, BzzzError, Conflict, InvalidEnvelope, TooLarge
from bzzzd.mesh.describe import describe
from bzzzd.mesh.host import SPEAKER
from bzzzd.mesh.values import MAX_RECORD_BYTES, MAX_RECORD_KEY_BYTES, RecordRule

_HOLDERS_ASKED: Final = 8
_ASK_S: Final = 3.0
_LOOKUP_S: Final = 10.0
_STORE_BYTES: Final = 64 * 1024 * 1024
_INBOUND_STREAMS: Final = 64


class _Rule(Validator):
    """A namespace's rule in the library's shape."""

    def __init__(self, rule: RecordRule, blame: Callable[[ID], None]) -> None:
        self._rule = rule
        self._blame = blame

    def validate(self, key: str, value: bytes) -> None:
        try:
            self._rule.validate(key, value)
        except InvalidEnvelope:
            speaker = SPEAKER.get()
            if speaker is not None:
                self._blame(speaker)
            raise

    def select(self, key: str, values: list[bytes]) -> int:
        return self._rule.select(key, values)


class _BoundedStore(ValueStore):
    """A value store that keeps a number of bytes: the oldest records of others go first."""

    def __init__(self, host: BasicHost, local_peer_id: ID, limit: int = _STORE_BYTES) -> None:
        super().__init__(host, local_peer_id)
        self._limit = limit
        self._held = 0

    def put(self, key: bytes, value: bytes, validity: float = 0.0) -> None:
        self._make_room(key, len(value))
        super().put(key, value, validity)

    def put_record(self, key: bytes, record: Record) -> None:
        self._make_room(key, len(record.value))
        super().put_record(key, record)

    def remove(self, key: bytes) -> bool:
        held = self.store.pop(key, None)
        if held is not None:
            self._held -= len(held[0].value)
        return held is not None

    def _make_room(self, key: bytes, size: int) -> None:
        self.remove(key)
        while self.store and (self._held + size > self._limit or len(self.store) >= MAX_VALUE_STORE_SIZE - 1):
            foreign = (held for held in self.store if held not in self.local_keys)
            self.remove(next(foreign, None) or next(iter(self.store)))
        self._held += size

    def cleanup_expired(self) -> int:
        """Drop what has expired; give how many. The library's own does not keep our count."""
        return sum(self.get(key) is None for key in list(self.store))


class Records:
    """Put and get by key, like ``/NAMESPACE/name``; each namespace has its rule."""

    def __init__(self, host: BasicHost, rules: Mapping[str, RecordRule], blame: Callable[[ID], None]) -> None:
        self._namespaces = tuple(rules)
        self._blame = blame
        self._validator = NamespacedValidator(
            {name: _Rule(rule, blame) for name, rule in rules.items()}, strict_validation=True
        )
        self.service = KadDHT(
            host, DHTMode.SERVER, validator=self._validator, validator_changed=True, strict_validation=True
        )
        self._store = _BoundedStore(host, host.get_id())
        self.service.value_store = self._store
        self.service._inbound_limiter = trio.CapacityLimiter(_INBOUND_STREAMS)

    def check_key(self, key: str) -> None:
        """Refuse a key that the DHT would lose: too long, or of a namespace without a rule."""
        size = len(key.encode("utf-8"))
        if size > MAX_RECORD_KEY_BYTES:
            raise TooLarge(
                f"a DHT key of {size} bytes is over the limit of {MAX_RECORD_KEY_BYTES}",
                size=size,
                limit=MAX_RECORD_KEY_BYTES,
            )
        namespace = key.split("/")[1] if key.startswith("/") and key.count("/") >= 2 else ""
        if namespace not in self._namespaces:
            known = ", ".join(f"/{name}/…" for name in self._namespaces) or "none is registered"
            raise BadInput(f"the DHT key {key!r} has no known namespace ({known})")

    async def put(self, key: str, value: bytes) -> None:
        """Keep a record here and at the closest members. Alone, it is kept here until somebody comes.

        Raises what the namespace's rule raises, ``TooLarge``, or ``Conflict`` when a better record is known.
        """
        self.check_key(key)
        if len(value) > MAX_RECORD_BYTES:
            raise TooLarge(
                f"a DHT value of {len(value)} bytes is over the limit of {MAX_RECORD_BYTES}; store it as content "
                "and put its reference",
                size=len(value),
                limit=MAX_RECORD_BYTES,
            )
        self._validate(key, value)
        with trio.move_on_after(_LOOKUP_S):
            try:
                await self.service.put_value(key, value)
            except ValueError as error:
                raise Conflict(f"a newer record than this is known for {key}") from error

    async def get(self, key: str) -> bytes | None:
        """The best record that this node and the closest members hold; ``None`` when none does."""
        self.check_key(key)
        raw_key = key.encode("utf-8")
        own = self._store.get(raw_key)
        found = [own] if own is not None else []
        with trio.move_on_after(_LOOKUP_S):
            closest = await self.service.peer_routing.find_closest_peers_network(raw_key, _HOLDERS_ASKED)
            async with trio.open_nursery() as nursery:
                for peer in closest:
                    nursery.start_soon(self._ask, peer, key, raw_key, found)
        if not found:
            return None
        best = found[self._validator.select(key, [record.value for record in found])]
        if own is None or best.value != own.value:
            self._store.put_record(raw_key, best)
        return bytes(best.value)

    async def _ask(self, peer: ID, key: str, raw_key: bytes, found: list[Record]) -> None:
        with trio.move_on_after(_ASK_S):
            answer = await self._store._get_from_peer(peer, raw_key, return_record=True)
            if isinstance(answer, Record):
                try:
                    self._validate(key, answer.value)
                except InvalidEnvelope:
                    self._blame(peer)
                    return
                except BzzzError:
                    return
                found.append(answer)

    def _validate(self, key: str, value: bytes) -> None:
        try:
            self._validator.validate(key, value)
        except (BzzzError, InvalidRecordType) as error:
            raise error if isinstance(error, BzzzError) else BadInput(str(error)) from None
        except Exception as error:
            raise BadInput(f"the record {key} was not accepted: {describe(error)}") from error

    async def enter(self, peer_id: ID) -> None:
        """Route to a member from now on."""
        store = self.service.host.get_peerstore()
        addresses = store.addrs(peer_id) if store.has_peer(peer_id) else []
        await self.service.routing_table.add_peer(PeerInfo(peer_id, addresses), skip_server_mode_check=True)

    def leave(self, peer_id: ID) -> None:
        self.service.routing_table.remove_peer(peer_id)

    def routes_to(self, peer_id: ID) -> bool:
        return self.service.routing_table.peer_in_table(peer_id)
