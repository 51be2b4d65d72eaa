import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bzzzd.agent.handlers.base import Product
from bzzzd.agent.work import (
    Begin,
    Completed,
    Failed,
    Finish,
    Halt,
    Released,
    Renew,
    Send,
    State,
    Work,
    outcome_of,
    outcome_of_error,
    unanswered,
)
from bzzzd.errors import (
    BadInput,
    BzzzError,
    CircuitOpen,
    ClientTooOld,
    FinalState,
    InvalidEnvelope,
    ModelFailed,
    NotReady,
    StaleToken,
    TooLarge,
    UnknownOutcome,
    Unreachable,
)

TOKEN = (1, 7)
RESULT = Completed(Product(b"result"))
LOST_ANSWER = UnknownOutcome("no answer")


def working(sent: float = 100.0, lease_s: float = 30.0) -> Work:
    work = Work("t-1")
    assert work.claimed(sent, lease_s, TOKEN, sent + 0.1) == [Begin()]
    return work


def test_a_task_is_claimed_worked_on_and_reported() -> None:
    work = working()
    assert work.token == TOKEN
    assert work.worked(RESULT, 101.0) == [Send(RESULT)]
    assert work.answered() == [Finish("completed")]
    assert work.state is State.DONE
    assert work.wakes_at is None


def test_a_refused_claim_ends_it() -> None:
    assert Work("t-1").refused("held by another") == [Finish("refused", "held by another")]


def test_a_claim_whose_answer_came_too_late_is_handed_back() -> None:
    work = Work("t-1")
    (send,) = work.claimed(100.0, 30.0, TOKEN, 128.0)
    assert isinstance(send, Send)
    assert isinstance(send.outcome, Released)


def test_the_lease_is_renewed_a_third_of_the_way_and_counts_from_the_sending() -> None:
    work = working()
    assert work.wakes_at == 110.0
    assert work.tick(109.9) == []
    assert work.tick(110.0) == [Renew()]
    assert work.tick(111.0) == []
    work.renewed(sent=110.0, lease_s=30.0)
    assert (work.lease.ends, work.wakes_at) == (140.0, 120.0)


def test_an_unanswered_renewal_is_asked_again_until_the_margin() -> None:
    work = working()
    assert work.tick(110.0) == [Renew()]
    assert work.not_renewed(Unreachable("bzzzd is away"), 110.5) == []
    assert work.wakes_at == pytest.approx(110.6)
    assert work.tick(110.6) == [Renew()]
    work.not_renewed(LOST_ANSWER, 111.0)
    assert work.wakes_at == pytest.approx(111.2)
    halt, finish = work.tick(127.0)
    assert (halt, isinstance(finish, Finish) and finish.ending) == (Halt(), "lost")
    assert work.worked(RESULT, 127.1) == []


def test_a_renewal_on_its_way_does_not_put_off_the_margin() -> None:
    work = working()
    work.tick(110.0)
    assert work.wakes_at == 127.0
    assert work.tick(127.0)[0] == Halt()


@pytest.mark.parametrize("error", [StaleToken("moved on"), FinalState("canceled"), InvalidEnvelope("wrong")])
def test_a_refused_renewal_stops_the_work_at_once(error: BzzzError) -> None:
    work = working()
    work.tick(110.0)
    assert work.not_renewed(error, 110.1) == [Halt(), Finish("lost", error.message)]


def test_a_refused_renewal_while_reporting_leaves_the_word_to_the_report() -> None:
    work = working()
    work.tick(110.0)
    work.worked(RESULT, 110.1)
    assert work.not_renewed(FinalState("completed already"), 110.2) == []
    assert work.answered() == [Finish("completed")]


def test_an_unanswered_report_is_sent_again_until_the_lease_is_over() -> None:
    work = working()
    work.worked(RESULT, 101.0)
    assert work.not_answered(LOST_ANSWER, 102.0) == [Send(RESULT, 0.1)]
    assert work.not_answered(NotReady("starting"), 103.0) == [Send(RESULT, 0.2)]
    (finish,) = work.not_answered(LOST_ANSWER, 130.0)
    assert isinstance(finish, Finish)
    assert finish.ending == "lost"


def test_a_report_that_hangs_is_given_up_when_the_lease_is_over() -> None:
    work = working()
    work.worked(RESULT, 101.0)
    work.tick(110.0)
    assert work.tick(127.5) == []
    (finish,) = work.tick(130.0)
    assert isinstance(finish, Finish)
    assert finish.ending == "lost"
    assert work.not_answered(LOST_ANSWER, 131.0) == []


def test_a_report_is_renewed_meanwhile() -> None:
    work = working()
    work.worked(RESULT, 101.0)
    assert work.tick(110.0) == [Renew()]
    work.renewed(110.0, 30.0)
    assert work.lease.ends == 140.0


def test_a_stale_report_is_lost_and_not_repeated() -> None:
    work = working()
    work.worked(RESULT, 101.0)
    assert work.not_answered(StaleToken("moved on"), 102.0) == [Finish("lost", "moved on")]


