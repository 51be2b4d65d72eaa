"""Threads between real processes: on one node, across nodes, for those who may read and those who may not."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from bzzzd.crypto.envelope import seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.hmmm.message import CONTENT_TYPE, Text, new_thread_id, post_params, thread_address
from tests.integration.conftest import Node, wait_for
from tests.integration.sessions import Session, Watch, refusal

pytestmark = pytest.mark.integration


def params(
    session: Session, thread: str, text: str, kind: str = "question", *, readers: Sequence[str] = (),
    at: float | None = None, **wanted: Any,
) -> dict[str, Any]:  # fmt: skip
    """The parameters of ``hmmm.post``; fields of ``Text`` may be among ``wanted``."""
    hidden = {name: wanted.pop(name) for name in ("subject", "refs", "to", "reason") if name in wanted}
    asked = session.call(
        "context.prepare", address=thread_address(session.id, session.role, "default", thread, "x"),
        content_type=CONTENT_TYPE,
    )  # fmt: skip
    _, found = post_params(
        session.writer(), Text(text=text, **hidden), thread=thread, kind=kind, readers=readers or asked["readers"],
        at=time.time() if at is None else at, **wanted,
    )  # fmt: skip
    return found


def post(session: Session, thread: str, text: str, kind: str = "question", **wanted: Any) -> dict[str, Any]:
    found: dict[str, Any] = session.call("hmmm.post", **params(session, thread, text, kind, **wanted))["message"]
    return found


def said(session: Session, thread: str) -> list[tuple[str, str | None]]:
    """By whom and what, as this session may see it."""
    found = session.call("hmmm.show", thread=thread, limit=1000)
    return [(message["by"]["id"], message["text"]) for message in found["messages"]]


def test_a_thread_on_one_node_from_the_first_word_to_its_summary(node: Node) -> None:
    with node.person() as alice, node.agent("bob") as bob, node.agent("eve", role="observer") as eve:
        watch, blind = Watch(alice, "hmmm"), Watch(eve, "hmmm")
        task = alice.submit("mend the roof", capability="nothing")
        plan = post(bob, task, "I would begin at the ridge.", "proposal", window_s=60.0, subject="The roof",
                    to=("alice",), refs=("ucxl://alice:admin@default:x/*^/",))  # fmt: skip
        assert (plan["standing"], plan["hops"], plan["readable"]) == ("running", 0, True)
        (row,) = alice.call("hmmm.list")["threads"]
        assert (row["id"], row["task"], row["subject"], row["state"]) == (task, task, "The roof", "closing")
        assert (row["for_me"], row["count"], row["last_by"]) == (True, 1, "bob")
        no = post(alice, task, "Not in the rain.", "objection", reply_to=plan["id"])
        found = bob.call("hmmm.show", thread=task)
        assert found["messages"][0]["standing"] == "objected"
        assert found["messages"][0]["objections"] == [no["id"]]
        assert found["messages"][1]["text"] == "Not in the rain."
        post(alice, task, "It has stopped.", "agreement", reply_to=no["id"])
        post(bob, task, "The ridge is done.", "summary")
        assert [one["message"]["kind"] for one in wait_for("the stream", lambda: four(watch))] == [
            "proposal", "objection", "agreement", "summary",
        ]  # fmt: skip
        assert watch.seen[0]["message"]["text"] == "I would begin at the ridge."
        assert watch.seen[0]["thread"]["for_me"]
        assert alice.call("hmmm.list", open=True)["threads"] == []
        assert refusal(lambda: post(alice, task, "And now?")).code == "THREAD_CLOSED"
        # Who may not read the texts sees what is visible, and nothing else.
        assert said(eve, task) == [("bob", None), ("alice", None), ("alice", None), ("bob", None)]
        assert eve.call("hmmm.list")["threads"][0]["subject"] is None
        assert all(one["message"]["text"] is None for one in wait_for("the stream", lambda: four(blind)))
        assert "ridge" not in str(blind.seen)
        assert refusal(lambda: post(eve, task, "Let me say …")).code == "NOT_ALLOWED"


def four(watch: Watch) -> list[Any]:
    return watch.seen if len(watch.look()) >= 4 else []


def test_what_does_not_hold_is_refused_with_its_code(node: Node) -> None:
    with node.person() as alice, node.agent("bob") as bob, node.agent("carol") as carol:
        thread = new_thread_id(time.time())
        first = params(alice, thread, "Who begins?")
        done = alice.call("hmmm.post", **first)["message"]
        assert alice.call("hmmm.post", **first)["message"]["id"] == done["id"]
        assert len(said(alice, thread)) == 1

        def code(session: Session, **changed: Any) -> str:
            made = params(session, thread, "Something else.")
            return refusal(lambda: session.call("hmmm.post", **{**made, **changed})).code

        forged = bytearray(params(alice, thread, "x")["envelope"])
        forged[-1] ^= 1
        assert code(alice, envelope=bytes(forged)) == "INVALID_ENVELOPE"
        assert code(bob, envelope=params(alice, thread, "x")["envelope"]) == "NOT_ALLOWED"
        assert code(alice, version=first["version"], content=first["content"]) == "INVALID_ENVELOPE"
        assert code(alice, content=b"x" * 300_000) == "TOO_LARGE"
        assert code(alice, content=b"not a text") == "BAD_INPUT"
        strange = seal(SigningKey.generate(), "hmmm", alice.mesh_id, b"")
        assert code(alice, envelope=strange) == "INVALID_ENVELOPE"
        old = refusal(lambda: alice.call("hmmm.post", **params(alice, thread, "x", at=time.time() - 900)))
        assert old.code == "INVALID_ENVELOPE"
        ahead = refusal(lambda: alice.call("hmmm.post", **params(alice, thread, "x", at=time.time() + 900)))
        assert ahead.code == "INVALID_ENVELOPE"
        assert refusal(lambda: post(alice, "t-nothing", "Hello?")).code == "NOT_FOUND"
        assert refusal(lambda: post(alice, thread, "x", reply_to="h-" + "0" * 26)).code == "NOT_FOUND"
        narrow = refusal(lambda: post(alice, thread, "x", readers=("observer",)))
        assert narrow.code == "NOT_ALLOWED"
        plan = post(bob, thread, "I do.", "proposal")
        assert refusal(lambda: post(carol, thread, "No.", "objection", reply_to=plan["id"])).code == "WINDOW_CLOSED"
        for _ in range(6):
            for session in (carol, bob):
                plan = post(session, thread, "After you.", "answer", reply_to=plan["id"])
        again = refusal(lambda: post(carol, thread, "After you.", "answer", reply_to=plan["id"]))
        assert again.code == "HOP_LIMIT"
        word = post(alice, thread, "Bob begins.", "answer", reply_to=plan["id"])
        assert post(carol, thread, "Well then.", "agreement", reply_to=word["id"])["hops"] == 1
    for number in range(29):
        with node.agent(f"crowd-{number}") as one:
            post(one, thread, "Me too.", "concern")
    with node.agent("late") as late:
        assert refusal(lambda: post(late, thread, "Me too.", "concern")).code == "PARTICIPANT_CAP"


def test_a_message_for_some_roles_is_hidden_from_others(node: Node) -> None:
    thread = new_thread_id(time.time())
    with node.person() as alice, node.agent("bob") as bob, node.agent("carol", role="reviewer") as carol:
        post(alice, thread, "For all of you.")
        post(alice, thread, "For reviewers.", "concern", readers=("reviewer",))
        assert said(carol, thread) == [("alice", "For all of you."), ("alice", "For reviewers.")]
        assert said(bob, thread) == [("alice", "For all of you."), ("alice", None)]


def test_commands_begin_show_and_close_a_thread(node: Node) -> None:
    done = node.json("hmmm", "post", "new", "Shall we meet?", "--subject", "Tuesday", "--to", "role:worker")
    thread = done["message"]["thread"]
    node.json("hmmm", "post", thread, "At ten.", "--reply-to", done["message"]["id"])
    (row,) = node.json("hmmm", "list", "--open")["threads"]
    assert (row["id"], row["subject"], row["count"]) == (thread, "Tuesday", 2)
    text = node.bzzz("hmmm", "show", thread).stdout.decode()
    assert "Shall we meet?" in text
    assert "At ten." in text
    assert "QUESTION" in text
    bad = node.bzzz("hmmm", "post", thread, "Help", "--kind", "escalation")
    assert bad.returncode == 2
    assert "reason" in bad.stderr.decode()
    node.json("hmmm", "post", thread, "Come and see.", "--kind", "escalation", "--to", "alice", "--reason", "It burns")
    end = node.json("hmmm", "post", thread, "We meet on Tuesday at ten.", "--kind", "summary")["message"]
    kept = node.bzzz("context", "get", end["refs"][0])
    assert kept.stdout.decode().strip() == "We meet on Tuesday at ten."
    assert node.json("hmmm", "list")["threads"][0]["state"] == "closed"
    late = node.bzzz("hmmm", "post", thread, "And now?")
    assert late.returncode == 1
    assert "THREAD_CLOSED" in late.stderr.decode()


def test_threads_are_there_again_after_a_crash(node: Node) -> None:
    thread = new_thread_id(time.time())
    with node.person() as alice:
        post(alice, thread, "Remember this.")
    assert node.daemon is not None
    node.daemon.kill()
    node.start()
    with node.person() as alice:
        assert said(alice, thread) == [("alice", "Remember this.")]
        assert msgspec.convert(alice.call("hmmm.list")["threads"][0]["count"], int) == 1
