"""One node from end to end: commands of a person, agents in the sandbox, the ledger, context, topics and policy."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import BzzzError
from bzzzd.rpc.blocking import BlockingClient
from tests.integration.conftest import BIN, Node, NodeMaker, nodes_in, wait_for
from tests.integration.sessions import Session, Watch, as_uid, refusal

LEASE_S = 2.0
NOBODY = 65534


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One node with an agent that runs commands, shared by the tests that leave it as it was."""
    with nodes_in(tmp_path_factory.mktemp("office")) as make:
        # An agent learns at its next renewal that a task was canceled: soon, with a lease as short as this.
        node = make(slurp={"lease_s": 6.0})
        node.write_agent(agent={"slots": 2})
        node.start()
        node.start_agent()
        yield node


@pytest.fixture
def alice(office: Node) -> Iterator[Session]:
    with office.person() as session:
        yield session


def done(node: Node, *arguments: str, input: str | bytes | None = None) -> str:
    """What a command that must succeed prints."""
    found = node.bzzz(*arguments, input=input)
    assert found.returncode == 0, found.stderr.decode()
    return found.stdout.decode()


def failed(node: Node, *arguments: str) -> tuple[int, str]:
    found = node.bzzz(*arguments)
    return found.returncode, found.stderr.decode().strip()


# Looking.


def test_status_health_and_doctor_tell_a_node_that_is_well(office: Node) -> None:
    status = office.json("status")
    assert (status["ready"], status["node_id"], status["phase"]) == (True, "n1", "ready")
    assert status["addresses"] == [office.address]
    assert [phase["phase"] for phase in status["phases"]] == [
        "configuration", "mesh", "core", "process", "monitoring"
    ]  # fmt: skip
    assert status["durability"] == "single"
    assert any("approvals are not protected" in warning for warning in status["warnings"])

    rows = {row["name"]: row for row in office.json("health")["services"]}
    assert set(rows) >= {"rpc", "identity", "mesh", "store", "ledger", "health-http"}
    assert all(row["ok"] and row["state"] == "ready" for row in rows.values())

    findings = office.json("doctor")["findings"]
    assert not [finding for finding in findings if finding["level"] == "bad"]
    assert office.http("/healthz")[0] == office.http("/readyz")[0] == 200
    assert json.loads(office.http("/health")[1])["ready"] is True


def test_whoever_asks_while_a_node_starts_gets_an_answer_or_is_told_to_wait(make_node: NodeMaker) -> None:
    node = make_node()
    answered: list[str] = []
    for _ in range(2):  # the second start finds a journal
        node.start(ready=False)
        wait_for("the socket", node.socket.exists)
        until = time.monotonic() + 30.0
        while time.monotonic() < until:
            try:
                with node.guest() as guest:
                    while not guest.call("status", effects=False)["ready"]:
                        answered.append("")
                    break
            except BzzzError as error:
                answered.append(error.code)
        else:
            pytest.fail("bzzzd was not ready in 30 s")
        assert node.daemon is not None
        assert node.daemon.stop() == 0
    assert set(answered) <= {"", "NOT_READY", "UNREACHABLE"}, set(answered)


def test_agents_are_listed_with_what_they_can_do(office: Node) -> None:
    row = next(row for row in office.json("agent", "list")["agents"] if row["id"] == "worker-1")
    assert (row["role"], row["capabilities"], row["slots"], row["node"]) == ("worker", ["run"], 2, "n1")
    assert row["attached"]
    assert row["local"]
    assert row["binary_type"] == "agent"
    assert office.json("agent", "show", "worker-1")["agent"]["id"] == "worker-1"
    assert failed(office, "agent", "show", "nobody") == (
        4,
        "bzzz: no agent is called nobody; see: bzzz agent list (NOT_FOUND)",
    )


def test_the_documented_metrics_are_those_of_a_running_node(office: Node) -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text("utf-8").partition("## bzzz-agent")[0]
    documented = set(re.findall(r"^\| `(bzzz_\w+)`", page, re.MULTILINE))
    every = {"bzzz_build_info", "bzzz_metrics_cut_rows_total"}

    def told() -> set[str]:
        return set(re.findall(r"^# TYPE (bzzz_\w+)", office.http("/metrics")[1], re.MULTILINE)) - every

    wait_for("the first look at the ledger", lambda: "bzzz_ledger_replicated" in told())
    assert told() == documented


