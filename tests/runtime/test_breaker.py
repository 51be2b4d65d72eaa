import asyncio
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bzzzd.errors import CircuitOpen, NotFound
from bzzzd.runtime.breaker import Circuit, CircuitBreaker


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker("model", clock=clock, max_failures=3, open_s=10, half_open_trials=2)


def _succeed(breaker: CircuitBreaker) -> None:
    with breaker.calling():
        pass


def _break(breaker: CircuitBreaker, times: int = 3) -> None:
    for _ in range(times):
        with pytest.raises(ConnectionError), breaker.calling():
            raise ConnectionError("refused")


def test_failures_in_a_row_open_it(breaker: CircuitBreaker) -> None:
    _break(breaker, 2)
    assert breaker.state is Circuit.CLOSED
    _break(breaker, 1)
    assert breaker.state is Circuit.OPEN
    with pytest.raises(CircuitOpen, match=r"model failed 3 times in a row .* try again in 10\.0 s") as caught:
        _succeed(breaker)
    assert caught.value.data == {"service": "model", "retry_after_s": 10.0}


def test_a_success_between_failures_starts_the_count_again(breaker: CircuitBreaker) -> None:
    _break(breaker, 2)
    _succeed(breaker)
    _break(breaker, 2)
    assert breaker.state is Circuit.CLOSED


def test_after_its_time_it_lets_a_limited_number_of_trials_through(breaker: CircuitBreaker, clock: Clock) -> None:
    _break(breaker)
    clock.now = 10.0
    assert breaker.state is Circuit.HALF_OPEN
    breaker.enter()
    breaker.enter()
    with pytest.raises(CircuitOpen, match="when the trial under way has ended"):
        breaker.enter()


def test_enough_good_trials_close_it(breaker: CircuitBreaker, clock: Clock) -> None:
    _break(breaker)
    clock.now = 10.0
    _succeed(breaker)
    assert breaker.state is Circuit.HALF_OPEN
    _succeed(breaker)
    assert breaker.state is Circuit.CLOSED


def test_one_bad_trial_opens_it_for_the_whole_time_again(breaker: CircuitBreaker, clock: Clock) -> None:
    _break(breaker)
    clock.now = 12.0
    _break(breaker, 1)
    assert breaker.state is Circuit.OPEN
    assert breaker.retry_after_s == 10.0
    assert breaker.opened == 2


def test_a_late_answer_from_before_the_opening_changes_nothing(breaker: CircuitBreaker, clock: Clock) -> None:
    slow = breaker.enter()
    _break(breaker)
    breaker.leave(slow, True)
    assert breaker.state is Circuit.OPEN
    clock.now = 10.0
    trial = breaker.enter()
    breaker.leave(slow, False)
    assert breaker.state is Circuit.HALF_OPEN
    breaker.leave(trial, True)


def test_errors_that_are_not_the_services_fault_do_not_count(clock: Clock) -> None:
    breaker = CircuitBreaker("store", clock=clock, max_failures=1, counts=lambda error: not isinstance(error, NotFound))

    for _ in range(3):
        with pytest.raises(NotFound), breaker.calling():
            raise NotFound("no such version")
    assert breaker.state is Circuit.CLOSED


async def test_a_cancelled_trial_gives_its_place_back(breaker: CircuitBreaker, clock: Clock) -> None:
    async def wait() -> None:
        with breaker.calling():
            await asyncio.Event().wait()

    _break(breaker)
    clock.now = 10.0
    for _ in range(5):
        trial = asyncio.create_task(wait())
        await asyncio.sleep(0)
        trial.cancel()
        await asyncio.wait([trial])
    assert breaker.state is Circuit.HALF_OPEN
    breaker.enter()


@pytest.mark.parametrize("wrong", [{"max_failures": 0}, {"half_open_trials": 0}, {"open_s": 0.0}])
def test_senseless_numbers_are_refused(clock: Clock, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="a breaker needs"):
        CircuitBreaker("x", clock=clock, **wrong)


class BreakerMachine(RuleBasedStateMachine):
    """Calls begin, end and overlap in any order while time passes; the rules of the docstring hold throughout."""

    @initialize(failures=st.integers(1, 4), trials=st.integers(1, 3), open_s=st.integers(1, 20))
    def make(self, failures: int, trials: int, open_s: int) -> None:
        self.clock = Clock()
        self.max_failures, self.trials, self.open_s = failures, trials, float(open_s)
        self.breaker = CircuitBreaker(
            "machine", clock=self.clock, max_failures=failures, open_s=open_s, half_open_trials=trials
        )
        self.pending: list[tuple[int, Circuit]] = []
        self.opened_at: float | None = None

    @rule(seconds=st.integers(0, 15))
    def time_passes(self, seconds: int) -> None:
        self.clock.now += seconds

    @rule()
    def begin(self) -> None:
        before = self.breaker.state
        if before is Circuit.OPEN:
            with pytest.raises(CircuitOpen) as refused:
                self.breaker.enter()
            assert 0 < refused.value.data["retry_after_s"] <= self.open_s
            return
        try:
            self.pending.append((self.breaker.enter(), before))
        except CircuitOpen:
            assert before is Circuit.HALF_OPEN

    @precondition(lambda self: self.pending)
    @rule(which=st.integers(0, 1000), ok=st.sampled_from([True, False, None]))
    def end(self, which: int, ok: bool | None) -> None:
        permit, _ = self.pending.pop(which % len(self.pending))
        before, opened = self.breaker.state, self.breaker.opened
        self.breaker.leave(permit, ok)
        after = self.breaker.state
        if ok is None:
            assert after is before
        if self.breaker.opened > opened:
            assert ok is False
            assert before is not Circuit.OPEN
            assert after is Circuit.OPEN
            self.opened_at = self.clock.now
        if before is Circuit.OPEN:
            assert after is Circuit.OPEN
        if before is Circuit.HALF_OPEN and after is Circuit.CLOSED:
            assert ok is True

    @invariant()
    def open_lasts_exactly_its_time(self) -> None:
        if self.opened_at is None or self.breaker.state is not Circuit.OPEN:
            return
        assert self.clock.now < self.opened_at + self.open_s

    @invariant()
    def trials_under_way_are_limited(self) -> None:
        if self.breaker.state is Circuit.HALF_OPEN and self.pending:
            newest = max(permit for permit, _ in self.pending)
            trials = [1 for permit, state in self.pending if permit == newest and state is Circuit.HALF_OPEN]
            assert len(trials) <= self.trials


TestBreakerMachine: Callable[[], None] = BreakerMachine.TestCase
BreakerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
