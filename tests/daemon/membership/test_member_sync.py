"""What a node says of its roll when something of its own fails: it is nobody's forged grant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bzzzd.daemon.membership.member_log import MemberLog
from bzzzd.daemon.membership.member_sync import MemberSync
from bzzzd.rpc.streams import Stream


async def test_a_roll_that_cannot_be_written_is_told_as_that(tmp_path: Path) -> None:
    events: Stream = Stream("one")
    nobody: Any = None
    sync = MemberSync(nobody, MemberLog(tmp_path), nobody, events, nobody, "charter")  # a folder is no file
    await sync.close()
    (told,) = (entry.value for entry in events.after(0, 9))
    assert (told["source"], told["kind"]) == ("members", "members_not_written")
    assert str(tmp_path) in told["detail"]