def test_the_metrics_page_is_what_prometheus_reads(office: Node) -> None:
    status, page = office.http("/metrics")
    assert status == 200
    names = {family.name for family in text_string_to_metric_families(page)}
    assert {"bzzz_sessions", "bzzz_peers", "bzzz_service_ready", "process_resident_memory_bytes"} <= names
    promtool = shutil.which("promtool")
    if promtool is not None:
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=page, capture_output=True, text=True, timeout=30, check=False
        )
        assert (checked.returncode, checked.stderr) == (0, "")


# Tasks.


def test_a_task_runs_in_the_sandbox_and_its_decision_is_read_by_its_address(office: Node) -> None:
    argv = ["sh", "-c", "echo out; echo err >&2; ls /root; exit 3"]
    shown = office.json("task", "submit", "Say something", "--capability", "run", "--wait", "--", *argv)
    task = shown["task"]
    assert (task["state"], task["agent"], task["title"]) == ("completed", "worker-1", "Say something")
    assert task["address"] == f"ucxl://worker-1:worker@default:{task['id']}/*^/decision"
    decision = json.loads(done(office, "context", "get", task["address"]))
    assert (decision["argv"], decision["exit"], decision["stdout"]) == (argv, 3, "out\n")
    assert decision["stderr"].startswith("err\n")
    assert office.json("context", "get", task["address"])["version_id"] == task["result"]

    steps = office.json("task", "trace", task["id"])["steps"]
    assert [step["what"] for step in steps] == ["submitted", "claimed", "completed"]
    assert [step["by"] for step in steps] == ["person:alice", "agent:worker-1", "agent:worker-1"]
    assert all(step["signed"] for step in steps)
    assert [step["at"] for step in steps] == sorted(step["at"] for step in steps)


def test_a_program_of_the_users_own_does_tasks(office: Node) -> None:
    # Temporary folders of root are closed to the sandbox, where a user's program would not lie either.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        program = Path(name) / "shout.py"
        program.write_text(
            "import json, sys; told = json.load(sys.stdin); print(told['brief']['body'].upper(), told['task']['id'])"
        )
        Path(name).chmod(0o755)
        handler = {"kind": "external", "capability": "shout", "argv": ["/usr/bin/python3", str(program)]}
        office.write_agent("shouter", agent={"handlers": [handler]})
        agent = office.start_agent("shouter")
        shown = office.json(
            "task", "submit", "Shout", "--body", "-", "--capability", "shout", "--wait", input="all of it"
        )
        assert agent.stop() == 0
    assert shown["decision"]["content"] == f"ALL OF IT {shown['task']['id']}\n"
    assert shown["decision"]["content_type"] == "text/markdown"


def test_cancel_ends_a_task_for_good_and_retry_asks_again(office: Node, alice: Session) -> None:
    task = office.json("task", "submit", "Sleep", "--capability", "run", "--", "sleep", "600")["task"]["id"]
    wait_for("the task to be worked on", lambda: alice.state(task) == "working")
    assert office.json("task", "cancel", task, "--reason", "not_needed")["task"]["state"] == "canceled"
    assert alice.show(task)["task"]["reason"] == "not_needed"
    status, said = failed(office, "task", "cancel", task)
    assert status == 1
    assert said.endswith("(FINAL_STATE)")
    wait_for("the agent to let go", lambda: _load(office) == 0)

    again = office.json("task", "retry", task)["task"]
    assert (again["retry_of"], again["capability"]) == (task, "run")
    assert alice.show(task)["retries"] == [again["id"]]
    office.json("task", "cancel", again["id"])
    wait_for("the agent to let go", lambda: _load(office) == 0)
    assert failed(office, "task", "cancel", "t-nothing")[0] == 4


def _load(node: Node) -> int:
    return int(node.json("agent", "show", "worker-1")["agent"]["load"])


