"""Pods of the manifests become one mesh by the invitation in their Secret; the portal's becomes a person's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import APPLIANCE_S
from tests.containers.conftest import Podman, wait_for
from tests.containers.pods import asked, bzzz, play, put_secret, stopped, wait_healthy

pytestmark = pytest.mark.timeout(APPLIANCE_S)
NETWORK, SUBNET = "bzzz-test", "10.79.0"
FIRST, SECOND, PORTAL = "bzzz-agent-0", "bzzz-agent-1", "bzzz-portal-0"
ADDRESSES = {FIRST: f"{SUBNET}.10", SECOND: f"{SUBNET}.11", PORTAL: f"{SUBNET}.12"}
# What the cluster's name server says of a headless service.
HOSTS = {f"{pod}.bzzz": ADDRESSES[pod] for pod in (FIRST, SECOND)}


@pytest.fixture
def network(heavy: Podman) -> Iterator[Podman]:
    heavy("network", "create", f"--subnet={SUBNET}.0/24", NETWORK)
    yield heavy
    for pod in ADDRESSES:
        heavy("pod", "rm", "--force", "--time=0", pod, ok=False)
    heavy("network", "rm", "--force", NETWORK, ok=False)


def start(podman: Podman, kind: str, pod: str, folder: Path) -> Path:
    """A pod of the set ``kind`` with an address of its own; the folder with its volumes."""
    (folder / pod).mkdir()
    play(podman, kind, folder / pod, pod, f"--network={NETWORK}", f"--ip={ADDRESSES[pod]}", hosts=HOSTS)
    return folder / pod


def connected(podman: Podman, pod: str) -> set[str]:
    peers = bzzz(podman, f"{pod}-bzzzd", "peers")["peers"]
    return {peer["id"] for peer in peers if peer["connected"]}


def test_pods_join_by_the_secret_and_find_each_other_again(network: Podman, pods: Path) -> None:
    podman = network
    start(podman, "agent", FIRST, pods)
    second = start(podman, "agent", SECOND, pods)
    portal = start(podman, "portal", PORTAL, pods)
    for pod in (FIRST, SECOND):
        wait_healthy(podman, f"{pod}-bzzz-agent")
    inside = f"{FIRST}-bzzzd"
    bzzz(podman, inside, "mesh", "admin", "add", "bzzz")
    invited = ("mesh", "invite", "--yes", "--uses", "100", "--expires", "30d", "--no-wait")
    token = bzzz(podman, inside, *invited)["token"]
    for folder in (second, portal):
        put_secret(folder, token)
    wait_for("all to be connected", lambda: connected(podman, FIRST) == {SECOND, PORTAL})
    meshes = {bzzz(podman, f"{pod}-bzzzd", "status")["mesh_id"] for pod in ADDRESSES}
    assert len(meshes) == 1
    wait_for("both agents", lambda: {row["id"] for row in bzzz(podman, inside, "agent", "list")["agents"]} == {
        f"{FIRST}-agent", f"{SECOND}-agent"
    })  # fmt: skip

    # A person of the mesh by docs/deployment.md; the portal has its grant after its next start.
    person = bzzz(podman, inside, "mesh", "invite", "--person", "portal", "--role", "operator", "--yes", "--no-wait")
    hap = f"{PORTAL}-bzzz-hap"
    joined = podman("exec", hap, "bzzz", "mesh", "join", person["token"], "--yes", "--id", "portal")
    assert "person portal" in joined
    podman("restart", "--time=30", hap)
    wait_for("the portal to be a person", lambda: "attached as portal" in asked(podman, hap, "8091/health"))

    # A pod that is replaced comes back by itself with what lies in its volume.
    assert stopped(podman, SECOND, kind="pod") < 60
    wait_for("the others to notice", lambda: connected(podman, FIRST) == {PORTAL})
    podman("pod", "start", SECOND)
    wait_for("all to be connected again", lambda: connected(podman, FIRST) == {SECOND, PORTAL})
