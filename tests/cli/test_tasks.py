"""task: what is signed and sent, what is shown, and following a task to its end."""

import asyncio
import json
import stat
import threading
import time

import pytest

from bzzzd.crypto.keys import load_key
from bzzzd.daemon.membership.guests import AskParams
from bzzzd.rpc.access import guest


@pytest.fixture
def later():
    """Do something on the side once a condition holds."""
    threads = []

    def start(condition, act):
        def wait():
            end = time.monotonic() + 10
            while not condition() and time.monotonic() < end:
                time.sleep(0.005)
            act()

        threads.append(threading.Thread(target=wait))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()


def submitted(bzzz, *more: str, given: bytes = b"") -> str:
    found = bzzz("task", "submit", "Plan", "--json", *more, given=given)
    assert found.status == 0, found.err
    return json.loads(found.out)["task"]["id"]


def test_a_submit_is_signed_by_the_person_and_encrypted_for_readers(node, bzzz, place):
    task = submitted(bzzz, "--body", "-", "--capability", "answer", "--priority", "7", given=b"all of it")
    brief, header, command = node.briefs[task]
    assert (brief.title, brief.body, brief.args) == ("Plan", "all of it", {})
    assert (command.capability, command.priority, command.project) == ("answer", 7, "default")
    assert (header.readers, header.epoch) == (("operator", "worker"), 3)
    key = place / "state" / "person.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert header.address.endswith(f":operator@default:{task}/*^/brief")
    assert load_key(key).public


def test_a_shell_that_names_another_processs_file_is_still_a_persons(node, bzzz, place, monkeypatch):
    sections = "ai: {}\nnetwork: {}\nsecurity: {}\n"
    (place / "bzzzd.yaml").write_text(f"agent: {{id: atlas}}\n{sections}")
    (place / "hap.yaml").write_text(f"agent: {{id: bob}}\n{sections}")
    monkeypatch.setenv("BZZZ_CONFIG_PATH", str(place / "bzzzd.yaml"))
    task = submitted(bzzz)
    assert node.tasks[task]["author"] == "bob"


def test_all_wishes_reach_the_ledger(node, bzzz):
    task = submitted(
        bzzz, "--role", "reviewer", "--deadline", "60", "--approve", "--project", "site",
        "--address", "ucxl://a:b@c:d/*^", "--", "ls", "-l",
    )  # fmt: skip
    brief, _, command = node.briefs[task]
    assert brief.args == {"address": "ucxl://a:b@c:d/*^/", "argv": ["ls", "-l"]}
    assert (command.role, command.deadline_s, command.approve, command.project) == ("reviewer", 60.0, True, "site")


@pytest.mark.parametrize(
    ("more", "part"),
    [
        (["--priority", "10"], "cannot be submitted"),
        (["--project", "a b"], "UCXL address"),
        (["--capability", "a b"], "cannot be submitted"),
        (["--address", "ucxl://x"], "position 8"),
    ],
)
def test_what_breaks_a_rule_is_refused_before_it_is_sent(node, bzzz, more, part):
    found = bzzz("task", "submit", "Plan", *more)
    assert found.status == 2
    assert part in found.err
    assert node.tasks == {}


def test_a_person_without_a_grant_is_told_how_to_get_one(node, bzzz):
    node.refuse_attach = True
    found = bzzz("task", "submit", "Plan")
    assert found.status == 3
    assert "sudo bzzz mesh admin add alice (GRANT_REFUSED)" in found.err


def test_without_a_grant_a_task_goes_as_a_guests_and_the_command_that_mends_it_is_named(node, bzzz):
    node.refuse_attach = True
    asked = []

    def ask(call, params):
        asked.append(params)
        return {"task": {"id": "t-guest", "state": "submitted"}}

    node.registry.add("task.ask", guest(), AskParams, ask, doc="for the tests")
    found = bzzz("task", "submit", "Plan", "--capability", "answer", "--json")
    assert found.status == 0
    assert json.loads(found.out)["task"]["id"] == "t-guest"
    assert "as a guest" in found.err
    assert "sudo bzzz mesh admin add alice" in found.err
    assert asked == [AskParams(title="Plan", capability="answer")]
    found = bzzz("task", "submit", "Plan", "--wait")
    assert found.status == 3
    assert "without --wait; " in found.err


def test_waiting_shows_the_way_and_prints_the_decision(node, bzzz, later):
    def work():
        task = next(iter(node.tasks))
        node.loop.call_soon_threadsafe(lambda: node.change(task, state="working", agent="a1"))
        progress = {"task": task, "progress": {"done": 1, "total": 2, "note": "half\x1b"}}
        node.loop.call_soon_threadsafe(lambda: node.events.append(progress))
        node.loop.call_soon_threadsafe(lambda: node.change(task, state="completed"))

    later(lambda: any(name == "task.show" for name, _ in node.asked), work)
    found = bzzz("task", "submit", "Plan", "--wait")
    assert found.status == 0
    lines = [line.split("  ", 1)[-1] for line in found.err.splitlines()]
    task = next(iter(node.tasks))
    assert lines[-3:] == [f"{task}  working by a1", f"{task}  1/2 half", f"{task}  completed by a1"]
    assert "DECISION\nThe answer.\n" in found.out
    assert "the body" in found.out


def test_waiting_for_a_task_that_fails_exits_one(node, bzzz, later):
    later(
        lambda: any(name == "task.show" for name, _ in node.asked),
        lambda: node.loop.call_soon_threadsafe(
            lambda: node.change(next(iter(node.tasks)), state="failed", reason="model_failed")
        ),
    )
    found = bzzz("task", "submit", "Plan", "--wait", "--json")
    assert found.status == 1
    assert json.loads(found.out)["task"]["reason"] == "model_failed"


def test_waiting_too_long_is_an_unknown_outcome_and_the_task_goes_on(node, bzzz):
    found = bzzz("task", "submit", "Plan", "--wait", "--timeout", "0.3")
    assert found.status == 6
    assert "it goes on: bzzz task show t-" in found.err
    assert found.err.endswith("(UNKNOWN_OUTCOME)\n")


def test_watching_an_ended_task_prints_it_and_leaves(node, bzzz):
    task = submitted(bzzz)
    node.change(task, state="completed")
    found = bzzz("task", "watch", task)
    assert (found.status, found.out.split("  ", 1)[1]) == (0, f"{task}  completed\n")
    found = bzzz("task", "watch", task, "--json")
    assert json.loads(found.out)["task"]["state"] == "completed"


def test_watching_all_tasks_ends_with_the_time_given(node, bzzz):
    assert bzzz("task", "watch", "--timeout", "0.1").status == 0


def test_tasks_are_listed_page_by_page(node, bzzz):
    tasks = [submitted(bzzz) for _ in range(5)]
    lines = bzzz("task", "list", "--limit", "4").out.splitlines()
    assert [line.split()[0] for line in lines] == ["ID", *reversed(tasks[1:])]
    assert "no task is here" in bzzz("task", "list", "--state", "failed").out
    assert len(json.loads(bzzz("task", "list", "--json").out)["tasks"]) == 5


def test_a_task_is_shown_canceled_retried_and_traced(node, bzzz):
    task = submitted(bzzz)
    shown = bzzz("task", "show", task)
    assert f"task     {task}\n" in shown.out
    assert "BRIEF\nthe body\n" in shown.out
    assert bzzz("task", "cancel", task, "--reason", "not_needed").out == f"{task} is canceled\n"
    assert node.tasks[task]["reason"] == "not_needed"
    again = bzzz("task", "retry", task)
    new = again.out.splitlines()[0]
    assert node.tasks[new]["retry_of"] == task
    assert "submitted  person:alice" in bzzz("task", "trace", task).out


def test_a_reason_is_one_word(node, bzzz):
    task = submitted(bzzz)
    found = bzzz("task", "cancel", task, "--reason", "no longer needed")
    assert found.status == 2
    assert node.tasks[task]["state"] == "submitted"


def test_an_unknown_task_is_not_found(node, bzzz):
    found = bzzz("task", "show", "t-none")
    assert (found.status, found.err) == (4, "bzzz: there is no task t-none; see: bzzz task list (NOT_FOUND)\n")


def test_a_command_without_an_answer_is_sent_again_with_the_same_id(node, bzzz):
    seen = []
    submit = node.task_submit

    async def first_lost(call, params):
        seen.append(params.envelope)
        if len(seen) == 1:
            call.session.close()
        return submit(call, params)

    node.replace("task.submit", first_lost)
    found = bzzz("task", "submit", "Plan")
    assert found.status == 0, found.err
    assert len(seen) == 2
    assert seen[0] == seen[1]


def test_when_no_answer_ever_comes_the_outcome_is_unknown_and_the_task_is_named(node, bzzz):
    async def silent(call, params):
        await asyncio.sleep(60)

    node.replace("task.submit", silent)
    found = bzzz("task", "submit", "Plan", "--timeout", "0.5")
    assert found.status == 6
    assert "see whether it arrived: bzzz task show t-" in found.err
