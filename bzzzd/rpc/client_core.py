"""What every client does, sans I/O: numbering requests, greeting, reading frames, routing stream items.

Two thin drivers move the bytes: ``blocking.BlockingClient`` for commands, ``client.AsyncClient`` for long-lived
processes. Only ``msgpack`` and the standard library's lightest are imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgpack

from bzzzd.errors import BzzzError, MalformedFrame, UnknownMethod, UnknownOutcome, Unreachable, from_map
from bzzzd.rpc.follower import Follower
from bzzzd.rpc.wire import API, MAX_FRAME, MAX_ID, MIN_API, NOTIFICATION, REQUEST, RESPONSE, Reader

_TEXTS = ("build", "node_id", "mesh_id", "phase")


class Hello(NamedTuple):
    """bzzzd's greeting. ``phase`` is the one its start has reached; ``mesh_id`` is empty until it has a mesh."""

    api: int
    extensions: tuple[str, ...]
    build: str
    node_id: str
    mesh_id: str
    phase: str
    nonce: bytes
    given: Mapping[str, Any]


class ClientCore:
    """The state of one connection that is not about sockets. ``pack`` encodes a frame."""

    def __init__(self, name: str, *, limit: int = MAX_FRAME, pack: Callable[[Any], bytes] | None = None) -> None:
        self.name = name
        self.refusal: BzzzError | None = None
        """Why bzzzd closes the connection, if it said so."""
        self.pack: Callable[[Any], bytes] = pack or msgpack.Packer().pack
        self.followers: dict[int, Follower] = {}
        self._reader = Reader(limit)
        self._id = 0

    def request(self, method: str, params: Any) -> tuple[int, bytes]:
        """A request's number and its bytes."""
        id = self._id = self._id % MAX_ID + 1
        return id, self.pack((REQUEST, id, method, ({} if params is None else params,)))

    def notification(self, method: str, params: Any) -> bytes:
        return self.pack((NOTIFICATION, method, ({} if params is None else params,)))

    def answer(self, id: int, result: Any) -> bytes:
        """The response to bzzzd's request ``id``: a result, or an error when ``result`` is one."""
        if isinstance(result, BzzzError):
            return self.pack((RESPONSE, id, result.to_map(), None))
        return self.pack((RESPONSE, id, None, result))

    def not_offered(self, id: int, method: str) -> bytes:
        """The response to bzzzd's request for a method that this client does not have."""
        return self.answer(id, UnknownMethod(f"{self.name} offers no method {method}", method=method))

    def receive(self, data: bytes) -> Iterator[list[Any]]:
        """The checked frames that ``data`` completes; raises ``MalformedFrame`` or ``TooLarge``."""
        return self._reader.feed(data)

    def hello_params(self) -> dict[str, Any]:
        return {"api": API, "min_api": MIN_API, "client": self.name}

    def greeted(self, answer: Any) -> Hello:
        """The answer to ``hello``; whether the versions fit was bzzzd's to say."""
        if not isinstance(answer, dict) or not isinstance(answer.get("nonce"), bytes):
            raise Unreachable("what answers on the socket is not bzzzd")
        build, node_id, mesh_id, phase = (str(answer.get(name) or "") for name in _TEXTS)
        extensions = tuple(str(name) for name in answer.get("extensions") or ())
        return Hello(
            int(answer.get("api") or 0), extensions, build, node_id, mesh_id, phase, nonce=answer["nonce"], given=answer
        )

    def notified(self, method: str, params: list[Any]) -> tuple[Follower | None, bytes]:
        """Take in a notification: the follower that it was for, if one, and what to send because of it."""
        told = params[0] if params else None
        if method == "error":
            self.refusal = from_map(told)
            return None, b""
        if not method.startswith("stream.") or not isinstance(told, dict):
            return None, b""
        follower = self.followers.get(told.get("subscription", 0))
        if follower is None:  # ended, or its answer came too late: nobody reads it
            return None, self.end(told.get("subscription", 0)) if method == "stream.items" else b""
        try:
            if method == "stream.items":
                fits = follower.arrived(told)
            else:
                fits = method != "stream.behind" or follower.behind(told)
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedFrame(f"bzzzd sent a {method} that cannot be read") from error
        return follower, b"" if fits else self.end(told["subscription"])

    def opened(self, follower: Follower, answer: Any) -> None:
        """``subscribe`` was answered: what comes from now on is ``follower``'s."""
        follower.opened(answer)
        assert follower.id is not None
        self.followers[follower.id] = follower

    def end(self, subscription: int) -> bytes:
        """Forget a subscription, and give the notification that ends it."""
        self.followers.pop(subscription, None)
        return self.notification("unsubscribe", {"subscription": subscription})

    def lost(self) -> None:
        """The connection is gone; its followers go on with the next one."""
        for follower in self.followers.values():
            follower.lost()
        self.followers.clear()


def no_answer(method: str, seconds: float, *, effects: bool) -> BzzzError:
    """The error for a request that was sent and not answered in time."""
    if effects:
        return UnknownOutcome(
            f"no answer to {method} within {seconds:g} s; it may or may not have been done", method=method
        )
    return Unreachable(f"bzzzd did not answer {method} within {seconds:g} s; look at: bzzz health", method=method)


def cut_off(method: str, refusal: BzzzError | None, *, effects: bool) -> BzzzError:
    """The error for a request whose connection ended before the answer."""
    if refusal is not None:
        return refusal
    if effects:
        return UnknownOutcome(f"bzzzd went away before it answered {method}; it may have been done", method=method)
    return Unreachable(f"bzzzd went away before it answered {method}", method=method)


def cannot_connect(path: str, error: OSError) -> BzzzError:
    """Why ``connect`` failed, and what to do."""
    from errno import EACCES, EAGAIN, ECONNREFUSED, ENOENT

    start = "start it with: sudo systemctl start bzzzd (from a clone: scripts/run)"
    if error.errno == ENOENT:
        return Unreachable(f"bzzzd is not running: there is no socket at {path}; {start}", path=path)
    if error.errno == ECONNREFUSED:
        return Unreachable(f"bzzzd is not running: nobody listens at {path}; {start}", path=path)
    if error.errno == EACCES:
        return Unreachable(
            f"no right to open {path}, which is for the group bzzz; run: sudo usermod -aG bzzz {_user()}, "
            "then log in again",
            path=path,
        )
    if error.errno == EAGAIN:
        return Unreachable(f"bzzzd does not accept connections at {path} now; try again", path=path)
    return Unreachable(f"cannot connect to {path}: {error.strerror or error}", path=path)


def _user() -> str:
    """The name of the user that this process runs as; the shell's word for it where there is none."""
    import os
    from pwd import getpwuid

    try:
        return getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "$USER"