def test_waiting_for_a_task_ends_with_the_status_that_scripts_know(office: Node) -> None:
    asked = ("task", "submit", "Wait for me", "--wait")
    assert office.bzzz(*asked, "--capability", "run", "--", "true").returncode == 0
    # A command task without a command is its author's mistake; a command that fails is a result.
    assert office.bzzz(*asked, "--capability", "run").returncode == 1
    assert office.bzzz(*asked, "--capability", "run", "--", "/no/such/program").returncode == 0
    status, said = failed(office, *asked, "--capability", "nobody-has-it", "--timeout", "1")
    assert status == 6
    assert said.endswith("(UNKNOWN_OUTCOME)")
    assert "it goes on: bzzz task show t-" in said


def test_a_command_that_is_sent_again_changes_nothing(alice: Session) -> None:
    task, params = alice.brief("Once", capability="nobody-has-it")
    first = alice.call("task.submit", **params)["task"]
    assert alice.call("task.submit", **params)["task"] == first
    assert alice.steps(task) == ["submitted"]
    assert list(alice.tasks()).count(task) == 1


def test_a_task_whose_agents_die_is_a_dead_letter_after_three_strikes(make_node: NodeMaker) -> None:
    node = make_node(slurp={"lease_s": LEASE_S})
    node.start()
    with node.person() as alice:
        task = alice.submit("Deadly", capability="run", args={"argv": ["sleep", "600"]})
        for strike in range(3):
            # Agents of three names, because one that lost a task is not asked again at once.
            node.write_agent(f"worker-{strike}")
            agent = node.start_agent(f"worker-{strike}")
            wait_for("the task to be worked on", lambda: alice.state(task) == "working")
            agent.kill()
            wait_for("the lease to end", lambda n=strike: alice.show(task)["task"]["strikes"] == n + 1)
        shown = alice.show(task)["task"]
        assert (shown["state"], shown["reason"], shown["dead_letter"]) == ("failed", "lease_ended", True)
        assert alice.steps(task) == ["submitted", *["claimed", "lease_ended"] * 3]
    assert [row["id"] for row in node.json("task", "list", "--dead")["tasks"]] == [task]
    assert node.json("status")["dead_letters"] == 1


def test_decisions_and_titles_outlive_a_restart(make_node: NodeMaker) -> None:
    node = make_node()
    node.start()
    with node.person() as alice, node.agent("scribe", capabilities=("write",)) as scribe:
        task = alice.submit("To be remembered", capability="write")
        ended = scribe.complete(scribe.claim(task), b"the decision")
    address = ended["task"]["address"]
    assert node.daemon is not None
    assert node.daemon.stop() == 0
    assert not node.socket.exists()
    node.check_journal()
    node.start()
    assert done(node, "context", "get", address) == "the decision"
    shown = node.json("task", "show", task)
    assert (shown["task"]["title"], shown["decision"]["content"]) == ("To be remembered", "the decision")
    assert [row["title"] for row in node.json("task", "list")["tasks"]] == ["To be remembered"]


# Context.


def test_context_has_versions_that_can_all_be_read(office: Node) -> None:
    base = "ucxl://alice:admin@house:plan"
    address = f"{base}/*^/notes.txt"
    for text in ("one\n", "one\ntwo\n", "one\ntwo\nthree\n"):
        done(office, "context", "put", address, input=text)
    for temporal, text in (
        ("*^", "one\ntwo\nthree\n"), ("*~1", "one\n"), ("*~2", "one\ntwo\n"), ("~~1", "one\ntwo\n"), ("^^0", "one\n"),
        ("^^2", "one\ntwo\nthree\n"),
    ):  # fmt: skip
        assert done(office, "context", "get", f"{base}/{temporal}/notes.txt") == text
    status, said = failed(office, "context", "get", f"{base}/*~4/notes.txt")
    assert (status, said) == (4, "bzzz: there is no version 4 here: the address has 3 versions (NOT_FOUND)")

    history = office.json("context", "history", address)
    assert [row["number"] for row in history["versions"]] == [1, 2, 3]
    assert [row["parents"] for row in history["versions"]][1:] == [[row["version_id"]] for row in history["versions"]][
        :2
    ]
    assert "+three" in done(office, "context", "diff", address)
    assert "+two" in done(office, "context", "diff", address, "1", "3")
    listed = office.json("context", "list", "ucxl://any:any@house:any/*^")["entries"]
    assert [(row["address"], row["versions"]) for row in listed] == [(address, 3)]
    assert failed(office, "context", "put", f"{base}/*~1/notes.txt", "--body", "x")[0] == 2
    assert failed(office, "context", "get", "ucxl://alice:admin@house")[0] == 2


