"""Prompts through real nodes: a scripted agent asks, people answer, and every refusal leaves a line in the log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from bzzzd.crypto.keys import SigningKey
from bzzzd.slurp.asking import answer_params
from bzzzd.slurp.question import Action, Field, To, check_digest
from tests.integration.conftest import Node, nodes_in, wait_for
from tests.integration.prompting import Asking, answer, answer_of, see, settle, state_of
from tests.integration.sessions import Session, Watch, refusal
from tests.integration.test_mesh_tasks import mesh_of

LEASE_S = 20.0


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with nodes_in(tmp_path_factory.mktemp("asking")) as make:
        node = make(slurp={"lease_s": LEASE_S})
        node.start()
        yield node


@pytest.fixture
def alice(office: Node) -> Iterator[Session]:
    with office.person() as session:
        yield session


@pytest.fixture
def bob(office: Node) -> Iterator[Session]:
    with office.agent("bob", capabilities=("ask",), slots=50) as session:
        yield session


def asked(alice: Session, bob: Session, **question: Any) -> tuple[Asking, str]:
    asking = Asking(bob, alice.submit("tidy up", capability="ask"), **question)
    return asking, asking.ask()


def log_of(node: Node) -> list[str]:
    assert node.daemon is not None
    return node.daemon.text.splitlines()


def audited(node: Node, code: str, prompt: str) -> bool:
    return any(code in line and prompt in line and "refused" in line for line in log_of(node))


def test_a_question_is_asked_shown_answered_and_begun_once(alice: Session, bob: Session) -> None:
    watch = Watch(alice, "prompts")
    asking, prompt = asked(alice, bob)
    assert alice.state(asking.task) == "input_required"
    shown = alice.call("prompt.show", id=prompt)
    question = check_digest(shown["document"], shown["prompt"]["digest"])
    assert (question.title, question.action.args) == ("May I remove the build folder?", {"argv": ["rm", "-r", "build"]})
    assert shown["prompt"]["for_me"]
    assert shown["address"].endswith(f"/prompts/{prompt}")
    assert shown["header"]
    assert shown["chain"]
    see(alice, shown["prompt"])
    params = answer_of(alice, prompt)
    assert alice.call("prompt.answer", **params)["receipt"]["state"] == "entered"
    assert alice.call("prompt.answer", **params)["prompt"]["verdict"] == "approve"  # sent again, counted once
    assert asking.begin()["prompt"]["state"] == "claimed"
    assert alice.state(asking.task) == "working"
    assert asking.finish()["prompt"]["state"] == "executed"
    wait_for(
        "the stream", lambda: [i["kind"] for i in watch.look() if i["prompt"]["id"] == prompt][-1:] == ["executed"]
    )
    mine = [item for item in watch.seen if item["prompt"]["id"] == prompt]
    assert [item["kind"] for item in mine] == ["asked", "seen", "answered", "begun", "executed"]
    assert (mine[0]["prompt"]["title"], mine[0]["prompt"]["for_me"]) == (question.title, True)
    assert alice.steps(asking.task)[-5:] == [f"prompt_{item['kind']}" for item in mine]


def test_lists_tell_what_waits_for_whom(alice: Session, bob: Session) -> None:
    _, mine = asked(alice, bob)
    _, others = asked(alice, bob, to=To(people=("somebody-else",)))
    listed = {row["id"]: row for row in alice.call("prompt.list", live=True)["prompts"]}
    assert (listed[mine]["for_me"], listed[others]["for_me"]) == (True, False)
    assert listed[mine]["title"] == "May I remove the build folder?"
    waiting = [row["id"] for row in alice.call("prompt.list", for_me=True)["prompts"]]
    assert mine in waiting
    assert others not in waiting
    assert Watch(alice, "prompts").snapshot["prompts"]


def test_a_text_reaches_the_agent(alice: Session, bob: Session) -> None:
    asking, prompt = asked(alice, bob, kind="text", title="What shall it be called?")
    answer(alice, prompt, value="Zwölf 漢字")
    begun = asking.begin()
    assert begun["prompt"]["verdict"] == "value"
    assert begun["value"] == '"Zwölf 漢字"'.encode()
    assert alice.call("prompt.show", id=prompt)["values"] == {"alice": begun["value"]}


def test_each_answer_that_must_not_count_is_refused_with_its_code_and_a_line_in_the_log(
    office: Node, alice: Session, bob: Session
) -> None:
    def check(code: str, prompt: str, call: Any) -> None:
        assert refusal(call).code == code
        assert audited(office, code, prompt), code
        assert alice.call("prompt.show", id=prompt)["prompt"]["answers"] == before

    before: list[Any] = []
    _, others = asked(alice, bob, to=To(people=("somebody-else",)))
    check("PROMPT_NOT_ADDRESSED", others, lambda: answer(alice, others))
    asking, mine = asked(alice, bob, to=To(people=("alice", "bob"), roles=("worker",)))
    check("PROMPT_OWN_QUESTION", mine, lambda: answer(bob, mine))
    with office.agent("carol") as carol:
        check("PROMPT_NEEDS_PERSON", mine, lambda: answer(carol, mine))
    check("PROMPT_MISMATCH", mine, lambda: answer(alice, mine, digest="0" * 64))
    check("PROMPT_MISMATCH", mine, lambda: answer(alice, mine, digest=asked(alice, bob)[0].asked["digest"]))
    check("PROMPT_VALUE_CHANGED", mine, lambda: answer(alice, mine, "blue"))
    _, text = asked(alice, bob, kind="text")
    swapped = {**answer_of(alice, text, value="yes"), "content": b'"no"'}
    assert refusal(lambda: alice.call("prompt.answer", **swapped)).code == "INVALID_ENVELOPE"
    other = answer_of(alice, text, value="something else")
    mixed = {**answer_of(alice, text, value="yes"), "version": other["version"], "content": other["content"]}
    check("PROMPT_VALUE_CHANGED", text, lambda: alice.call("prompt.answer", **mixed))

    elsewhere = alice.writer()._replace(mesh_id="another-mesh")
    replayed = answer_params(
        elsewhere, prompt=mine, task=asking.task, digest=asking.asked["digest"], choice="approve", at=time.time()
    )
    assert refusal(lambda: alice.call("prompt.answer", **replayed)).code == "OTHER_MESH"

    stranger = alice.writer()._replace(key=SigningKey.generate())
    forged = answer_params(
        stranger, prompt=mine, task=asking.task, digest=asking.asked["digest"], choice="approve", at=time.time()
    )
    assert refusal(lambda: alice.call("prompt.answer", **forged)).code == "GRANT_REFUSED"
    with office.guest() as guest:  # in the group of the socket, without a person grant
        assert refusal(lambda: guest.call("prompt.answer", forged)).code == "PROMPT_NEEDS_PERSON"
        assert refusal(lambda: guest.call("prompt.answer", answer_of(alice, mine))).code == "PROMPT_NEEDS_PERSON"
    lines = "\n".join(log_of(office))
    for code in ("OTHER_MESH", "GRANT_REFUSED", "PROMPT_NEEDS_PERSON"):
        assert code in lines
    assert alice.call("prompt.show", id=mine)["prompt"]["answers"] == []
    answer(alice, mine)
    before = alice.call("prompt.show", id=mine)["prompt"]["answers"]
    check("PROMPT_ANSWERED", mine, lambda: answer(alice, mine, "deny"))
    changed = Action("command", {"argv": ["rm", "-r", "/"]}, asking.task)
    check("PROMPT_ACTION_CHANGED", mine, lambda: asking.begin(changed))
    assert asking.begin()["prompt"]["state"] == "claimed"


def test_a_question_says_what_the_ledger_is_told_or_is_not_asked(alice: Session, bob: Session) -> None:
    asking = Asking(bob, alice.submit("tidy up", capability="ask"))
    other = asking.question(title="Another one")
    assert refusal(lambda: bob.call("prompt.ask", **{**asking.params, "content": other["content"]})).code in (
        "PROMPT_MISMATCH",
        "INVALID_ENVELOPE",
    )
    assert refusal(lambda: bob.call("prompt.ask", **{**asking.params, "version": other["version"]})).code == (
        "INVALID_ENVELOPE"
    )
    asking.ask()


def test_a_question_without_an_answer_expires_to_no(alice: Session, bob: Session) -> None:
    asking, prompt = asked(alice, bob, expires=time.time() + 1.0, risk="high")
    late = answer_of(alice, prompt)
    wait_for("the time to be over", lambda: state_of(alice, prompt) == "expired")
    assert refusal(lambda: alice.call("prompt.answer", **late)).code == "PROMPT_EXPIRED"
    assert refusal(asking.begin).code == "PROMPT_EXPIRED"
    assert alice.call("prompt.show", id=prompt)["prompt"]["verdict"] == "deny"
    assert alice.state(asking.task) == "working"


def test_an_owner_takes_its_question_back(alice: Session, bob: Session) -> None:
    asking, prompt = asked(alice, bob)
    asking.withdraw()
    assert state_of(alice, prompt) == "canceled"
    assert alice.state(asking.task) == "working"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    with nodes_in(tmp_path_factory.mktemp("pair")) as make:
        yield mesh_of(make, 2)


def told(watch: Watch, prompt: str, kind: str) -> bool:
    """Whether the stream has told of it, or that everything is to be looked at anew, as after the first contact."""
    found = watch.look()
    return any(i["kind"] == "replaced" or (i["kind"], i["prompt"]["id"]) == (kind, prompt) for i in found)


def test_an_agent_of_one_node_asks_a_person_of_another(pair: list[Node]) -> None:
    """The ledger is on n1; the agent asks from n2 and alice answers on n1, then the other way round."""
    for here, there in (pair, pair[::-1]):
        with here.person() as alice, there.agent(f"far-{there.folder.name}", capabilities=("ask",)) as bob:
            watch, asks = Watch(alice, "prompts"), Watch(bob, "prompts")
            asking = Asking(bob, alice.submit("tidy up", capability="ask"), kind="text")
            prompt = asking.ask()
            wait_for("the question", lambda p=prompt, w=watch: told(w, p, "asked"))
            shown = alice.call("prompt.show", id=prompt)
            assert check_digest(shown["document"], shown["prompt"]["digest"]).title == "May I remove the build folder?"
            answer(alice, prompt, value="yes, please")
            wait_for("the answer", lambda p=prompt, w=asks: told(w, p, "answered"))
            assert asking.begin()["value"] == b'"yes, please"'
            asking.finish()
            wait_for("its end", lambda p=prompt, a=alice: state_of(a, p) == "executed")


def test_an_answer_waits_on_disk_while_the_coordinator_is_away_and_survives_this_node(pair: list[Node]) -> None:
    one, two = pair
    with one.person() as alice, one.agent("near", capabilities=("ask",)) as bob, two.person() as dora:
        _, prompt = asked(alice, bob, to=To(roles=("admin",)))
        wait_for("the question there", lambda: dora.call("prompt.show", id=prompt)["document"])
        params = answer_of(dora, prompt)
        assert one.daemon is not None
        one.daemon.kill()

        def kept() -> bool:
            return bool(dora.call("prompt.answer", **params)["receipt"]["state"] == "waiting")

        wait_for("the answer to be kept", kept)
        assert two.daemon is not None
        two.daemon.kill()
    two.start(ready=False)
    one.start(ready=False)
    one.wait_ready()
    two.wait_ready()
    with one.person() as alice, two.person() as dora:
        wait_for("the answer to arrive", lambda: state_of(alice, prompt) == "answered")

        def entered() -> bool:
            # The same bytes again are its receipt, once this node has heard that the other one entered them.
            return bool(dora.call("prompt.answer", **params)["receipt"]["state"] == "entered")

        wait_for("its receipt", entered)


def test_what_was_begun_by_an_agent_that_died_is_unknown_until_a_person_settles_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with nodes_in(tmp_path_factory.mktemp("dying")) as make:
        node = make(slurp={"lease_s": 1.0})
        node.start()
        with node.person() as alice:
            with node.agent("bob", capabilities=("ask",)) as bob:
                asking = Asking(bob, alice.submit("tidy up", capability="ask"))
                prompt = asking.ask()
                answer(alice, prompt)
                asking.begin()
            wait_for("the lease to end", lambda: state_of(alice, prompt) == "unknown")
            listed = alice.call("prompt.list", for_me=True)["prompts"]
            assert [row["id"] for row in listed] == [prompt]
            with node.agent("carol", capabilities=("ask",)) as carol:
                again = Asking(carol, asking.task)
                assert refusal(again.ask).code == "PROMPT_UNKNOWN"
            settled = settle(alice, listed[0], "executed")["prompt"]
            assert (settled["state"], settled["settled_by"]) == ("executed", "alice")
            assert alice.call("prompt.list", live=True)["prompts"] == []


def test_the_next_owner_takes_the_question_over(tmp_path_factory: pytest.TempPathFactory) -> None:
    with nodes_in(tmp_path_factory.mktemp("heirs")) as make:
        node = make(slurp={"lease_s": 1.0})
        node.start()
        with node.person() as alice:
            with node.agent("bob", capabilities=("ask",)) as bob:
                asking = Asking(bob, alice.submit("tidy up", capability="ask"))
                prompt = asking.ask()
            wait_for("the lease to end", lambda: alice.state(asking.task) == "submitted")
            answer(alice, prompt)
            with node.agent("carol", capabilities=("ask",)) as carol:
                heir = Asking(carol, asking.task)
                assert heir.ask() == prompt
                assert heir.asked["verdict"] == "approve"
                assert heir.begin()["prompt"]["state"] == "claimed"
                assert heir.finish()["prompt"]["state"] == "executed"


# A real agent.


def waiting_for(person: Session, task: str) -> Any:
    """The prompt of a task, once a person is asked."""

    def found() -> Any:
        rows = person.call("prompt.list", for_me=True, task=task)["prompts"]
        return rows[0] if rows else None

    return wait_for("the question", found)


def test_a_task_submitted_for_approval_is_asked_about_and_done_once_it_is_approved(pair: list[Node]) -> None:
    """The agent of n2 asks, the ledger is on n1, and the person answers there."""
    one, two = pair
    two.write_agent("asker")
    agent = two.start_agent("asker")
    argv = ["sh", "-c", "echo approved"]
    with one.person() as alice:
        task = alice.submit("say it", capability="run", args={"argv": argv}, approve=True)
        row = waiting_for(alice, task)
        assert alice.state(task) == "input_required"
        shown = alice.call("prompt.show", id=row["id"])
        question = check_digest(shown["document"], row["digest"])
        assert (question.action.op, question.action.args["argv"]) == ("command", argv)
        assert question.title == "May I begin “say it”?"
        answer(alice, row["id"])
        wait_for("the task to be done", lambda: alice.state(task) == "completed")
        assert b"approved" in alice.show(task)["decision"]["content"]
        assert state_of(alice, row["id"]) == "executed"
        steps = [step.removeprefix("prompt_") for step in alice.steps(task)]
        assert steps == ["submitted", "claimed", "asked", "answered", "begun", "executed", "completed"]

        refused = alice.submit("do not say it", capability="run", args={"argv": argv}, approve=True)
        answer(alice, waiting_for(alice, refused)["id"], "deny")
        wait_for("the task to end", lambda: alice.state(refused) == "failed")
        found = alice.show(refused)
        assert found["task"]["reason"] == "denied"
        assert (
            b"person-1 denied it" in found["explanation"]["content"]
            or b"alice denied it" in (found["explanation"]["content"])
        )
    assert agent.stop() == 0


def test_policy_says_which_acts_need_approval_and_of_whom(tmp_path_factory: pytest.TempPathFactory) -> None:
    with nodes_in(tmp_path_factory.mktemp("policy")) as make:
        node = make(slurp={"lease_s": 2.0})

        def strict(roles: Any) -> None:
            roles["roles"]["worker"]["act"] = ["answer"]
            roles["roles"]["worker"]["approve"] = ["command"]
            roles["approvals"] = {"command": {"by": ["admin"], "risk": "high", "expires_s": 2.5, "quorum": 1}}

        node.edit_roles(strict)
        node.write_agent()
        node.start()
        node.start_agent()
        with node.person() as alice:
            task = alice.submit("look", capability="run", args={"argv": ["true"]})
            row = waiting_for(alice, task)
            assert (row["risk"], row["to"]["roles"]) == ("high", ["admin"])
            wait_for("nobody to have answered", lambda: alice.state(task) == "failed")
            assert alice.show(task)["task"]["reason"] == "not_answered"
            assert alice.call("prompt.show", id=row["id"])["prompt"]["verdict"] == "deny"


def test_an_agent_killed_while_it_waits_is_followed_by_one_that_takes_the_answer(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with nodes_in(tmp_path_factory.mktemp("succession")) as make:
        node = make(slurp={"lease_s": 1.0})
        node.write_agent("first")
        node.start()
        first = node.start_agent("first")
        with node.person() as alice:
            task = alice.submit("once", capability="run", args={"argv": ["true"]}, approve=True)
            row = waiting_for(alice, task)
            first.kill()
            answer(alice, row["id"])
            node.write_agent("second")
            node.start_agent("second")
            wait_for("the task to be done", lambda: alice.state(task) == "completed")
            found = alice.call("prompt.list", task=task)["prompts"]
            assert [(one["id"], one["state"], one["claimed_by"]) for one in found] == [
                (row["id"], "executed", "second")
            ]


# The command line.


def test_the_command_line_lists_shows_and_answers(office: Node, alice: Session, bob: Session) -> None:
    _, prompt = asked(alice, bob)
    listed = {row["id"]: row for row in office.json("prompt", "list", "--mine")["prompts"]}
    assert listed[prompt]["for_me"]
    shown = office.bzzz("prompt", "show", prompt).stdout.decode()
    assert "May I remove the build folder?" in shown
    assert '"build"' in shown
    assert office.json("prompt", "answer", prompt, "--choice", "approve")["receipt"]["state"] == "entered"
    assert state_of(alice, prompt) == "answered"
    again = office.bzzz("prompt", "answer", prompt, "--choice", "deny")
    assert (again.returncode, b"PROMPT_ANSWERED" in again.stderr) == (3, True)


def test_high_risk_takes_the_first_digits_of_the_digest(office: Node, alice: Session, bob: Session) -> None:
    asking, prompt = asked(alice, bob, risk="high")
    digits = asking.asked["digest"][:8]
    for yes in ((), ("--yes", "00000000"), ("--yes", digits[:7])):
        refused = office.bzzz("prompt", "answer", prompt, "--choice", "approve", *yes)
        assert (refused.returncode, b"high risk" in refused.stderr) == (2, True)
    office.json("prompt", "answer", prompt, "--choice", "approve", "--yes", digits)
    assert state_of(alice, prompt) == "answered"


def test_texts_and_forms_are_answered_from_the_command_line(office: Node, alice: Session, bob: Session) -> None:
    asking, prompt = asked(alice, bob, kind="text")
    assert office.bzzz("prompt", "answer", prompt, "--field", "a=b").returncode == 2
    office.json("prompt", "answer", prompt, "--text", "blue")
    assert asking.begin()["value"] == b'"blue"'
    fields = (Field("place", "Where to"), Field("count", "How many", "number", required=False))
    asking, prompt = asked(alice, bob, kind="form", form=fields)
    assert office.bzzz("prompt", "answer", prompt, "--field", "count=3").returncode == 3
    office.json("prompt", "answer", prompt, "--field", "place=here", "count=3")
    assert asking.begin()["value"] == b'{"count": "3", "place": "here"}'


def test_a_revoked_persons_answer_counts_neither_before_it_is_begun_nor_afterwards(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with nodes_in(tmp_path_factory.mktemp("revoked")) as make:
        one, two = mesh_of(make, 2)
        with one.person() as alice, one.agent("bob", capabilities=("ask",)) as bob:
            asking, prompt = asked(alice, bob)
            with two.person() as dora:
                answer(dora, prompt)
                other, second = asked(alice, bob)
                late = answer_of(dora, second)
            assert state_of(alice, prompt) == "answered"
            done = one.bzzz("mesh", "revoke", two.person_id)
            assert done.returncode == 0, done.stderr
            begun = asking.begin()["prompt"]
            assert (begun["state"], begun["answers"], begun["reason"]) == ("seen", [], "answer_void")
            # Whoever brings it: the author's own grant decides.
            assert refusal(lambda: alice.call("prompt.answer", **late)).code == "GRANT_REFUSED"
            assert any("GRANT_REFUSED" in line and "prompt answer refused" in line for line in log_of(one))
            answer(alice, prompt)
            assert asking.begin()["prompt"]["state"] == "claimed"
            other.withdraw()
