"""The one error tree: every failure has a stable code, an exit status and a sentence for a person.

    BzzzError                          FAILED               1
    ├── BadInput                       BAD_INPUT            2
    │   ├── InvalidParams              INVALID_PARAMS       2
    │   ├── UnknownMethod              UNKNOWN_METHOD       2
    │   ├── MalformedFrame             MALFORMED_FRAME      2
    │   ├── InvalidEnvelope            INVALID_ENVELOPE     2
    │   │   └── OtherMesh              OTHER_MESH           2
    │   ├── InvalidAddress             INVALID_ADDRESS      2
    │   │   └── InvalidTemporal        TEMPORAL_INVALID     2
    │   └── TooLarge                   TOO_LARGE            2
    ├── NotAllowed                     NOT_ALLOWED          3
    │   ├── NotAttached                NOT_ATTACHED         3
    │   ├── GrantRefused               GRANT_REFUSED        3
    │   ├── InvitationRefused          INVITATION_REFUSED   3
    │   ├── KeyExposed                 KEY_EXPOSED          3
    │   ├── KeyLocked                  KEY_LOCKED           3
    │   └── NoRoleKey                  NO_ROLE_KEY          3
    ├── NotFound                       NOT_FOUND            4
    ├── Conflict                       CONFLICT             1
    │   ├── StaleToken                 STALE_TOKEN          1
    │   ├── FinalState                 FINAL_STATE          1
    │   ├── AlreadyRunning             ALREADY_RUNNING      1
    │   └── ThreadRefused              THREAD_REFUSED       1
    │       ├── ThreadClosed           THREAD_CLOSED        1
    │       ├── ThreadFull             THREAD_FULL          1
    │       ├── ParticipantCap         PARTICIPANT_CAP      1
    │       ├── HopLimit               HOP_LIMIT            1
    │       └── WindowClosed           WINDOW_CLOSED        1
    ├── Unreachable                    UNREACHABLE          5
    │   ├── ClientTooOld               CLIENT_TOO_OLD       5
    │   └── ClientTooNew               CLIENT_TOO_NEW       5
    ├── Unavailable                    UNAVAILABLE          1
    │   ├── NotReady                   NOT_READY            1
    │   ├── Overloaded                 OVERLOADED           1
    │   ├── CircuitOpen                CIRCUIT_OPEN         1
    │   ├── ModelFailed                MODEL_FAILED         1
    │   └── SandboxUnavailable         SANDBOX_UNAVAILABLE  1
    ├── StorageFailed                  STORAGE_FAILED       1
    │   └── DiskFull                   DISK_FULL            1
    ├── UnknownOutcome                 UNKNOWN_OUTCOME      6
    └── RuntimeFailure                 RUNTIME_FAILED       1
        ├── ConfigInvalid              CONFIG_INVALID       2
        ├── P2PInitFailed              P2P_INIT_FAILED      1
        ├── DHTUnavailable             DHT_UNAVAILABLE      1
        ├── ElectionFailed             ELECTION_FAILED      1
        └── ServiceStartFailed         SERVICE_START_FAILED 1

The same codes serve RPC (``to_map``), HTTP and the exit status of the commands. Those of prompts grow on this tree in
``slurp/refusals.py``.
The five under ``RuntimeFailure`` are the runtime errors of the portal specification, section 9.1.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    import msgspec

    # What decoding somebody else's bytes raises: a wrong shape, text that is no UTF-8, values nested without end.
    UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
else:

    def __getattr__(name: str) -> tuple[type[Exception], ...]:
        # Made when somebody asks for it: `bzzz` decodes nothing of the kind, and msgspec is half of its start.
        if name != "UNREADABLE":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import msgspec

        globals()[name] = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
        return globals()[name]


class BzzzError(Exception):
    """Something went wrong; ``message`` says what, which thing, and what to do now.

    ``data`` holds details for machines (plain values that MessagePack and JSON can carry).
    """

    code: ClassVar[str] = "FAILED"
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.data: dict[str, Any] = data

    def to_map(self) -> dict[str, Any]:
        """The form that RPC and HTTP carry: ``{code, message, data}``."""
        return {"code": self.code, "message": self.message, "data": self.data}


def unexpected(error: BzzzError) -> bool:
    """Whether it is a fault that nobody expected (``FAILED``): no word on what was asked, which may have been done.

    An error whose code this version does not know is none: somebody meant it.
    """
    return type(error) is BzzzError and "code" not in error.data


class BadInput(BzzzError):
    """What was given cannot be used as it is."""

    code = "BAD_INPUT"
    exit_status = 2


class InvalidParams(BadInput):
    """A method's parameters have a wrong name, type or value."""

    code = "INVALID_PARAMS"


