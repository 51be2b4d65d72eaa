"""What a unit does not close, it gives its reason for."""

from __future__ import annotations

from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "units"
# Every wall that systemd has for a service (systemd.exec(5), systemd.resource-control(5)), at its highest.
CLOSED = {
    "AmbientCapabilities": "", "CapabilityBoundingSet": "", "IPAddressDeny": "any", "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes", "NoNewPrivileges": "yes", "PrivateDevices": "yes", "PrivateNetwork": "yes",
    "PrivateTmp": "yes", "PrivateUsers": "yes", "ProcSubset": "pid", "ProtectClock": "yes",
    "ProtectControlGroups": "yes", "ProtectHome": "yes", "ProtectHostname": "yes", "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes", "ProtectKernelTunables": "yes", "ProtectProc": "invisible",
    "ProtectSystem": "strict", "RemoveIPC": "yes", "RestrictNamespaces": "yes", "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes", "SystemCallArchitectures": "native", "UMask": "0077",
}  # fmt: skip


@pytest.mark.parametrize("name", ["bzzzd.service", "bzzz-agent.service", "bzzz-agent@.service"])
def test_each_exemption_has_its_reason_in_the_unit(name: str) -> None:
    lines = (UNITS / name).read_text().splitlines()
    reasons = "\n".join(line for line in lines if line.startswith("#"))
    given = dict(line.partition("=")[::2] for line in lines if "=" in line and not line.startswith("#"))
    unexplained = []
    for number, line in enumerate(lines):
        key, _, value = line.partition("=")
        if CLOSED.get(key, value) != value and not lines[number - 1].startswith("#"):
            unexplained.append(line)  # its reason stands right above it
    unexplained += [key for key in CLOSED if key not in given and f"{key}=" not in reasons]
    families = set(given["RestrictAddressFamilies"].split()) - {"AF_UNIX"}
    unexplained += [family for family in families if family not in reasons]
    assert unexplained == []


def test_an_instance_of_the_agent_has_the_walls_of_the_agent() -> None:
    one, named = ((UNITS / f"bzzz-agent{at}.service").read_text() for at in ("", "@"))
    same = named.replace("agent %i", "agent").replace("agent@%i", "agent").replace("bzzz-agent-%i", "bzzz-agent")
    assert same == one
