"""The real processes: bzzzd, bzzz-agent, the sandbox, the model; started, stopped, killed and frozen."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.node import AgentProcess, Node, until

pytestmark = pytest.mark.integration

COMMANDS = {"agent": {"handlers": [{"kind": "command", "capability": "run"}]}}
LEASE_S = 3.0

Start = Callable[..., AgentProcess]


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with tempfile.TemporaryDirectory(prefix="bz-") as name:
        found = Node(Path(name), LEASE_S)
        found.start()
        yield found
        found.stop()


@pytest.fixture
def start(node: Node) -> Iterator[Start]:
    started: list[AgentProcess] = []

    def agent(id: str, **config: Any) -> AgentProcess:
        found = AgentProcess(node, id, **config)
        started.append(found)
        found.start()
        return found

    yield agent
    for found in started:
        found.stop(signal.SIGKILL)


def decision(shown: dict[str, Any]) -> Any:
    assert shown["task"]["state"] == "completed", shown
    return json.loads(shown["decision"]["content"])


def completions(node: Node, task: str) -> int:
    return node.steps(task).count("completed")


def test_a_command_runs_in_the_sandbox_and_its_decision_can_be_read(node: Node, start: Start) -> None:
    start("c1", **COMMANDS)
    shown = node.finished(node.submit("run", argv=["sh", "-c", "id -u; ls /root; cat"], stdin="input"))
    result = decision(shown)
    assert result["stdout"] == f"{os.geteuid() or 65534}\ninput"
    assert "No such file" in result["stderr"]
    assert shown["decision"]["address"].startswith("ucxl://c1:worker@default:")
    assert shown["task"]["agent"] == "c1"


def test_a_bad_brief_fails_with_its_reason_and_an_encrypted_explanation(node: Node, start: Start) -> None:
    start("c2", **COMMANDS)
    shown = node.finished(node.submit("run", argv="not a list"))
    assert (shown["task"]["state"], shown["task"]["reason"]) == ("failed", "bad_input")
    assert b"args.argv" in shown["explanation"]["content"]


def test_the_embedded_model_summarises_through_all_processes(node: Node, start: Start) -> None:
    agent = start("m1")
    text = "A bee is an insect. It lives in a hive. It makes honey from the nectar of flowers. Bears like honey. " * 3
    shown = node.finished(node.submit("summarise", "Summarise", text), 60)
    assert shown["task"]["state"] == "completed", agent.log.read_text()
    content = shown["decision"]["content"].decode()
    summary, trailer = content.split("\n\n---\n")
    assert summary.count(".") >= 2
    assert trailer.startswith("model: SmolLM2-135M-Instruct")


def test_without_the_model_an_agent_is_small_and_soon_ready(node: Node) -> None:
    agent = AgentProcess(node, "small", **COMMANDS)
    try:
        seconds = agent.start()
        assert seconds < 5.0
        assert agent.status("RssAnon") < 45 * 1024
    finally:
        assert agent.stop() == 0


def test_sigterm_hands_back_unfinished_work_in_bounded_time(node: Node, start: Start) -> None:
    agent = start("t1", agent={"handlers": [{"kind": "command", "capability": "slow1"}]})
    task = node.submit("slow1", argv=["sleep", "60"])
    until(lambda: node.state(task) == "working")
    began = time.monotonic()
    assert agent.stop() == 0
    assert time.monotonic() - began < 20
    assert node.state(task) == "submitted"
    assert "released" in node.steps(task)
    assert node.show(task)["task"]["strikes"] == 0


def test_sigterm_lets_work_finish_that_is_nearly_done(node: Node, start: Start) -> None:
    agent = start("t2", agent={"handlers": [{"kind": "command", "capability": "quick"}]})
    task = node.submit("quick", argv=["sleep", "1.5"])
    until(lambda: node.state(task) == "working")
    assert agent.stop() == 0
    assert node.state(task) == "completed"


def test_a_killed_agents_task_is_done_by_another_once(node: Node, start: Start) -> None:
    handlers = {"handlers": [{"kind": "command", "capability": "shared"}]}
    agent = start("k1", agent=handlers)
    task = node.submit("shared", argv=["sleep", "2"])
    until(lambda: node.state(task) == "working")
    agent.stop(signal.SIGKILL)
    start("k2", agent=handlers)
    shown = node.finished(task)
    assert decision(shown)["exit"] == 0
    assert shown["task"]["agent"] == "k2"
    assert completions(node, task) == 1
    assert "lease_ended" in node.steps(task)


def test_a_frozen_agent_comes_back_to_nothing(node: Node, start: Start) -> None:
    """Its sandbox ends at the lease's end, its result is refused, and the next owner's is the only one."""
    handlers = {"handlers": [{"kind": "command", "capability": "frozen"}]}
    first = start("f1", agent=handlers)
    task = node.submit("frozen", argv=["sh", "-c", f"sleep 2; echo {LEASE_S}"])
    until(lambda: node.state(task) == "working")
    os.kill(first.pid, signal.SIGSTOP)
    try:
        start("f2", agent=handlers)
        assert node.finished(task)["task"]["agent"] == "f2"
    finally:
        os.kill(first.pid, signal.SIGCONT)
    until(lambda: "ending=lost" in first.log.read_text())
    assert completions(node, task) == 1
    assert node.show(task)["task"]["agent"] == "f2"


def test_a_killed_daemon_loses_no_task(node: Node, start: Start) -> None:
    agent = start("d1", agent={"handlers": [{"kind": "command", "capability": "durable"}]})
    working = node.submit("durable", argv=["sleep", "2"])
    until(lambda: node.state(working) == "working")
    waiting = [node.submit("durable", argv=["echo", str(number)]) for number in range(4)]
    node.stop(signal.SIGKILL)
    node.start()
    for task in (working, *waiting):
        assert node.finished(task)["task"]["state"] == "completed", agent.log.read_text()
        assert completions(node, task) == 1


def test_an_external_program_does_tasks(node: Node, start: Start) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        program = Path(name) / "upper.py"
        program.write_text("import json, sys; print(json.load(sys.stdin)['brief']['body'].upper())")
        Path(name).chmod(0o755)
        argv = ["/usr/bin/python3", str(program)]
        start("e1", agent={"handlers": [{"kind": "external", "capability": "upper", "argv": argv}]})
        shown = node.finished(node.submit("upper", body="loud"))
    assert shown["decision"]["content"] == b"LOUD\n"


def test_a_second_instance_is_refused_and_names_the_first(node: Node, start: Start) -> None:
    agent = start("twin", **COMMANDS)
    second = program("--config", str(agent.file))
    assert second.returncode == 1
    assert f"already running as process {agent.pid}" in second.stderr
    assert second.stderr.rstrip().endswith("(ALREADY_RUNNING)")


def test_an_endpoints_key_is_in_no_argument_environment_or_log(node: Node, start: Start) -> None:
    key = "sk-not-to-be-seen-anywhere"
    file = node.folder / "endpoint.key"
    file.write_text(key)
    file.chmod(0o600)
    ai = {"provider": "openai", "endpoint": "http://127.0.0.1:9/v1", "api_key_file": str(file), "retries": 0}
    agent = start("s1", ai=ai, logging={"level": "debug"}, agent={"handlers": [
        {"kind": "answer", "capability": "secretly"},
    ]})  # fmt: skip
    task = node.submit("secretly", "Anything")
    until(lambda: "struck" in node.steps(task))
    shown = node.show(task)
    assert (shown["task"]["strikes"], shown["task"]["reason"]) == (1, "model_failed")
    assert b"cannot be reached" in shown["explanation"]["content"]
    seen = b"".join(Path(f"/proc/{agent.pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
    assert key.encode() not in seen + agent.log.read_bytes() + shown["explanation"]["content"]


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bzzzd.agent.main", *arguments], capture_output=True, text=True, check=False, timeout=30
    )


def test_the_program_tells_its_version_and_checks_its_configuration(tmp_path: Path) -> None:
    assert program("--version").stdout.startswith("bzzz-agent 0.")
    good, bad = tmp_path / "agent.yaml", tmp_path / "bad" / "agent.yaml"
    good.write_text("binary_type: agent\nagent: {}\nai: {}\nnetwork: {}\nsecurity: {}\n")
    bad.parent.mkdir()
    bad.write_text("binary_type: agent\nagent: {slotz: 1}\nai: {}\nnetwork: {}\nsecurity: {}\n")
    assert program("--check-config", "--config", str(good)).returncode == 0
    refused = program("--check-config", "--config", str(bad))
    assert refused.returncode == 2
    assert "slotz" in refused.stderr
    started = program("--config", str(bad))
    assert started.returncode == 2
    assert "(CONFIG_INVALID)" in started.stderr


def test_a_key_that_others_can_read_is_refused(node: Node) -> None:
    agent = AgentProcess(node, "exposed", **COMMANDS)
    key = agent.folder / "agent.key"
    key.write_text("x")
    key.chmod(0o644)
    refused = program("--config", str(agent.file))
    assert refused.returncode == 3
    assert refused.stderr.rstrip().endswith("(KEY_EXPOSED)")


def test_an_agent_waits_for_its_daemon(node: Node) -> None:
    agent = AgentProcess(node, "early", **COMMANDS)
    node.stop()
    try:
        agent.start(attach=False)
        until(lambda: agent.log.exists() and "not attached to bzzzd" in agent.log.read_text())
        node.start()
        until(lambda: node.attached("early"))
    finally:
        assert agent.stop() == 0