class UnknownMethod(BadInput):
    """No method has this name."""

    code = "UNKNOWN_METHOD"


class MalformedFrame(BadInput):
    """Bytes on the socket are not a MessagePack-RPC message; the connection is closed."""

    code = "MALFORMED_FRAME"


class InvalidEnvelope(BadInput):
    """A signed envelope is damaged, forged, of another kind or of another mesh."""

    code = "INVALID_ENVELOPE"


class OtherMesh(InvalidEnvelope):
    """A signed envelope belongs to another mesh: it says nothing here."""

    code = "OTHER_MESH"


class InvalidAddress(BadInput):
    """A UCXL address breaks a rule; ``data["position"]`` is the offset of the fault in characters."""

    code = "INVALID_ADDRESS"


class InvalidTemporal(InvalidAddress):
    """The temporal part of a UCXL address breaks a rule."""

    code = "TEMPORAL_INVALID"


class TooLarge(BadInput):
    """A message or value is over its limit; ``data`` has ``size`` and ``limit`` in bytes."""

    code = "TOO_LARGE"


class NotAllowed(BzzzError):
    """The caller may not do this; the message names the command that mends it."""

    code = "NOT_ALLOWED"
    exit_status = 3


class NotAttached(NotAllowed):
    """The method needs an attached session."""

    code = "NOT_ATTACHED"


class GrantRefused(NotAllowed):
    """A grant is missing, expired, revoked, or not from this mesh's authority."""

    code = "GRANT_REFUSED"


class InvitationRefused(NotAllowed):
    """An invitation does not let this joiner in; ``data["reason"]`` is one stable word for why."""

    code = "INVITATION_REFUSED"


class KeyExposed(NotAllowed):
    """A key file can be read or changed by others, so it is not used."""

    code = "KEY_EXPOSED"


class KeyLocked(NotAllowed):
    """A key is under a passphrase that was not given, or was a wrong one."""

    code = "KEY_LOCKED"


class NoRoleKey(NotAllowed):
    """The node has no secret that opens the content; ``roles`` and ``epochs`` say which would."""

    code = "NO_ROLE_KEY"


class NotFound(BzzzError):
    """Nothing has this name here."""

    code = "NOT_FOUND"
    exit_status = 4


class Conflict(BzzzError):
    """The thing changed meanwhile, or somebody else holds it."""

    code = "CONFLICT"


class StaleToken(Conflict):
    """A fencing token is older than the one in force: the lease has moved on."""

    code = "STALE_TOKEN"


class FinalState(Conflict):
    """The task has ended; final states stay final."""

    code = "FINAL_STATE"


class AlreadyRunning(Conflict):
    """Another instance of this id and kind holds the lock."""

    code = "ALREADY_RUNNING"


class ThreadRefused(Conflict):
    """A message does not fit the state of its thread."""

    code = "THREAD_REFUSED"


class ThreadClosed(ThreadRefused):
    """The thread has ended: a summary closed it, or nobody spoke for too long."""

    code = "THREAD_CLOSED"


class ThreadFull(ThreadRefused):
    """The thread holds as many messages as one may."""

    code = "THREAD_FULL"


class ParticipantCap(ThreadRefused):
    """As many take part in the thread as may."""

    code = "PARTICIPANT_CAP"


