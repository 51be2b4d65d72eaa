"""The base: a small Debian made once by debootstrap, and kept under a name made from what is in it."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Final

from nodelab.shell import LabError, attempt, run

SUITE: Final = "bookworm"
PACKAGES: Final = (
    "systemd", "systemd-sysv", "dbus", "libpam-systemd", "python3", "iproute2", "iputils-ping", "procps",
    "ca-certificates", "bubblewrap", "libgomp1", "bash-completion", "adduser",
)  # fmt: skip
_MAKE_S: Final = 1200.0


def make_base(folder: Path, hosts: str) -> Path:
    """The root folder of the base, made if it is not there; ``hosts`` is its /etc/hosts."""
    name = hashlib.sha256(" ".join([SUITE, hosts, *PACKAGES]).encode()).hexdigest()[:12]
    base = folder / f"base-{name}"
    if (base / ".lab-ready").exists():
        return base
    shutil.rmtree(base, ignore_errors=True)
    (folder / "debs").mkdir(parents=True, exist_ok=True)
    try:
        run(
            "debootstrap", "--variant=minbase", f"--cache-dir={folder / 'debs'}", f"--include={','.join(PACKAGES)}",
            SUITE, str(base), _mirror(), limit_s=_MAKE_S,
        )  # fmt: skip
    except LabError as error:
        raise LabError(f"the base could not be made ({error}); check that this machine reaches its mirror") from error
    _settle(base, hosts)
    return base


def _mirror() -> str:
    """Where this machine itself gets its packages from."""
    sites = run("apt-get", "indextargets", "--format", "$(SITE)").split()
    found = next((site for site in sites if "security" not in site), None)
    if found is None:
        raise LabError("apt on this machine knows no mirror; run: apt-get update")
    return found


def _settle(base: Path, hosts: str) -> None:
    (base / "etc/machine-id").write_text("")  # each machine makes its own at its first boot
    (base / "var/lib/dbus/machine-id").unlink(missing_ok=True)
    for deb in (base / "var/cache/apt/archives").glob("*.deb"):
        deb.unlink()
    # No name server answers: what looks a name up must fail at once, not hang.
    (base / "etc/resolv.conf").unlink(missing_ok=True)
    (base / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
    (base / "var/log/journal").mkdir(exist_ok=True)  # so that logs outlive a power cut
    (base / "etc/hosts").write_text(hosts)
    for timer in ("apt-daily", "apt-daily-upgrade", "systemd-tmpfiles-clean"):
        attempt("ln", "-s", "/dev/null", str(base / f"etc/systemd/system/{timer}.timer"))
    (base / ".lab-ready").write_text("")