def test_two_writers_at_once_are_kept_both_and_joined_by_the_next(office: Node, alice: Session) -> None:
    address = "ucxl://pen:worker@house:draft/*^/text"
    with office.agent("pen") as pen:
        first = pen.put(address, b"begun")
        # Both write on top of what they have read, and neither has read the other.
        mine, theirs = (
            alice.version(address, b"alice's", parents=[first]),
            pen.version(address, b"pen's", parents=[first]),
        )
        ids = [alice.call("context.put", **mine)["version_id"], pen.call("context.put", **theirs)["version_id"]]
        found = alice.call("context.get", address=address)
        assert found["conflict"]
        assert sorted(found["heads"]) == sorted(ids)
        history = office.json("context", "history", address)
        assert history["conflict"]
        assert [row["head"] for row in history["versions"]] == [False, True, True]
        # A version sent again is the same version.
        assert alice.call("context.put", **mine)["version_id"] == ids[0]
        assert office.json("context", "history", address)["of"] == 3

        done(office, "context", "put", address, "--body", "both")
        found = alice.call("context.get", address=address)
        assert (found["conflict"], found["content"], found["number"]) == (False, b"both", 4)
        # What only administrators read, an agent does not.
        assert refusal(lambda: pen.call("context.get", address=address)).code == "NOT_ALLOWED"


# Topics.


