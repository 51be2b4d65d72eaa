"""A system-call filter for sandboxes, as the BPF program that ``bwrap --seccomp`` loads.

It keeps a sandboxed program from making user namespaces of its own (the way to most kernel faults
that need no privilege) where ``--disable-userns`` cannot, and closes calls that no task needs.

    load arch      not ours                 → kill    (else one number would mean another call)
    load nr        x32 numbers (x86-64)     → kill
                   a denied call            → EPERM
                   clone3                   → ENOSYS  (its flags are in memory, out of a filter's
                                              sight; libc then uses clone)
                   clone, unshare           → EPERM if the flags have CLONE_NEWUSER
    otherwise                               → allow

The instructions are the kernel's classic BPF (``linux/filter.h``, ``linux/seccomp.h``); the shape
of the filter follows the one that Flatpak puts around its applications.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_ANY_BIT: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K

_ALLOW: Final = 0x7FFF0000
_KILL: Final = 0x80000000  # the whole process
_ERRNO: Final = 0x00050000

# Offsets in struct seccomp_data; arguments are 64 bits wide, their low half first on both machines.
_NR: Final = 0
_ARCH: Final = 4
_FIRST_ARGUMENT: Final = 16

CLONE_NEWUSER: Final = 0x10000000
_X32_BIT: Final = 0x40000000

# Since Linux 5.x, new calls have one number everywhere.
_COMMON: Final = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442,
}  # fmt: skip


class Machine(NamedTuple):
    """One processor architecture: its audit number, its call numbers, and whether it has x32 calls."""

    arch: int
    clone: int
    clone3: int
    unshare: int
    denied: Mapping[str, int]
    x32: bool


MACHINES: Final[Mapping[str, Machine]] = {
    "x86_64": Machine(
        arch=0xC000003E, clone=56, clone3=435, unshare=272, x32=True,
        denied=_COMMON | {
            "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "bpf": 321,
            "perf_event_open": 298, "userfaultfd": 323, "add_key": 248, "request_key": 249, "keyctl": 250,
            "kexec_load": 246, "init_module": 175, "finit_module": 313, "delete_module": 176,
        },
    ),
    "aarch64": Machine(
        arch=0xC00000B7, clone=220, clone3=435, unshare=97, x32=False,
        denied=_COMMON | {
            "setns": 268, "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51, "bpf": 280,
            "perf_event_open": 241, "userfaultfd": 282, "add_key": 217, "request_key": 218, "keyctl": 219,
            "kexec_load": 104, "init_module": 105, "finit_module": 273, "delete_module": 106,
        },
    ),
}  # fmt: skip


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def program(machine: Machine) -> bytes:
    """The filter for ``machine``: an array of ``struct sock_filter``, 8 bytes each."""
    refuse, missing = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    # A match falls into the return that follows it; anything else skips that return.
    steps = [
        _step(_LOAD, _ARCH),
        _step(_EQUAL, machine.arch, if_true=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NR),
    ]
    if machine.x32:
        steps += [_step(_AT_LEAST, _X32_BIT, if_false=1), _step(_RETURN, _KILL)]
    for number in machine.denied.values():
        steps += [_step(_EQUAL, number, if_false=1), _step(_RETURN, refuse)]
    steps += [_step(_EQUAL, machine.clone3, if_false=1), _step(_RETURN, missing)]
    steps += [
        _step(_EQUAL, machine.clone, if_true=1),
        _step(_EQUAL, machine.unshare, if_false=2),
        _step(_LOAD, _FIRST_ARGUMENT),
        _step(_ANY_BIT, CLONE_NEWUSER, if_true=1),
        _step(_RETURN, _ALLOW),
        _step(_RETURN, refuse),
    ]
    return b"".join(steps)


def program_here() -> bytes | None:
    """The filter for the running machine, or ``None`` where its call numbers are not known."""
    machine = MACHINES.get(platform.machine())
    return program(machine) if machine else None
