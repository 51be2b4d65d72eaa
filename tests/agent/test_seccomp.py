import errno
import struct

import pytest

from bzzzd.agent import seccomp

ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS


def run(program: bytes, arch: int, number: int, argument: int = 0) -> int:
    """A classic BPF machine, as far as the filter uses it."""
    data = struct.pack("=IIQQ", number, arch, 0, argument)
    steps = list(struct.iter_unpack("=HBBI", program))
    at, value = 0, 0
    while True:
        code, if_true, if_false, operand = steps[at]
        at += 1
        if code == 0x20:
            (value,) = struct.unpack_from("=I", data, operand)
        elif code == 0x06:
            return int(operand)
        else:
            match = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}[code]
            at += if_true if match else if_false


@pytest.mark.parametrize("name", sorted(seccomp.MACHINES))
def test_every_denied_call_is_refused_and_others_are_allowed(name: str) -> None:
    machine = seccomp.MACHINES[name]
    program = seccomp.program(machine)
    for number in machine.denied.values():
        assert run(program, machine.arch, number) == EPERM
    special = {machine.clone, machine.unshare, machine.clone3}
    for number in set(range(600)) - set(machine.denied.values()) - special:
        assert run(program, machine.arch, number) == ALLOW


@pytest.mark.parametrize("name", sorted(seccomp.MACHINES))
def test_a_user_namespace_is_refused_by_every_way_to_make_one(name: str) -> None:
    machine = seccomp.MACHINES[name]
    program = seccomp.program(machine)
    flags = seccomp.CLONE_NEWUSER | 0x11
    for call in (machine.clone, machine.unshare):
        assert run(program, machine.arch, call, flags) == EPERM
        assert run(program, machine.arch, call, 0x11) == ALLOW
    assert run(program, machine.arch, machine.clone3) == ENOSYS


@pytest.mark.parametrize("name", sorted(seccomp.MACHINES))
def test_a_call_of_another_architecture_kills_the_process(name: str) -> None:
    machine = seccomp.MACHINES[name]
    assert run(seccomp.program(machine), 0x40000003, 1) == KILL
    x32 = run(seccomp.program(machine), machine.arch, 0x40000000 | 1)
    assert x32 == (KILL if machine.x32 else ALLOW)


def test_the_numbers_agree_with_the_running_kernel() -> None:
    assert seccomp.program_here() is not None
