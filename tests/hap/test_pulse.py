"""A bzzzd that is frozen, a ledger that is away, and how both are told in a narrow window."""

from __future__ import annotations

import os
import signal
import socket
import struct
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from bzzzd.hap.feeds import mesh
from bzzzd.hap.handlers import pulse
from bzzzd.hap.messages import Answered, Ask, Came, Due, Later, Offline, Online, Refused, Tick, Told
from bzzzd.hap.rows import plain
from bzzzd.hap.ticking import next_tick
from bzzzd.hap.update import update
from bzzzd.hap.values.model import Model
from bzzzd.hap.values.things import Fault
from bzzzd.hap.view import view

from .builders import GUEST, HEALTH, LENA, NOW, STATUS, after, blank, keys, online, opened
from .portals import Home, Terminal

BEAT = Due("pulse")


def rows(model: Model) -> list[str]:
    return [plain(row).rstrip() for row in view(model, model.width, model.height).rows]


def asked() -> Model:
    return after(online(), Tick(NOW + 10), BEAT)


def test_one_question_goes_out_now_and_then_and_an_answer_in_time_is_all() -> None:
    _, effects = update(blank(), Online(LENA, STATUS))
    assert Later(pulse.PULSE_S, BEAT) in effects
    assert Later(pulse.PULSE_S, BEAT) not in update(online(), Online(LENA, STATUS))[1]  # it goes on already
    model, effects = update(after(online(), Tick(NOW + 100)), BEAT)
    assert effects == (Ask("health", {}, ("health",)), Ask("status", {}, ("status",)), Later(pulse.PULSE_S, BEAT))
    assert next_tick(model) == pulse.SILENT_S
    model = after(model, Answered(("health",), HEALTH), Tick(NOW + 160))
    assert (model.link.state, model.link.seen) == ("online", NOW + 100)


def test_without_an_answer_bzzzd_is_away_and_anything_from_it_brings_it_back() -> None:
    refused = after(asked(), Refused(("health",), Fault("NOT_READY", "it starts")), Tick(NOW + 60))
    assert refused.link.state == "online"
    gone = Refused(("health",), Fault("UNREACHABLE", "no answer within 10 s"))
    model = after(asked(), Tick(NOW + 10 + pulse.SILENT_S), gone)
    assert (model.link.state, model.link.since, model.link.silent) == ("offline", NOW + 10, True)
    assert "bzzzd has not answered" in " ".join(rows(model)[1:3])
    assert update(model, BEAT)[1][0] == Ask("health", {}, ("health",))
    model, effects = update(model, Came("agents", (), 1))
    assert (model.link.state, model.link.silent, model.link.asked) == ("online", False, 0)
    assert "task.list" in [effect.method for effect in effects if isinstance(effect, Ask)]


def test_a_connection_that_ends_is_asked_no_more_until_it_is_back() -> None:
    model, effects = update(after(asked(), Offline("no socket")), BEAT)
    assert effects == ()
    assert Later(pulse.PULSE_S, BEAT) in update(model, Online(LENA, STATUS))[1]


def test_the_context_in_view_is_asked_for_again_now_and_then() -> None:
    assert Later(0.4, Due("ask", "context")) in update(after(online(), *keys("4")), BEAT)[1]
    assert Later(0.4, Due("ask", "context")) not in update(online(), BEAT)[1]


def test_what_was_heard_until_bzzzd_went_counts_as_seen() -> None:
    model = after(online(), Tick(NOW + 300), Offline("no socket"))
    assert model.link.seen == NOW + 300
    assert after(blank(), Online(LENA, STATUS), Offline("no socket")).link.seen == 0


def test_a_ledger_that_does_not_answer_is_told_by_the_banner() -> None:
    told = {"node_id": "node-2", "coordinator": "node-1", "durability": "unknown"}
    model = after(online(), Answered(("status",), mesh.status(told)))
    assert "the ledger at node-1 does not answer" in rows(model)[1]
    told["durability"] = "replicated"
    assert "STATE" in rows(after(model, Answered(("status",), mesh.status(told))))[1]


def test_a_banner_that_is_too_long_takes_two_rows_where_there_is_room() -> None:
    mend = replace(GUEST, mend="ask an administrator of this machine to run: sudo bzzz mesh admin add lena")
    model = after(blank(), Online(mend, STATUS))
    assert " ".join(row.strip() for row in rows(model)[1:3]).endswith("mesh admin add lena")
    assert "STATE" in rows(model)[3]
    assert "STATE" not in rows(replace(model, height=12))[1]
    assert "AGE" in rows(replace(model, width=40, height=12))[2]


def test_warnings_of_the_node_are_told_once_and_whole() -> None:
    warning = "approvals are not protected from local agents: daemon, agents and people share one uid here: " \
        "any process of that user can answer in their name"  # fmt: skip
    model = after(online(), *keys("7"))
    model = replace(model, status=replace(STATUS, development=True, warnings=(warning,)))
    shown = rows(model)
    assert " ".join(row.strip(" ▲") for row in shown[3:5]) == warning
    assert "SERVICE" in shown[6]
    assert "share one uid" in rows(replace(model, status=replace(STATUS, development=True)))[3]


def test_who_reads_a_decision_is_told_whole() -> None:
    readers = ("admin", "coordinator", "operator", "reviewer", "worker")
    model = opened()
    assert model.page is not None
    assert model.page.decision is not None
    decision = replace(model.page.decision, readers=readers)
    shown = rows(replace(model, page=replace(model.page, decision=decision)))
    assert f" read by {', '.join(readers)}" in shown


def test_who_starts_without_bzzzd_reads_the_whole_reason_in_the_empty_list() -> None:
    why = "bzzzd is not running: there is no socket at /run/bzzz/bzzzd.sock; start it with: " + "systemctl " * 9 + "end"
    assert why in " ".join(row.strip() for row in rows(after(blank(), Offline(why)))[5:9])


LONG = "not sent: the ledger refused it, " + "because it was not what it should have been, " * 3 + "so mend it (CODE)"


@pytest.mark.parametrize("typed", ["", "n", ":", "?", "/"])
def test_a_long_notice_is_told_whole_above_the_bottom_line(typed: str) -> None:
    model = after(online(), *keys(typed), Told(LONG, "bad"))
    shown = " ".join(row.strip() for row in rows(model)[-4:])
    assert LONG in shown
    assert len(rows(model)) == model.height
    assert LONG not in " ".join(row.strip() for row in rows(after(model, Tick(NOW + 60)))[-4:])


def test_a_notice_longer_than_its_rows_ends_with_a_sign_of_it() -> None:
    shown = rows(after(online(), Told(LONG * 5, "bad")))
    assert shown[-1].endswith("…")
    assert "STATE" in shown[1]


def test_a_short_notice_stays_in_the_bottom_line_beside_the_badge() -> None:
    shown = rows(after(online(), Told("theme: dark")))
    assert "1 needs you  theme: dark" in shown[-1]
    assert "? help" in shown[-2]


def _pid_behind(path: str) -> int:
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(path)
        found = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", found)[0])


@pytest.mark.integration
async def test_a_frozen_bzzzd_is_told_and_comes_back(node: Home, open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal(120, 30)
    await terminal.shows("● lena", 40)
    await terminal.walk(("7", "ledger"))
    daemon = _pid_behind(str(node.socket))
    os.kill(daemon, signal.SIGSTOP)
    try:
        await terminal.shows("offline.*bzzzd has not answered", 40)
        await terminal.shows("ready +ledger")  # what was seen stays
    finally:
        os.kill(daemon, signal.SIGCONT)
    await terminal.shows("● lena", 40)
