"""Each view at three sizes, as it was when somebody last looked at it and found it good.

``pytest tests/hap --renew-goldens`` writes them anew; look at the difference before committing it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bzzzd.hap.messages import Act, Offline, Online, Paste, Sheets, Snapshot
from bzzzd.hap.rows import Frame, plain
from bzzzd.hap.values.model import Model
from bzzzd.hap.view import view
from bzzzd.hmmm.folders import read_forms

from .builders import CHOICES, FIELDS, GUEST, STATUS, after, blank, keys, online, opened, prompt_page, prompted

SHIPPED, _ = read_forms([Path(__file__).parents[2] / "etc" / "templates"])
GOLDENS = Path(__file__).parent / "goldens"
SIZES = ((80, 24), (120, 40), (40, 12))


def _form(width: int, height: int) -> Model:
    model = after(online(width, height), *keys("n"), Paste("Check the backups of the mail server"), *keys("tab"))
    return after(model, Paste("They should hold:\n- the queues\n- the keys\n\nTell me what is missing."))


def _incident(width: int, height: int) -> Model:
    model = after(online(width, height), Sheets(SHIPPED, ()))
    texts = {"what": "Mail is not delivered", "severity": "major", "affected": "everybody", "lead": "otto"}
    return after(model, Act("write", {"form": "incident", **texts}), *keys("tab tab tab tab"), Paste("queue is full\n"))


VIEWS: dict[str, Callable[[int, int], Model]] = {
    "first": blank,
    "tasks": online,
    "tasks-none": lambda w, h: online(w, h, tasks=()),
    "tasks-filtered": lambda w, h: after(online(w, h), *keys("/ o t t o")),
    "tasks-canceling": lambda w, h: after(online(w, h), *keys("j c")),
    "tasks-offline": lambda w, h: after(online(w, h), Offline("bzzzd does not answer on /run/bzzz/bzzzd.sock")),
    "tasks-guest": lambda w, h: after(blank(w, h), Online(GUEST, STATUS), Snapshot((), 3)),
    "inbox": lambda w, h: after(online(w, h), *keys("1")),
    "inbox-none": lambda w, h: after(online(w, h, tasks=()), *keys("1")),
    "inbox-prompts": lambda w, h: after(prompted(online(w, h)), *keys("1")),
    "prompt": lambda w, h: prompt_page(online(w, h)),
    "prompt-confirm": lambda w, h: after(prompt_page(online(w, h)), *keys("a")),
    "prompt-word": lambda w, h: after(prompt_page(online(w, h), risk="high"), *keys("a d e l")),
    "prompt-choose": lambda w, h: after(prompt_page(online(w, h), kind="choose", choices=CHOICES), *keys("a j")),
    "prompt-form": lambda w, h: after(prompt_page(online(w, h), kind="form", form=FIELDS), *keys("a 3 0 tab")),
    "threads-none": lambda w, h: after(online(w, h), *keys("3")),
    "context-none": lambda w, h: after(online(w, h), *keys("4")),
    "events-none": lambda w, h: after(online(w, h), *keys("8")),
    "logs-none": lambda w, h: after(online(w, h), *keys("9")),
    "agents": lambda w, h: after(online(w, h), *keys("5")),
    "peers": lambda w, h: after(online(w, h), *keys("6")),
    "health": lambda w, h: after(online(w, h), *keys("7 G")),
    "task-decision": opened,
    "task-brief": lambda w, h: after(opened(w, h), *keys("b")),
    "task-trace": lambda w, h: after(opened(w, h), *keys("t")),
    "peer-page": lambda w, h: after(online(w, h), *keys("6 enter")),
    "form": _form,
    "form-template": _incident,
    "form-preview": lambda w, h: after(_incident(w, h), *keys("f3")),
    "form-list": lambda w, h: after(online(w, h), Sheets(SHIPPED, ()), *keys("N")),
    "palette": lambda w, h: after(online(w, h), *keys(": c a")),
    "help": lambda w, h: after(online(w, h), *keys("?")),
}


def _drawn(frame: Frame) -> str:
    """The frame as a person sees it, then the styles of each row with their lengths."""
    lines = [f"|{plain(row)}|" for row in frame.rows]
    styles = [" ".join(f"{style.replace(chr(10), '→')}:{len(text)}" for style, text in row) for row in frame.rows]
    return "\n".join([*lines, f"cursor {frame.cursor}", *styles])


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_looks_as_it_did(name: str, request: pytest.FixtureRequest) -> None:
    drawn = "\n\n".join(f"{w} x {h}\n{_drawn(view(VIEWS[name](w, h), w, h))}" for w, h in SIZES) + "\n"
    path = GOLDENS / f"{name}.txt"
    if request.config.getoption("--renew-goldens", default=False):
        path.parent.mkdir(exist_ok=True)
        path.write_text(drawn, encoding="utf-8")
    assert drawn == path.read_text(encoding="utf-8")
