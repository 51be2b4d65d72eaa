"""One task in an agent's hands, as a pure state machine: events and times in, actions out.

    CLAIMING ──claimed──► WORKING ──worked──► REPORTING ──answered──► DONE
        │                    │  │ hand_back      │  ▲                  ▲
        │ refused            │  └────────────────┘  └── no answer: ────┤
        │                    │ lease at its margin,     asked again    │
        │                    │ or moved on                             │
        └────────────────────┴──────────────► lost, refused ───────────┘

The lease is renewed a third of the way through, while working and while reporting. A renewal that
gets no answer is asked again until the margin before the lease's end; there the work stops, because
somebody else may own the task soon. A report is sent again, with the same command id, until it is
answered or the lease is over: the ledger counts it once, and a stale token is refused there.

Times are seconds of ``lease.boottime``. Nothing here waits, sends or signs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from bzzzd.agent.handlers.base import Product
from bzzzd.agent.lease import Lease
from bzzzd.errors import (
    BadInput,
    BzzzError,
    CircuitOpen,
    Conflict,
    NotAllowed,
    NotFound,
    TooLarge,
    Unavailable,
    UnknownOutcome,
    Unreachable,
)

Token = tuple[int, int]

# Seconds before an unanswered request is sent again; each further time doubles it, up to the last.
_AGAIN_S: Final = 0.1
_AGAIN_MOST_S: Final = 2.0


class State(Enum):
    CLAIMING = "claiming"
    WORKING = "working"
    REPORTING = "reporting"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Completed:
    """The task is done; ``product`` becomes its decision."""

    product: Product
    ending = "completed"


@dataclass(frozen=True, slots=True)
class Failed:
    """The task failed: ``reason`` for every member, ``product`` (if any) for its readers."""

    reason: str
    retryable: bool
    product: Product | None = None
    ending = "failed"


@dataclass(frozen=True, slots=True)
class Released:
    """The task goes back without a strike; ``reason`` is for the log."""

    reason: str
    ending = "released"


Outcome = Completed | Failed | Released


@dataclass(frozen=True, slots=True)
class Begin:
    """Start the handler."""


@dataclass(frozen=True, slots=True)
class Renew:
    """Ask for one more lease period."""


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop the handler now."""


