import json
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.errors import StorageFailed
from bzzzd.runtime.log_render import REDACTED, JournalSink, RotatingFile, as_json, as_text, redact


def _redacted(**fields: Any) -> dict[str, Any]:
    return dict(redact(None, "info", dict(fields)))


@pytest.mark.parametrize(
    "key",
    ["seed", "node_seed", "secret", "role_secrets", "password", "api_key", "apikey", "private_key", "Authorization",
     "auth_token", "access_token", "token", "cookie", "passphrase", "signing_key", "credentials", "title", "brief"],
)  # fmt: skip
def test_a_field_named_like_a_secret_is_never_shown(key: str) -> None:
    assert _redacted(**{key: "hunter2"}) == {key: REDACTED}


@pytest.mark.parametrize(
    ("key", "value"),
    [("key_file", "/etc/bzzz/node.key"), ("public_key", "ab"), ("tokens", 12), ("token", [1, 4]), ("content_bytes", 5),
     ("secret", None), ("peer_id", "12D3"), ("content_type", "text/plain"), ("body", 17)],
)  # fmt: skip
def test_fields_that_are_no_secrets_stay(key: str, value: Any) -> None:
    assert _redacted(**{key: value}) == {key: value}


def test_secrets_are_found_at_any_depth_and_by_their_shape() -> None:
    shown = _redacted(
        event="dial https://me:pw@host/x with AGE-SECRET-KEY-1QQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
        config={"ai": {"api_key": "sk-1"}, "list": [{"password": "x"}]},
        header="Bearer abc.def",
        error=ValueError("AGE-SECRET-KEY-1ABC is bad"),
        raw=b"\x00" * 32,
    )
    assert shown == {
        "event": f"dial https://{REDACTED}@host/x with {REDACTED}",
        "config": {"ai": {"api_key": REDACTED}, "list": [{"password": REDACTED}]},
        "header": f"Bearer {REDACTED}",
        "error": f"{REDACTED} is bad",
        "raw": "<32 bytes>",
    }


def test_an_address_is_shown_whole() -> None:
    address = "ucxl://atlas:worker@site:plan/*^/brief"
    assert _redacted(address=address) == {"address": address}


def test_a_text_line_has_time_level_words_and_fields() -> None:
    line = as_text(
        {"event": "mesh ready", "level": "info", "timestamp": "T", "program": "bzzzd", "peers": 2, "why": "a b"}
    )
    assert line == 'T info     mesh ready  peers=2 why="a b"'


def test_a_traceback_follows_its_line_indented() -> None:
    assert as_text({"event": "bad", "exception": "Traceback:\n  here"}).splitlines()[1:] == [
        "    Traceback:",
        "      here",
    ]


@settings(max_examples=200, deadline=None)
@given(st.text(), st.text())
def test_words_of_strangers_cannot_forge_a_line_or_move_the_cursor(event: str, value: str) -> None:
    line = as_text({"event": event, "value": value})
    assert len(line.splitlines()) <= 1
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in line)
    assert len(as_json({"event": event, "value": value}).split("\n")) == 1


def _lines(path: Path) -> list[str]:
    return [json.loads(line)["event"] for line in path.read_text().splitlines()]


def test_a_log_file_is_private_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "bzzzd.log"
    log = RotatingFile(path, as_json, max_bytes=60, keep=2)
    for number in range(20):
        log.write({"event": f"line {number:02}"})
    log.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bzzzd.log", "bzzzd.log.1", "bzzzd.log.2"]
    assert all(file.stat().st_size <= 60 for file in tmp_path.iterdir())
    kept = [line for name in ("bzzzd.log.2", "bzzzd.log.1", "bzzzd.log") for line in _lines(tmp_path / name)]
    assert kept == [f"line {number:02}" for number in range(20 - len(kept), 20)]


def test_a_log_file_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "bzzzd.log"
    for event in ("first", "second"):
        log = RotatingFile(path, as_json)
        log.write({"event": event})
        log.close()
    assert _lines(path) == ["first", "second"]


def test_a_log_file_that_cannot_be_opened_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match=r"cannot write the log file .*correct logging\.file"):
        RotatingFile(tmp_path / "missing" / "bzzzd.log", as_json)


def test_a_full_disk_is_complained_about_once(capsys: pytest.CaptureFixture[str]) -> None:
    log = RotatingFile(Path("/dev/full"), as_json)
    for _ in range(3):
        log.write({"event": "x"})
    log.close()
    assert capsys.readouterr().err.count("cannot write the log file /dev/full: No space left on device") == 1


def test_journald_gets_native_fields(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journald:
        journald.bind(str(tmp_path / "socket"))
        journald.settimeout(2)
        sink = JournalSink("bzzzd", tmp_path / "socket")
        sink.write(
            {"event": "claimed", "level": "warning", "task_id": "t1", "agent": "a1", "peer_id": "12D3",
             "code": "STALE_TOKEN", "took_s": 0.5, "capabilities": ["a", "b"],
             "exception": "Traceback:\nline"}
        )  # fmt: skip
        sent = journald.recv(4000)
        sink.close()
    assert b"\nPRIORITY=4\n" in b"\n" + sent
    for field in (
        b"TASK_ID=t1",
        b"AGENT_ID=a1",
        b"PEER_ID=12D3",
        b"ERROR_CODE=STALE_TOKEN",
        b"BZZZ_TOOK_S=0.5",
        b'BZZZ_CAPABILITIES=["a", "b"]',
    ):
        assert field + b"\n" in sent
    assert b"SYSLOG_IDENTIFIER=bzzzd\n" in sent
    assert b"claimed  task_id=t1" in sent


def test_a_journald_that_is_away_loses_no_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sink = JournalSink("bzzzd", tmp_path / "nobody")
    sink.write({"event": "claimed", "level": "info"})
    sink.close()
    assert "claimed" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_cannot_be_rotated_closes_no_descriptor_of_anybody_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "l.log"
    log = RotatingFile(path, as_json, max_bytes=60, keep=3)
    (tmp_path / "l.log.3").mkdir()
    (tmp_path / "l.log.3" / "kept").touch()
    (tmp_path / "l.log.2").touch()
    for _ in range(2):
        log.write({"event": "x" * 50})
    with (tmp_path / "other").open("w") as other:
        log.write({"event": "x" * 50})
        other.write("whole")
        other.flush()
        assert os.fstat(other.fileno()).st_size == 5
    assert "cannot write the log file" in capsys.readouterr().err
    log.close()