class HopLimit(ThreadRefused):
    """Agents have answered each other too often without a person's word."""

    code = "HOP_LIMIT"


class WindowClosed(ThreadRefused):
    """The objection window of the proposal is over."""

    code = "WINDOW_CLOSED"


class Unreachable(BzzzError):
    """bzzzd does not answer on its socket."""

    code = "UNREACHABLE"
    exit_status = 5


class ClientTooOld(Unreachable):
    """bzzzd no longer speaks this client's API: upgrade the client."""

    code = "CLIENT_TOO_OLD"


class ClientTooNew(Unreachable):
    """bzzzd does not speak this client's API yet: upgrade and restart bzzzd."""

    code = "CLIENT_TOO_NEW"


class Unavailable(BzzzError):
    """A part that is needed cannot serve now; trying later may help."""

    code = "UNAVAILABLE"


class NotReady(Unavailable):
    """bzzzd is still starting, or is stopping."""

    code = "NOT_READY"


class Overloaded(Unavailable):
    """A bounded queue is full."""

    code = "OVERLOADED"


class CircuitOpen(Unavailable):
    """The circuit breaker of a service is open after repeated failures."""

    code = "CIRCUIT_OPEN"


class ModelFailed(Unavailable):
    """The model provider failed, was too slow, or answered nonsense."""

    code = "MODEL_FAILED"


class SandboxUnavailable(Unavailable):
    """The sandbox cannot run here, so nothing that needs it is run."""

    code = "SANDBOX_UNAVAILABLE"


class StorageFailed(BzzzError):
    """The store could not read or write."""

    code = "STORAGE_FAILED"


class DiskFull(StorageFailed):
    """The disk has no space left; nothing was half-written."""

    code = "DISK_FULL"


class UnknownOutcome(BzzzError):
    """No answer came in time: the command may or may not have been done. Ask again with the same id."""

    code = "UNKNOWN_OUTCOME"
    exit_status = 6


class RuntimeFailure(BzzzError):
    """A process could not start or go on: which service of which process, when, and why.

    ``service`` and ``process`` (the specification's binary type) are names; ``at`` is Unix time in seconds.
    """

    code = "RUNTIME_FAILED"

    def __init__(self, message: str, *, service: str = "", process: str = "", **data: Any) -> None:
        super().__init__(message, service=service, process=process, at=time.time(), **data)


class ConfigInvalid(RuntimeFailure):
    """The configuration has faults; ``data["faults"]`` lists every one of every file."""

    code = "CONFIG_INVALID"
    exit_status = 2


class P2PInitFailed(RuntimeFailure):
    """The libp2p node could not start."""

    code = "P2P_INIT_FAILED"


class DHTUnavailable(RuntimeFailure):
    """The DHT cannot serve."""

    code = "DHT_UNAVAILABLE"


class ElectionFailed(RuntimeFailure):
    """No coordinator could be determined."""

    code = "ELECTION_FAILED"


class ServiceStartFailed(RuntimeFailure):
    """A service did not start; those started before it were stopped again."""

    code = "SERVICE_START_FAILED"


def _tree(root: type[BzzzError]) -> Iterator[type[BzzzError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


def from_map(error: Any) -> BzzzError:
    """Turn a received ``{code, message, data}`` back into its error; an unknown code gives ``BzzzError``.

    The received code is kept in ``data["code"]`` when this version does not know it. What is no map is the message.
    """
    if not isinstance(error, Mapping):
        error = {"message": error}
    code, message = str(error.get("code", "FAILED")), str(error.get("message", "unknown error"))
    data = error.get("data")
    details = {str(key): value for key, value in data.items()} if isinstance(data, Mapping) else {}
    cls = next((kind for kind in _tree(BzzzError) if kind.code == code), None)
    found = BzzzError.__new__(cls or BzzzError)
    BzzzError.__init__(found, message)
    found.data = details if cls else {**details, "code": code}
    return found
