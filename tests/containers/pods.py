"""Containers and pods as their users start, ask and stop them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.containers.conftest import IMAGE, Podman, wait_for
from tests.containers.test_manifests import of_kind

CAPABILITIES = ("--cap-drop=ALL", "--cap-add=SETUID", "--cap-add=SETGID", "--cap-add=KILL")
RESTRICTED = ("--cap-drop=ALL", "--security-opt=no-new-privileges", "--read-only", "--tmpfs=/tmp")
HEALTHY = "/usr/share/bzzz/supervisor/healthy"
GROUP = 2000


def wait_healthy(podman: Podman, name: str) -> None:
    said = ""

    def well() -> bool:
        nonlocal said
        assert podman.inspect(name)["State"]["Running"], podman("logs", name, ok=False)
        said = podman("exec", name, HEALTHY, ok=False).strip()
        return said == "ready"

    try:
        wait_for(f"{name} to be healthy", well)
    except AssertionError as error:
        raise AssertionError(f"{error}: {said}\n{podman('logs', '--tail=30', name, ok=False)}") from None


def bzzz(podman: Podman, container: str, *words: str, user: str = "bzzz") -> Any:
    """What a command of ``bzzz`` answers in a container."""
    return json.loads(podman("exec", f"--user={user}", container, "bzzz", *words, "--json"))


def asked(podman: Podman, container: str, url: str) -> str:
    """What ``GET http://127.0.0.1:PORT/PATH`` answers in a container, or why it does not."""
    ask = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{url}', timeout=5).read().decode())"
    return podman("exec", container, "python3", "-c", ask, ok=False)


def attached(podman: Podman, name: str) -> bool:
    return any(row["attached"] for row in bzzz(podman, name, "agent", "list")["agents"])


def stopped(podman: Podman, name: str, *, kind: str = "container") -> float:
    """Stop it as its user would; how long that took, in seconds."""
    began = time.monotonic()
    podman(*(("pod",) if kind == "pod" else ()), "stop", "--time=60", name)
    return time.monotonic() - began


def as_pod(name: str, folder: Path, pod: str, hosts: Mapping[str, str]) -> Path:
    """A set's pod for podman: its volumes as a kubelet with `fsGroup` prepares them, one folder each; no probes.

    podman 4.3 knows neither single files of a ConfigMap nor volume claims, and schedules no probes. ``hosts`` has
    the addresses that the cluster's name server would know.
    """
    spec: dict[str, Any] = of_kind(name, "StatefulSet")["spec"]["template"]["spec"]
    data = of_kind(name, "ConfigMap")["data"]
    volumes: dict[str, Path] = {}

    def make(volume: str, mode: int) -> str:
        path = volumes.setdefault(volume, folder / volume)
        if not path.exists():
            path.mkdir()
            path.chmod(mode)
        return volume

    for container in spec["containers"]:
        container.update(image=IMAGE, imagePullPolicy="Never")
        for key in ("ports", "startupProbe", "livenessProbe", "readinessProbe"):
            container.pop(key)
        for mount in container["volumeMounts"]:
            part = mount.pop("subPath", "")
            if mount["name"] == "config":
                mount["name"] = part.replace(".", "-")
                volumes[mount["name"]] = folder / part
                (folder / part).write_text(data[part])
            elif mount["name"] == "state":
                mount["name"] = make(f"state-{part}", 0o2775)
            else:
                make(mount["name"], 0o2750 if mount["name"] == "join" else 0o2777)
    spec["hostAliases"] = [{"ip": address, "hostnames": [host]} for host, address in hosts.items()]
    spec["volumes"] = [
        {"name": volume, "hostPath": {"path": str(path), "type": "File" if path.is_file() else "Directory"}}
        for volume, path in volumes.items()
    ]
    made = folder / "pod.yaml"
    made.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod}, "spec": spec}))
    return made


def play(
    podman: Podman, name: str, folder: Path, pod: str, *network: str, hosts: Mapping[str, str] | None = None
) -> None:
    """Start a set's pod ``pod`` with its volumes in ``folder``, without a network where none is given."""
    made = as_pod(name, folder, pod, hosts or {})
    for path in folder.iterdir():
        if path.is_dir():
            mode = path.stat().st_mode
            os.chown(path, 0, GROUP)
            path.chmod(mode)
    podman("play", "kube", *(network or ("--network=none",)), str(made))


def put_secret(folder: Path, token: str) -> None:
    """What the Secret ``bzzz-join`` does: a file of the pod's group, and of nobody else."""
    path = folder / "join" / "invitation"
    path.write_text(token)
    os.chown(path, 0, GROUP)
    path.chmod(0o440)
