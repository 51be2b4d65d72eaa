"""Imports libp2p: without the parts that a BZZZ node never runs, and where no name server is known.

Called in the mesh's thread, before any module that imports libp2p at its top. What is done and why:

- ``import libp2p`` reads the resolver's configuration and fails in a machine or container without a
  name server. Nodes are dialled by address, so a resolver that knows no server is good enough.
- Two ACME clients (certificates for browsers) and zeroconf (libp2p's own mDNS, which would block for
  1.7 s) are stood in for by empty modules while libp2p is imported: a fifth of the time and 15 MB.
  The stand-ins are taken away afterwards, so anybody else gets the real modules.
- A Yamux stream sends a window update for every read, however small: as many frames again as a negotiation or
  a request has reads. Updates wait until half of the window is used up, as other implementations do.
- The multistream line that opens every negotiation has no length limit, and strangers send it.
- Garbage collection finds nothing in the half million objects that an import makes.
"""

from __future__ import annotations

import gc
import importlib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

from bzzzd.mesh.values import OUR_AGENT

_NEVER_RUN: Final = ("libp2p.security.tls.autotls.acme", "libp2p.security.tls.autotls.broker", "zeroconf")
_LONGEST_NEGOTIATION: Final = 1024


class _Absent(ModuleType):
    """A stand-in for a module whose names are imported but never used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        stand_in = type(name, (), {"__module__": self.__name__})
        setattr(self, name, stand_in)
        return stand_in


@contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    absent = {name: _Absent(name) for name in names if name not in sys.modules}
    sys.modules.update(absent)
    try:
        yield
    finally:
        for name, module in absent.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


@contextmanager
def resolver_optional() -> Iterator[None]:
    """Let dnspython's resolvers be made where /etc/resolv.conf is missing, empty or not understood."""
    from dns import resolver

    strict = resolver.BaseResolver.read_resolv_conf

    def lenient(self: resolver.BaseResolver, f: Any) -> None:
        try:
            strict(self, f)
        except (resolver.NoResolverConfiguration, ValueError):
            self.nameservers = []

    resolver.BaseResolver.read_resolv_conf = lenient  # type: ignore[method-assign]
    try:
        yield
    finally:
        resolver.BaseResolver.read_resolv_conf = strict  # type: ignore[method-assign]


def _bound_negotiation() -> None:
    from libp2p.exceptions import ParseError
    from libp2p.protocol_muxer import multiselect_communicator
    from libp2p.utils.varint import read_varint_prefixed_bytes_limited

    async def read_line(reader: Any) -> bytes:
        line = await read_varint_prefixed_bytes_limited(reader, _LONGEST_NEGOTIATION)
        if line[-1:] != b"\n":
            raise ParseError("a negotiation line has no end")
        return line[:-1]

    vars(multiselect_communicator)["read_delim"] = read_line


def _save_window_updates() -> None:
    from libp2p.stream_muxer.yamux.yamux import YamuxStream

    at_once = YamuxStream._auto_tune_and_send_window_update
    if getattr(at_once, "saves", False):
        return

    async def in_halves(self: YamuxStream, *, bytes_read: int = 0) -> None:
        buffered = len(self.conn.stream_buffers.get(self.stream_id, b""))
        used = self.target_recv_window - self.recv_window - buffered
        # Nothing is lost by leaving it: what was read and not given back yet is counted from the window itself.
        if used >= self.target_recv_window // 2:
            await at_once(self, bytes_read=bytes_read)

    vars(in_halves)["saves"] = True
    setattr(YamuxStream, at_once.__name__, in_halves)


def _quiet() -> None:
    """libp2p logs a line for every stranger's fault; ours are counted, and told as events."""
    logger = logging.getLogger("libp2p")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def load(version: str) -> None:
    """Import libp2p and set what identify calls us: ``bzzz/VERSION``. Repeated calls cost nothing."""
    fresh, collecting = "libp2p" not in sys.modules, gc.isenabled()
    gc.disable()
    try:
        with resolver_optional(), _without(_NEVER_RUN):
            importlib.import_module("libp2p")
            importlib.import_module("bzzzd.mesh.node")
    finally:
        if fresh:
            gc.freeze()
        if collecting:
            gc.enable()
    _bound_negotiation()
    _save_window_updates()
    _quiet()
    identify = importlib.import_module("libp2p.identity.identify.identify")
    vars(identify)["AGENT_VERSION"] = f"{OUR_AGENT}{version}"