@dataclass(frozen=True, slots=True)
class Send:
    """Report ``outcome`` after ``wait_s`` seconds; the same outcome has the same command id every time."""

    outcome: Outcome
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing is left to do; ``ending`` is the word for the count, ``why`` for the log."""

    ending: str
    why: str = ""


Action = Begin | Renew | Halt | Send | Finish


def unanswered(error: BzzzError) -> bool:
    """Whether asking again later may bring an answer, because the ledger gave none."""
    if isinstance(error, UnknownOutcome):
        return True
    if isinstance(error, Unreachable):
        return error.code == Unreachable.code
    return isinstance(error, Unavailable)


def outcome_of(product: Product) -> Outcome:
    if product.failure:
        return Failed(product.failure, product.retryable, product)
    return Completed(product)


def outcome_of_error(error: Exception) -> Outcome:
    """What becomes of a task whose handler raised.

    A brief that cannot be used fails for good. What was never tried, because the model is being
    left alone, goes back without a strike. Anything else may work next time or elsewhere.
    """
    if isinstance(error, CircuitOpen):
        return Released(error.message)
    if isinstance(error, BzzzError):
        product = Product(error.message.encode(), content_type="text/plain")
        return Failed(error.code.lower(), not isinstance(error, BadInput), product)
    # The exception's own words may hold anything: they go to the log, not into the task.
    return Failed("handler_crashed", True, Product(b"the handler crashed; the agent's log has the details"))


class Work:
    """The state of one task. Every method is one event and gives the actions that follow from it."""

    def __init__(self, task: str) -> None:
        self.task = task
        self.state = State.CLAIMING
        self.token: Token = (0, 0)
        self.outcome: Outcome | None = None
        self._lease: Lease | None = None
        self._renewing = False
        self._renewal_tries = 0
        self._renew_at = 0.0
        self._report_tries = 0

    @property
    def lease(self) -> Lease:
        assert self._lease is not None
        return self._lease

    @property
    def wakes_at(self) -> float | None:
        """When ``tick`` has something to do; ``None`` while only an event can change anything."""
        if self._lease is None or self.state is State.DONE:
            return None
        end = self._lease.stop_at if self.state is State.WORKING else self._lease.ends
        return end if self._renewing else min(self._renew_at, end)

    def claimed(self, sent: float, lease_s: float, token: Token, now: float) -> list[Action]:
        """The claim was accepted; it counts from ``sent``, the first sending."""
        self._lease = Lease(sent, lease_s)
        self._renew_at = self._lease.renew_at
        self.token = token
        if now >= self._lease.stop_at:
            return self._report(Released("the answer to the claim came when the lease was over"), now)
        self.state = State.WORKING
        return [Begin()]

    def refused(self, why: str) -> list[Action]:
        """The claim was refused: somebody else has the task."""
        return self._finish("refused", why)

    def tick(self, now: float) -> list[Action]:
        """Time has passed."""
        if self._lease is None or self.state is State.DONE:
            return []
        if self.state is State.WORKING and now >= self._lease.stop_at:
            return [Halt(), *self._finish("lost", "the lease could not be renewed")]
        if self.state is State.REPORTING and now >= self._lease.ends:
            return self._finish("lost", "the lease ended before the report was answered")
        if not self._renewing and now >= self._renew_at:
            self._renewing = True
            return [Renew()]
        return []

    def renewed(self, sent: float, lease_s: float) -> list[Action]:
        self._renewing = False
        self._renewal_tries = 0
        if self.state is not State.DONE:
            self.lease.extend(sent, lease_s)
            self._renew_at = self.lease.renew_at
        return []

    def not_renewed(self, error: BzzzError, now: float) -> list[Action]:
        """A renewal failed: asked again when there was no answer, the end of the work when it was refused."""
        self._renewing = False
        if self.state is State.DONE:
            return []
        if unanswered(error):
            self._renewal_tries += 1
            self._renew_at = now + _pause(self._renewal_tries)
            return []
        if self.state is State.REPORTING:
            # The report may have been counted already; its own answer decides.
            self._renew_at = self.lease.ends
            return []
        return [Halt(), *self._finish("lost", error.message)]

    def worked(self, outcome: Outcome, now: float) -> list[Action]:
        """The handler has ended."""
        if self.state is not State.WORKING:
            return []
        return self._report(outcome, now)

    def hand_back(self, why: str, now: float) -> list[Action]:
        """The agent stops: whatever is unfinished goes back."""
        if self.state is not State.WORKING:
            return []
        return [Halt(), *self._report(Released(why), now)]

    def answered(self) -> list[Action]:
        """The ledger has taken the report."""
        assert self.outcome is not None
        return self._finish(self.outcome.ending)

    def not_answered(self, error: BzzzError, now: float) -> list[Action]:
        """A report failed: sent again, changed into a failure, or given up."""
        if self.state is not State.REPORTING:
            return []
        assert self.outcome is not None
        if now >= self.lease.ends:
            return self._finish("lost", f"the lease ended before the report was answered ({error.message})")
        if unanswered(error):
            self._report_tries += 1
            return [Send(self.outcome, _pause(self._report_tries))]
        if isinstance(error, Conflict | NotFound):
            return self._finish("lost", error.message)
        if isinstance(self.outcome, Completed) or (isinstance(self.outcome, Failed) and self.outcome.product):
            return self._report(_refusal(self.outcome, error), now)
        return self._finish("lost", error.message)

    def _report(self, outcome: Outcome, now: float) -> list[Action]:
        self.state, self.outcome, self._report_tries = State.REPORTING, outcome, 0
        if now >= self.lease.ends:
            return self._finish("lost", "the lease was over when the work ended")
        return [Send(outcome)]

    def _finish(self, ending: str, why: str = "") -> list[Action]:
        self.state = State.DONE
        return [Finish(ending, why)]


def _refusal(outcome: Completed | Failed, error: BzzzError) -> Failed:
    """The report to send instead of one whose content the store does not take."""
    if isinstance(outcome, Failed):
        return Failed(outcome.reason, outcome.retryable)
    reason = "result_too_large" if isinstance(error, TooLarge) else "result_refused"
    return Failed(reason, not isinstance(error, BadInput | NotAllowed))


def _pause(tries: int) -> float:
    return float(min(_AGAIN_S * 2 ** min(tries - 1, 10), _AGAIN_MOST_S))