def test_a_result_that_the_store_refuses_becomes_a_failure() -> None:
    work = working()
    work.worked(RESULT, 101.0)
    assert work.not_answered(TooLarge("over the limit"), 102.0) == [Send(Failed("result_too_large", False))]
    assert work.not_answered(InvalidEnvelope("wrong"), 102.1) == [Finish("lost", "wrong")]
    other = working()
    other.worked(Failed("model_failed", True, Product(b"why")), 101.0)
    assert other.not_answered(TooLarge("over the limit"), 102.0) == [Send(Failed("model_failed", True))]


def test_work_that_ends_after_the_lease_reports_nothing() -> None:
    """A frozen agent comes back to a finished handler before its own timer has fired."""
    work = working()
    assert work.worked(RESULT, 130.0) == [Finish("lost", "the lease was over when the work ended")]


def test_stopping_hands_back_what_is_unfinished_and_lets_a_report_end() -> None:
    work = working()
    halt, send = work.hand_back("the agent stops", 101.0)
    assert (halt, isinstance(send, Send) and send.outcome) == (Halt(), Released("the agent stops"))
    assert work.answered() == [Finish("released")]
    reporting = working()
    reporting.worked(RESULT, 101.0)
    assert reporting.hand_back("the agent stops", 101.1) == []


def test_what_a_handlers_error_means() -> None:
    assert outcome_of_error(BadInput("no argv")) == Failed("bad_input", False, Product(b"no argv", "text/plain"))
    assert outcome_of_error(ModelFailed("slow")) == Failed("model_failed", True, Product(b"slow", "text/plain"))
    assert outcome_of_error(CircuitOpen("left alone")) == Released("left alone")
    crashed = outcome_of_error(ValueError("secret words"))
    assert isinstance(crashed, Failed)
    assert (crashed.reason, crashed.retryable) == ("handler_crashed", True)
    assert crashed.product is not None
    assert b"secret" not in crashed.product.content


def test_a_product_may_be_a_failure() -> None:
    product = Product(b"{}", failure="time_limit")
    assert outcome_of(product) == Failed("time_limit", False, product)
    assert outcome_of(Product(b"x")) == Completed(Product(b"x"))


def test_only_silence_is_worth_asking_again() -> None:
    assert unanswered(LOST_ANSWER)
    assert unanswered(Unreachable("away"))
    assert unanswered(NotReady("starting"))
    assert not unanswered(StaleToken("old"))
    assert not unanswered(ClientTooOld("upgrade"))


class Life(RuleBasedStateMachine):
    """Any order of events: one report at most is under way, none after the end, none without a lease."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.work = Work("t-1")
        self.running = False
        self.reports = 0
        self.finished = 0

    def take(self, actions: list[object]) -> None:
        for action in actions:
            match action:
                case Begin():
                    assert not self.running
                    assert self.now < self.work.lease.stop_at
                    self.running = True
                case Halt():
                    assert self.running
                    self.running = False
                case Send():
                    assert not self.running
                    assert self.now < self.work.lease.ends
                    self.reports += 1
                case Finish():
                    self.finished += 1
                    assert not self.running
        assert self.reports <= 1

    @precondition(lambda self: self.work.state is State.CLAIMING)
    @rule(lease_s=st.floats(0.5, 60), late=st.floats(0, 90))
    def claimed(self, lease_s: float, late: float) -> None:
        sent, self.now = self.now, self.now + late
        if self.now < sent + lease_s:
            self.take(self.work.claimed(sent, lease_s, TOKEN, self.now))

    @rule(seconds=st.floats(0, 40))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.take(self.work.tick(self.now))

    @precondition(lambda self: self.work._renewing)
    @rule(ok=st.booleans(), error=st.sampled_from([LOST_ANSWER, StaleToken("x"), NotReady("x")]), slow=st.floats(0, 5))
    def renewal_ends(self, ok: bool, error: BzzzError, slow: float) -> None:
        sent, self.now = self.now, self.now + slow
        if ok:
            self.take(self.work.renewed(sent, 30.0))
        else:
            self.take(self.work.not_renewed(error, self.now))

    @precondition(lambda self: self.running)
    @rule()
    def handler_ends(self) -> None:
        self.running = False
        self.take(self.work.worked(RESULT, self.now))

    @rule()
    def agent_stops(self) -> None:
        self.take(self.work.hand_back("stop", self.now))

    @precondition(lambda self: self.reports == 1)
    @rule(error=st.sampled_from([None, LOST_ANSWER, StaleToken("x"), TooLarge("x"), BadInput("x"), NotReady("x")]))
    def report_ends(self, error: BzzzError | None) -> None:
        self.reports = 0
        if self.work.state is State.REPORTING:
            self.take(self.work.answered() if error is None else self.work.not_answered(error, self.now))

    @invariant()
    def it_ends_once_and_then_asks_for_nothing(self) -> None:
        assert self.finished <= 1
        assert (self.work.state is State.DONE) == (self.finished == 1)
        if self.finished:
            assert self.work.wakes_at is None
            assert self.work.tick(self.now + 1000) == []


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