def test_messages_of_a_topic_reach_those_who_follow_it(office: Node) -> None:
    env = {"BZZZ_CONFIG_PATH": str(office.folder / "hap.yaml")}
    with subprocess.Popen(
        [str(BIN / "bzzz"), "subscribe", "news", "--count", "2", "--json", "--timeout", "30"],
        env={**office.env, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as follower:  # fmt: skip
        assert follower.stderr is not None
        assert follower.stdout is not None
        assert follower.stderr.readline() == "listening to news\n"
        assert "as number" in done(office, "publish", "news", "first")
        done(office, "publish", "news", input=b"\xff\x00")
        items = [json.loads(line) for line in follower.stdout]
        assert follower.wait(30) == 0
    assert [item["author"] for item in items] == ["alice", "alice"]
    assert [item["number"] for item in items] == [1, 2]
    assert items[0]["payload"] == "first"
    # Who comes later finds what was said.
    with office.person() as alice:
        assert [item["payload"] for item in Watch(alice, "topic:news").snapshot["items"]] == ["first", b"\xff\x00"]


# Who may do what.


def test_policy_applied_changes_what_a_role_may_do(make_node: NodeMaker) -> None:
    node = make_node()
    node.start()
    with node.agent("talker") as talker, node.guest() as guest:
        assert talker.publish("news", "may I?") == 1
        assert refusal(lambda: guest.call("task.list", effects=False)).code == "NOT_ATTACHED"

        def narrow(roles: dict[str, Any]) -> None:
            roles["roles"]["worker"]["write"].remove("topic:*")
            roles["guests"].append("task.list")

        node.edit_roles(narrow)
        # A file changes nothing before it is signed.
        assert talker.publish("news", "still I may") == 2
        assert node.json("mesh", "policy", "apply")["number"] == 2
        assert refusal(lambda: talker.publish("news", "no more")).code == "NOT_ALLOWED"
        assert guest.call("task.list", effects=False)["tasks"] == []
        # Only an administrator's signature counts.
        record = node.json("mesh", "policy", "show")
        assert record["number"] == 2
        assert refusal(lambda: talker.call("mesh.policy_apply", envelope=b"x")).code == "NOT_ALLOWED"
    assert node.daemon is not None
    node.daemon.stop()
    node.start()
    assert node.json("mesh", "policy", "show")["number"] == 2


def test_a_guest_submits_and_does_nothing_else(make_node: NodeMaker) -> None:
    node = make_node()
    node.start()
    with node.guest() as guest, node.person() as alice:
        node_id = guest.call("status", effects=False)["node_id"]
        asked = guest.call("task.ask", {"title": "Of a guest", "capability": "none-has-it"})["task"]
        assert (asked["state"], asked["author"], asked["title"]) == ("submitted", node_id, None)
        for method, params in (
            ("task.show", {"id": asked["id"]}), ("task.list", {}), ("task.cancel", {"envelope": b"x"}),
            ("mesh.policy_apply", {"envelope": b"x"}),
        ):  # fmt: skip
            refused = refusal(lambda method=method, params=params: guest.call(method, params))
            assert refused.code == "NOT_ATTACHED"
            assert "sudo bzzz mesh admin add" in refused.message
        shown = alice.show(asked["id"])
        assert shown["task"]["title"] == "Of a guest"
        assert f"(uid {os.geteuid()})" in shown["task"]["asked_by"]
        assert refusal(lambda: alice.client.call("task.ask", {"title": "no"})).code == "NOT_ALLOWED"
        node.edit_roles(lambda roles: roles["guests"].remove("task.ask"))
        node.json("mesh", "policy", "apply")
        assert refusal(lambda: guest.call("task.ask", {"title": "late"})).code == "NOT_ATTACHED"


def test_titles_are_hidden_from_those_who_may_not_read_them(make_node: NodeMaker) -> None:
    node = make_node()
    node.edit_roles(lambda roles: roles["guests"].extend(["task.list", "task.show", "task.trace"]))
    node.start()
    with node.person() as alice, node.guest() as guest, node.agent("idle", role="observer") as observer:
        task = alice.submit("The secret title", body="the secret body", capability="none")
        assert alice.show(task)["task"]["title"] == "The secret title"

        def look(client: BlockingClient) -> list[Any]:
            return [
                client.call("task.list", effects=False), client.call("task.show", {"id": task}, effects=False),
                client.call("task.trace", {"id": task}, effects=False),
            ]  # fmt: skip

        for client in (guest, observer.client):
            seen = look(client)
            assert [row["id"] for row in seen[0]["tasks"]] == [task]
            assert seen[1]["task"]["title"] is None
            assert "brief" not in seen[1]
            assert "secret" not in repr(seen)
        assert "secret" not in repr(Watch(observer, "tasks").snapshot)

        if os.geteuid() == 0:
            node.folder.chmod(0o710)

            def stranger() -> Any:
                with BlockingClient("s", 20.0) as client:
                    return look(client)

            assert "secret" not in repr(as_uid(NOBODY, node.folder, stranger)["result"])

            def intruder() -> Any:
                with Session(Path("s"), alice.key, "alice") as session:
                    return session.show(task)

            # The right key in the wrong hands is refused: a uid is bound to the keys that it may present.
            refused = as_uid(NOBODY, node.folder, intruder)["error"]
            assert refused["code"] == "GRANT_REFUSED"
    raw = b"".join(path.read_bytes() for path in node.state.rglob("*") if path.is_file())
    assert b"secret title" not in raw
    assert b"secret body" not in raw


def test_outside_development_agents_and_people_are_kept_apart_by_their_uids(make_node: NodeMaker) -> None:
    mine = [entry.pw_name for entry in pwd.getpwall() if entry.pw_uid == os.geteuid()][:1]
    for user in mine:
        node = make_node("own", security={"development": False, "agents": [{"user": user, "role": "worker"}]})
        node.start()
        with node.agent("w1") as w1:
            assert w1.role == "worker"
        refused = refusal(node.agent("w2", role="coordinator").__enter__)
        assert (refused.code, "security.agents" in refused.message) == ("GRANT_REFUSED", True)
        # Who runs agents is no person, whatever key it holds.
        assert "runs agents" in refusal(node.person().__enter__).message
    if os.geteuid() == 0:
        node = make_node("apart", security={"development": False, "agents": [{"user": "nobody", "role": "worker"}]})
        node.start()
        node.folder.chmod(0o710)
        key = SigningKey.generate()

        def agent() -> Any:
            with Session(Path("s"), key, "w1", kind="agent", role="worker") as session:
                return dict(session.told["caller"])

        def person() -> Any:
            with Session(Path("s"), key, "mallory") as session:
                return session.id

        def promote() -> Any:
            with BlockingClient("s", 20.0) as client:
                return client.call("mesh.admin_add", {"user": "nobody"})

        assert as_uid(NOBODY, node.folder, agent)["result"]["id"] == "w1"
        assert as_uid(NOBODY, node.folder, person)["error"]["code"] == "GRANT_REFUSED"
        assert as_uid(NOBODY, node.folder, promote)["error"]["code"] == "NOT_ALLOWED"
        assert refusal(node.agent("w2").__enter__).code == "GRANT_REFUSED"
        status, said = failed(node, "task", "list")
        assert status == 3
        assert "sudo bzzz mesh admin add root" in said
        done(node, "mesh", "admin", "add", "root")
        assert node.json("task", "submit", "By root", "--capability", "none")["task"]["author"] == "root"


def test_a_second_agent_of_the_same_id_is_refused(office: Node) -> None:
    path = office.write_agent("twin", agent={"id": "worker-1"})
    twin = office.run("bzzz-agent", "--config", str(path))
    wait_for("the refusal", lambda: "agent worker-1 is attached already (process" in twin.text)
    assert twin.running
    assert office.json("agent", "list")["agents"][-1]["id"] == "worker-1"
    assert twin.stop() == 0
    # The same one in the same folder is stopped by its lock, and says who holds it.
    status, said = office.refused("bzzz-agent")
    assert status == 1
    assert "already running as process" in said
    assert said.rstrip().endswith("(ALREADY_RUNNING)")


# The ledger as a whole.


def test_a_restored_ledger_refuses_the_tokens_of_the_one_before(make_node: NodeMaker, tmp_path: Path) -> None:
    node = make_node()
    node.start()
    backup = tmp_path / "ledger.backup"
    with node.person() as alice, node.agent("scribe", capabilities=("write",)) as scribe:
        task = alice.submit("Held over a restore", capability="write")
        claimed = scribe.claim(task)
        assert claimed["token"] == [1, 1]
        assert node.json("ledger", "backup", str(backup))["bytes"] == backup.stat().st_size
        assert backup.stat().st_mode & 0o777 == 0o600
        assert failed(node, "ledger", "backup", str(backup))[0] == 1
        lost = alice.submit("Made after the backup", capability="write")
        tasks = Watch(alice, "tasks")

        assert failed(node, "ledger", "restore", str(backup))[0] == 2
        term = node.json("ledger", "restore", str(backup), "--yes")["status"]["term"]
        assert term > 1
        assert refusal(lambda: alice.show(lost)).code == "NOT_FOUND"
        assert alice.state(task) == "submitted"
        assert alice.show(task)["task"]["strikes"] == 0
        assert refusal(lambda: scribe.renew(task, claimed["token"])).code == "STALE_TOKEN"
        assert refusal(lambda: scribe.complete(claimed, b"too late")).code == "STALE_TOKEN"
        wait_for("the stream to say so", lambda: any(item["kind"] == "replaced" for item in tasks.look()))

        claimed = scribe.claim(task)
        assert claimed["token"] == [term, 2]
        assert scribe.complete(claimed, b"in time")["task"]["state"] == "completed"
        assert node.json("ledger", "status")["term"] == term
    damaged = tmp_path / "damaged.backup"
    damaged.write_bytes(backup.read_bytes()[:-5000] + b"\0" * 5000)
    status, said = failed(node, "ledger", "restore", str(damaged), "--yes")
    assert status == 2
    assert "is not a backup that can be restored" in said
    assert node.json("ledger", "status")["counts"]["completed"] == 1
