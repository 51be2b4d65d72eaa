"""The Kubernetes manifests: right by the schemas of Kubernetes, and what they promise about who may read what."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bzzzd.config.load import load
from tests.containers.conftest import ROOT

FOLDER = ROOT / "packaging" / "kubernetes"
MANIFESTS = ("namespace", "agent", "portal", "network-policy")
PATCHES = ("agent-sandbox",)
SETS = ("agent", "portal")


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / f"{name}.yaml").read_text()))


def of_kind(name: str, kind: str) -> dict[str, Any]:
    (found,) = (document for document in documents(name) if document["kind"] == kind)
    return found


def pod(name: str) -> dict[str, Any]:
    found: dict[str, Any] = of_kind(name, "StatefulSet")["spec"]["template"]["spec"]
    return found


def containers() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for name in SETS:
        for container in pod(name)["containers"]:
            yield pod(name), container


@pytest.fixture(scope="session")
def validate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """kubernetes-validate, pinned, in an environment of its own: it is larger than everything else that tests need."""
    lock = Path(__file__).with_name("requirements.txt")
    folder = ROOT / "build" / "kubernetes-validate"
    program, stamp = folder / "bin" / "kubernetes-validate", folder / "lock"
    if not (stamp.exists() and stamp.read_text() == lock.read_text()):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        done = subprocess.run(
            [
                str(folder / "bin" / "python"), "-m", "pip", "install", "-qq", "--no-deps", "--require-hashes",
                "--requirement", str(lock),
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"kubernetes-validate could not be fetched: {done.stderr.strip()[-300:]}")
        stamp.write_text(lock.read_text())
    return program


@pytest.mark.integration
def test_each_manifest_is_what_kubernetes_expects(validate: Path) -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == {*MANIFESTS, *PATCHES}
    for name in MANIFESTS:
        done = subprocess.run(
            [str(validate), "--strict", str(FOLDER / f"{name}.yaml")], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert (done.stdout + done.stderr).count(" passed ") == len(documents(name))


@pytest.mark.integration
def test_the_set_of_agents_is_right_with_the_sandbox_profile_as_well(validate: Path, tmp_path: Path) -> None:
    found = of_kind("agent", "StatefulSet")
    (patch,) = documents("agent-sandbox")
    spec, change = found["spec"]["template"]["spec"], patch["spec"]["template"]["spec"]
    (changed,) = change.pop("containers")
    spec.update(change)
    (agent,) = (container for container in spec["containers"] if container["name"] == changed["name"])
    agent["securityContext"].update(changed["securityContext"])
    whole = tmp_path / "agent.yaml"
    whole.write_text(yaml.safe_dump(found))
    done = subprocess.run([str(validate), "--strict", str(whole)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    profile = json.loads((FOLDER / changed["securityContext"]["seccompProfile"]["localhostProfile"]).read_text())
    denied = {name for rule in profile["syscalls"] for name in rule["names"]}
    assert {"bpf", "ptrace", "keyctl", "kexec_load", "init_module", "open_by_handle_at"} <= denied
    assert not {"unshare", "clone", "clone3", "mount", "umount2", "pivot_root", "sethostname"} & denied


def test_all_pods_keep_to_the_pod_security_standard_restricted() -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/: each of its demands."""
    labels = of_kind("namespace", "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    allowed = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    for spec, container in containers():
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["runAsUser"] > 0
        assert "privileged" not in context
        assert not any("hostPort" in port for port in container["ports"])
        for volume in spec["volumes"]:
            assert set(volume) - {"name"} <= allowed


def test_the_invitation_is_in_a_file_of_the_daemon_alone() -> None:
    for spec, container in containers():
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        assert ("join" in mounts) == (container["name"] == "bzzzd")
        assert not any("secretKeyRef" in str(variable) for variable in container.get("env", ()))
        (join,) = (volume["secret"] for volume in spec["volumes"] if volume["name"] == "join")
        assert join["defaultMode"] & 0o007 == 0


def test_each_program_has_a_uid_and_a_folder_of_its_own_that_a_mount_does_not_open() -> None:
    for name in SETS:
        spec = pod(name)
        assert len({container["securityContext"]["runAsUser"] for container in spec["containers"]}) == 2
        paths = [
            mount["subPath"]
            for container in spec["containers"]
            for mount in container["volumeMounts"]
            if mount["name"] == "state"
        ]
        assert len(set(paths)) == len(paths) == 2
        assert spec["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"


@pytest.mark.parametrize("name", SETS)
def test_the_configuration_in_the_manifests_is_right_and_probes_ask_its_ports(name: str, tmp_path: Path) -> None:
    kinds = {"bzzzd": "daemon", "bzzz-agent": "agent", "bzzz-hap": "hap"}
    data = of_kind(name, "ConfigMap")["data"]
    for file, text in data.items():
        (tmp_path / file).write_text(text)
    (tmp_path / "roles.yaml").write_text((ROOT / "etc" / "roles.yaml").read_text())
    for container in pod(name)["containers"]:
        file = Path(container["command"][2]).name
        settings = load(kinds[container["name"]], tmp_path / file)  # type: ignore[arg-type]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container[probe]["httpGet"]
            assert ports[asked["port"]] == settings.health_port
            assert asked["path"] in ("/healthz", "/readyz")
        assert settings.config.network.bind == "0.0.0.0"
        (mounted,) = (mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "state")
        assert Path(mounted) in settings.state_dir.parents
