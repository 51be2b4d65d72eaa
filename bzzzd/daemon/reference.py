"""The page docs/rpc.md: every method and stream as the daemon lists them, without a node behind them."""

from __future__ import annotations

from typing import Final

from bzzzd.daemon.context.contexts import ContextDesk
from bzzzd.daemon.hmmm.desk import ThreadDesk
from bzzzd.daemon.keys.epochs import EpochDesk
from bzzzd.daemon.ledger.tasks import TaskDesk
from bzzzd.daemon.membership.admin import AdminDesk
from bzzzd.daemon.membership.authority import AuthorityDesk
from bzzzd.daemon.membership.guests import GuestDesk
from bzzzd.daemon.membership.inviting import InviteDesk
from bzzzd.daemon.membership.joining import JoinDesk
from bzzzd.daemon.membership.renewing import Renewals
from bzzzd.daemon.membership.revoking import RevokeDesk
from bzzzd.daemon.messages.topics import TopicDesk
from bzzzd.daemon.peers.meshdesk import MeshDesk
from bzzzd.daemon.sessions import SessionDesk
from bzzzd.daemon.status import StatusDesk
from bzzzd.daemon.work.taskview import TaskView
from bzzzd.identity.caller import Caller
from bzzzd.rpc import reference as rpc
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.server import RpcServer
from bzzzd.rpc.streams import StreamTable

_HEAD: Final = """# RPC reference

Generated from the method registry by `scripts/docs`; do not edit.

`bzzzd` speaks [MessagePack-RPC](https://github.com/msgpack-rpc/msgpack-rpc/blob/master/spec.md) on a unix socket (`/run/bzzz/bzzzd.sock`): request `[0, id, method, [params]]`, response `[1, id, error, result]`, notification `[2, method, [params]]`. `params` holds one map. Any MessagePack-RPC client can talk to it.

The first request of a connection is `hello`. It gives a nonce; `session.attach` signs it, and what the session may call from then on is decided by its key's grant. Signed parameters (`envelope`, `version`) are envelopes as in `docs/security.md`. Errors are maps `{code, message, data}` with the codes of `bzzzd/errors.py`.

`subscribe` gives `{subscription, cursor, reset, snapshot?}`; items follow as notifications `stream.items` `{subscription, cursor, items}`. A client that reconnects passes the last cursor; one that is no longer within reach gets `reset` and a snapshot, and so does one that fell behind (`stream.behind`). A topic is read on from the journal while it keeps what was missed, over restarts of `bzzzd` too; `trimmed` says that it no longer does.

"""  # noqa: E501 - the page's own lines


def page() -> str:
    """The whole page as Markdown."""
    registry, streams = listed()
    return _HEAD + rpc.reference(registry, streams)


def listed() -> tuple[Registry, StreamTable]:
    """Every method and stream; their handlers have nothing behind them and are not to be called."""
    registry, streams = Registry(), StreamTable()
    RpcServer(registry, hello=dict, guest=lambda peer: Caller(peer.uid, peer.gid, peer.pid), streams=streams)
    TaskDesk.__new__(TaskDesk).register(registry, streams)
    GuestDesk.__new__(GuestDesk).register(registry)
    TaskView.__new__(TaskView).register(registry, streams)
    ThreadDesk.__new__(ThreadDesk).register(registry, streams)
    TopicDesk.__new__(TopicDesk).register(registry, streams)
    StatusDesk.__new__(StatusDesk).register(registry, streams)
    ContextDesk.__new__(ContextDesk).register(registry)
    AdminDesk.__new__(AdminDesk).register(registry)
    EpochDesk.__new__(EpochDesk).register(registry)
    RevokeDesk.__new__(RevokeDesk).register(registry)
    Renewals.__new__(Renewals).register(registry)
    MeshDesk.__new__(MeshDesk).register(registry)
    AuthorityDesk.__new__(AuthorityDesk).register(registry)
    InviteDesk.__new__(InviteDesk).register(registry)
    JoinDesk.__new__(JoinDesk).register(registry)
    SessionDesk.__new__(SessionDesk).register(registry)
    return registry, streams
