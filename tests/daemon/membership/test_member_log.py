"""The roll on disk: what was noted is there again, and a torn or grown file does no harm."""

from __future__ import annotations

from pathlib import Path

from bzzzd.daemon.membership.member_log import MemberLog
from bzzzd.errors import GrantRefused

CHAINS = [(bytes([n]) * 40, b"issuer") for n in range(1, 8)]


def read(path: Path) -> list[tuple[bytes, ...]]:
    found: list[tuple[bytes, ...]] = []
    MemberLog(path).load(found.append)
    return found


def test_what_was_noted_is_read_again_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "members.log"
    log = MemberLog(path)
    log.load(lambda chain: None)
    for chain in CHAINS:
        log.note(chain)
        log.flush(list)
    assert read(path) == CHAINS
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_torn_end_loses_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "members.log"
    log = MemberLog(path)
    for chain in CHAINS:
        log.note(chain)
    log.flush(list)
    path.write_bytes(path.read_bytes()[:-3])
    assert read(path) == CHAINS[:-1]


def test_a_file_of_which_little_counts_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "members.log"
    log = MemberLog(path)
    for chain in CHAINS:
        log.note(chain)
    log.flush(list)

    def admit(chain: tuple[bytes, ...]) -> None:
        if chain != CHAINS[0]:
            raise GrantRefused("of another mesh")

    MemberLog(path).load(admit)
    assert read(path) == [CHAINS[0]]
