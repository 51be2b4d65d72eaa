"""Prompts under everything that can happen in any order: begun once, with valid answers, and never forgotten."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bzzzd.errors import BzzzError
from bzzzd.slurp import promptrows, query, sqlite
from bzzzd.slurp.ledger import LedgerEvent, Outcome
from bzzzd.slurp.prompt import Prompt
from bzzzd.slurp.question import Later, To

from .kit import Clock, Maker, Member, agent, atomically, connect, person, raw_of, rules

FINAL = {"executed", "failed", "expired", "canceled", "superseded"}
PEOPLE = {name: person(name) for name in ("alice", "dora", "mallory")}
AGENTS = {name: agent(name) for name in ("bob", "carol")}
ACTIONS = ("1" * 64, "2" * 64)


class PromptMachine(RuleBasedStateMachine):
    """One task, two agents, three people of whom one is revoked now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.conn, self.clock = connect(), Clock()
        self.maker = Maker(self.clock)
        self.revoked: set[str] = set()
        self.rules = rules(lease_s=30.0, holds=lambda reply: reply.by not in self.revoked)
        self.prompts: dict[str, Prompt] = {}
        self.begun: dict[str, int] = {}
        self.numbers = 0
        self.token: Any = (0, 0)
        self.task = "t-0"
        self.renew_task()

    def teardown(self) -> None:
        self.conn.close()

    def renew_task(self) -> None:
        self.numbers += 1
        self.task = f"t-{self.numbers}"
        self.run(PEOPLE["alice"], "submit")

    def run(self, who: Member, op: str, token: Any = None, **fields: Any) -> Outcome | None:
        command = self.maker.command(op, self.task, token, **fields)
        raw, clock = raw_of(who, command), self.clock()
        try:
            outcome = atomically(
                self.conn, lambda conn: sqlite.execute(conn, self.rules, who.author, command, raw, clock)
            )
        except BzzzError:
            return None
        self.watch(outcome.events)
        again = atomically(self.conn, lambda conn: sqlite.execute(conn, self.rules, who.author, command, raw, clock))
        assert again.repeated
        assert again.prompt == outcome.prompt
        return outcome

    def watch(self, events: tuple[LedgerEvent, ...]) -> None:
        for event in events:
            if event.prompt is None:
                continue
            prompt, before = event.prompt, self.prompts.get(event.prompt.id)
            self.prompts[prompt.id] = prompt
            assert (before is None) == (event.kind == "prompt_asked")
            if before is not None:
                assert before.state not in FINAL or before == prompt or event.kind == "prompt_adopted"
            if event.kind == "prompt_begun":
                self.begun[prompt.id] = self.begun.get(prompt.id, 0) + 1
                assert before is not None
                assert before.state == "answered"
                good = [reply for reply in prompt.replies if reply.choice == "approve"]
                assert len(good) >= prompt.quorum
                assert all(reply.by not in self.revoked for reply in good)
                assert self.clock.wall < prompt.expires
            if event.kind == "prompt_expired":
                assert prompt.verdict == "deny"
            if event.kind == "prompt_unknown":
                assert before is not None
                assert before.state == "claimed"

    @rule(who=st.sampled_from(sorted(AGENTS)))
    def claim(self, who: str) -> None:
        outcome = self.run(AGENTS[who], "claim")
        if outcome is not None:
            self.token = outcome.task.token

    @rule(who=st.sampled_from(sorted(AGENTS)), action=st.sampled_from(ACTIONS), quorum=st.integers(1, 2),
          life=st.floats(1, 100), instead=st.booleans())  # fmt: skip
    def ask(self, who: str, action: str, quorum: int, life: float, instead: bool) -> None:
        self.numbers += 1
        live = [prompt.id for _, prompt in self.live()]
        self.run(
            AGENTS[who], "ask", self.token, prompt=f"p-{self.numbers}", action=action, quorum=quorum,
            expires=self.clock.wall + life, supersedes=live[0] if instead and live else None,
            escalation=(Later(life / 2, To(people=("zoe",))),),
        )  # fmt: skip

    def live(self) -> list[Any]:
        row = self.conn.execute("SELECT seq FROM slurp_tasks WHERE id = ?", (self.task,)).fetchone()
        return promptrows.live_of(self.conn, row[0])

    @rule(who=st.sampled_from(sorted(PEOPLE)), choice=st.sampled_from(("approve", "approve", "deny")), data=st.data())
    def answer(self, who: str, choice: str, data: st.DataObject) -> None:
        if self.prompts:
            named = data.draw(st.sampled_from(sorted(self.prompts)))
            self.run(PEOPLE[who], "answer", prompt=named, choice=choice)

    @rule(who=st.sampled_from(sorted(AGENTS)), action=st.sampled_from(ACTIONS), data=st.data())
    def begin(self, who: str, action: str, data: st.DataObject) -> None:
        if self.prompts:
            named = data.draw(st.sampled_from(sorted(self.prompts)))
            outcome = self.run(AGENTS[who], "begin", self.token, prompt=named, action=action)
            if outcome is not None and outcome.prompt is not None and outcome.prompt.state == "claimed":
                assert outcome.prompt.action == action
                assert outcome.task.agent == who

    @rule(op=st.sampled_from(("finish", "withdraw", "settle", "seen")), who=st.sampled_from(sorted({*AGENTS, *PEOPLE})),
          data=st.data())  # fmt: skip
    def other(self, op: str, who: str, data: st.DataObject) -> None:
        if self.prompts:
            named = data.draw(st.sampled_from(sorted(self.prompts)))
            member = AGENTS.get(who) or PEOPLE[who]
            token = self.token if op == "finish" or (op == "withdraw" and who in AGENTS) else None
            self.run(member, op, token, prompt=named)

    @rule(op=st.sampled_from(("release", "complete", "fail", "cancel")), who=st.sampled_from(sorted(AGENTS)))
    def end(self, op: str, who: str) -> None:
        if op == "cancel":
            self.run(PEOPLE["alice"], "cancel")
        else:
            self.run(AGENTS[who], op, self.token)
        if query.show(self.conn, self.task).state in ("completed", "failed", "canceled"):
            self.renew_task()

    @rule(back=st.booleans())
    def revoke(self, back: bool) -> None:
        self.revoked = set() if back else {"mallory"}

    @rule(seconds=st.floats(0, 60))
    def time_passes(self, seconds: float) -> None:
        end = self.clock.boot + seconds
        while (found := sqlite.next_deadline(self.conn, self.clock())) is not None and found <= end:
            self.clock.go(max(0.0, found - self.clock.boot) + 0.001)
            clock = self.clock()
            self.watch(atomically(self.conn, lambda conn: sqlite.expire(conn, self.rules, clock)).events)  # noqa: B023
        self.clock.go(max(0.0, end - self.clock.boot))
        if query.show(self.conn, self.task).state == "failed":
            self.renew_task()

    @rule()
    def promote(self) -> None:
        clock = self.clock()
        self.watch(atomically(self.conn, lambda conn: sqlite.promote(conn, clock)))

    @invariant()
    def every_prompt_is_kept_as_its_last_entry_left_it_and_begun_once_at_most(self) -> None:
        kept = {prompt.id: prompt for prompt in query.list_prompts(self.conn, limit=1000).prompts}
        assert kept == self.prompts
        assert all(count == 1 for count in self.begun.values())
        for prompt in kept.values():
            task = query.show(self.conn, prompt.task)
            if prompt.state == "claimed":
                assert task.token == prompt.token, "claimed and nobody holds the task"
            if task.state in ("completed", "failed", "canceled"):
                assert not prompt.pending

    @invariant()
    def a_task_waits_only_while_something_is_asked(self) -> None:
        if query.show(self.conn, self.task).state == "input_required":
            assert any(prompt.pending or prompt.denied for prompt in self.prompts.values() if prompt.task == self.task)


TestPromptMachine = PromptMachine.TestCase
TestPromptMachine.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)  # fmt: skip
