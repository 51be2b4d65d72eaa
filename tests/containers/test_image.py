"""The image as it is run: under supervisord, one program alone, with and without a sandbox, and as Kubernetes' pods."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import APPLIANCE_S
from tests.containers.conftest import IMAGE, Podman, wait_for
from tests.containers.pods import (
    CAPABILITIES,
    HEALTHY,
    RESTRICTED,
    asked,
    attached,
    play,
    put_secret,
    stopped,
    wait_healthy,
)
from tests.containers.test_manifests import FOLDER

# The first test waits for the package, the base and the image.
pytestmark = pytest.mark.timeout(APPLIANCE_S)
STOP_S = 30.0
HANDLERS = [
    {"kind": "command", "capability": "run"},
    {"kind": "external", "capability": "shout", "argv": ["/usr/bin/tr", "a-z", "A-Z"]},
]


@pytest.fixture(scope="module")
def both(heavy: Podman) -> Iterator[Podman]:
    """The container ``both``: daemon and agent as the image starts them."""
    heavy("run", "--detach", "--name=both", "--hostname=both", "--network=none", *CAPABILITIES, IMAGE)
    wait_healthy(heavy, "both")
    yield heavy
    heavy("rm", "--force", "--time=0", "both", ok=False)


def test_each_program_has_a_uid_of_its_own_and_the_agent_cannot_read_the_nodes_keys(both: Podman) -> None:
    rows = both("top", "both", "user", "args").splitlines()[1:]
    users = {word: row.split()[0] for row in rows for word in ("supervisord", "bin/bzzzd", "bzzz-agent") if word in row}
    assert users == {"supervisord": "root", "bin/bzzzd": "bzzz", "bzzz-agent": "bzzz-agent"}
    assert both("exec", "both", "id", "--user", "bzzz").strip() == "2001"
    assert both("exec", "both", "id", "--group", "bzzz").strip() == "2000"
    assert both("exec", "both", "id", "--user", "bzzz-agent").strip() == "2002"
    refused = both("exec", "--user=bzzz-agent", "both", "cat", "/var/lib/bzzz/keys/node.key", ok=False)
    assert "Permission denied" in refused


def test_the_command_line_works_inside_and_the_daemons_user_administers(both: Podman) -> None:
    status = json.loads(both("exec", "--user=bzzz", "both", "bzzz", "status", "--json"))
    assert (status["phase"], status["node_id"]) == ("ready", "both")
    wait_for("the agent", lambda: attached(both, "both"))
    both("exec", "--user=bzzz", "both", "bzzz", "mesh", "admin", "add", "bzzz")
    made = json.loads(both("exec", "--user=bzzz", "both", "bzzz", "task", "submit", "first", "--json"))
    assert made["task"]["state"] in ("submitted", "working")


def test_a_program_that_dies_is_started_again(both: Podman) -> None:
    before = both("exec", "both", "pgrep", "-f", "bin/bzzzd").split()[0]
    both("exec", "--user=bzzz", "both", "kill", "-KILL", before)
    wait_for(
        "another daemon", lambda: both("exec", "both", "pgrep", "-f", "bin/bzzzd", ok=False).split()[:1] != [before]
    )
    wait_healthy(both, "both")
    wait_for("the agent to come back", lambda: attached(both, "both"))


def test_sigterm_ends_both_programs_and_the_container_in_time(both: Podman) -> None:
    wait_healthy(both, "both")
    assert stopped(both, "both") < STOP_S
    assert both.inspect("both")["State"]["ExitCode"] == 0
    for program in ("bzzzd", "bzzz-agent"):
        said = f"stopped: {program} (exit status 0)"
        wait_for(said, lambda said=said: said in both("logs", "both", ok=False))


def test_a_daemon_that_cannot_start_ends_the_container(heavy: Podman, tmp_path: Path) -> None:
    (tmp_path / "bzzzd.yaml").write_text("binary_type: daemon\nnonsense: {}\n")
    said = heavy(
        "run", "--rm", "--network=none", *CAPABILITIES, f"--volume={tmp_path}/bzzzd.yaml:/etc/bzzz/bzzzd.yaml:ro",
        IMAGE, ok=False,
    )  # fmt: skip
    assert "nonsense" in said
    assert "giving up" in said


def test_one_program_alone_runs_without_root_or_a_writable_root(heavy: Podman) -> None:
    alone = ("--name=alone", "--network=none", "--user=bzzz", "--env=BZZZ_HEALTH_PORTS=8071", *RESTRICTED)
    heavy("run", "--detach", *alone, "--volume=alone-socket:/run/bzzz", IMAGE, "bzzzd")
    wait_healthy(heavy, "alone")
    assert stopped(heavy, "alone") < STOP_S
    assert heavy.inspect("alone")["State"]["ExitCode"] == 0


def offers(podman: Podman, folder: Path, *options: str) -> dict[str, Any]:
    """What an agent with handlers that need the sandbox says of itself in a container with these options."""
    config = {
        "binary_type": "agent", "agent": {"id": "w", "role": "worker", "handlers": HANDLERS},
        "ai": {"provider": "none"}, "network": {"socket": "/run/bzzz/bzzzd.sock"}, "security": {},
    }  # fmt: skip
    (folder / "agent.yaml").write_text(yaml.safe_dump(config))
    name = f"offers-{len(options)}"
    podman(
        "run", "--detach", f"--name={name}", "--network=none", "--user=bzzz-agent", *RESTRICTED, *options,
        f"--volume={folder}/agent.yaml:/etc/bzzz/agent.yaml:ro", IMAGE, "bzzz-agent",
    )  # fmt: skip
    ask = (
        "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8081); c.request('GET', '/health'); "
        "print(c.getresponse().read().decode())"
    )

    def health() -> dict[str, Any] | None:
        try:
            return dict(json.loads(podman("exec", name, "python3", "-c", ask, ok=False)))
        except ValueError:  # the port is not open yet
            return None

    found = wait_for("the agent", health)
    log = wait_for(
        "its offers", lambda: (log := podman("logs", name, ok=False)) and "agent=w capabilities=" in log and log
    )
    return {**found, "log": log}


def test_under_restricted_an_agent_does_not_offer_what_needs_the_sandbox_and_says_so(
    heavy: Podman, tmp_path: Path
) -> None:
    found = offers(heavy, tmp_path)
    assert found["sandbox"] == ""
    for capability in ("run", "shout"):
        assert f'capability is not offered  capability={capability} why="bwrap does not work here' in found["log"]
    assert "agent=w capabilities=[]" in found["log"]


def test_under_the_sandbox_profile_it_is_offered_still_without_privileges(heavy: Podman, tmp_path: Path) -> None:
    profile = FOLDER / "seccomp-sandbox.json"
    found = offers(heavy, tmp_path, f"--security-opt=seccomp={profile}", "--security-opt=unmask=ALL")
    assert "seccomp" in found["sandbox"]
    assert "not offered" not in found["log"]


def test_the_pod_of_an_agent_works_and_stops(heavy: Podman, pods: Path) -> None:
    play(heavy, "agent", pods, "pod-agent")
    daemon, agent = "pod-agent-bzzzd", "pod-agent-bzzz-agent"
    wait_healthy(heavy, agent)  # both ports: the containers of a pod share their network
    wait_for("the agent", lambda: attached(heavy, daemon))
    assert json.loads(heavy("exec", agent, "bzzz", "status", "--json"))["node_id"] == "pod-agent"
    assert "Permission denied" in heavy(
        "exec", agent, "cat", "/run/bzzz/../../var/lib/bzzz/node/keys/node.key", ok=False
    )
    heavy("exec", daemon, "bzzz", "mesh", "admin", "add", "bzzz")
    # What is in the Secret's file is read as the pod's group, and never as anybody else's.
    put_secret(pods, "no invitation")
    wait_for("the daemon to look", lambda: "security.join_file is of no use" in heavy("logs", daemon, ok=False))
    assert "this is no invitation" in heavy("logs", daemon, ok=False)
    assert (pods / "state-bzzz" / "node" / "keys" / "node.key").stat().st_uid == 2001
    assert stopped(heavy, "pod-agent", kind="pod") < STOP_S
    for name in (daemon, agent):
        assert heavy.inspect(name)["State"]["ExitCode"] == 0


def test_the_pod_of_the_portal_serves_browsers_and_its_health(heavy: Podman, pods: Path) -> None:
    play(heavy, "portal", pods, "pod-portal")
    portal = "pod-portal-bzzz-hap"
    ports = "--env=BZZZ_HEALTH_PORTS=8071 8091"
    wait_for("the portal", lambda: heavy("exec", ports, portal, HEALTHY, ok=False).strip() == "ready")
    wait_for("the portal to say who it is", lambda: "attached as a guest" in asked(heavy, portal, "8091/health"))
    assert "<!doctype html>" in asked(heavy, portal, "8090/").lower()
    # What lets a browser in is the portal's own, on the volume and not in the log.
    url = heavy("exec", portal, "cat", "/var/lib/bzzz-hap/state/portal/web-url").strip()
    assert url.startswith("http://127.0.0.1:8090/#enter=")
    assert url.partition("=")[2] not in heavy("logs", portal, ok=False)
    kept = pods / "state-hap" / "state" / "portal" / "web-url"
    assert (kept.stat().st_uid, kept.stat().st_mode & 0o077) == (2003, 0)
    # A person's lines beside it, as the manifest's head has them.
    said = heavy("exec", "--interactive", portal, "bzzz-hap", "--plain", ok=False)
    assert "plain mode" in said
    assert "is taken by" not in said
    assert stopped(heavy, "pod-portal", kind="pod") < STOP_S
    assert heavy.inspect(portal)["State"]["ExitCode"] == 0
