"""The package with the small model: two files installed on a machine without a network, and agents answer."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.appliance.conftest import Box, wait_for

TEXT = "Lead acid batteries are heavy. They are cheap, and they last for about five years when they are kept charged."


MODEL = {"summarise", "answer"}


def offered(box: Box) -> set[str]:
    return {name for row in box.bzzz("agent", "list", user="alice")["agents"] for name in row["capabilities"]}


@pytest.fixture(scope="module")
def box(machines: Callable[[int], list[Box]], debs: dict[str, Path]) -> Box:
    found = machines(1)[0]
    found.install(debs["bzzz"], debs["bzzz-model-smollm2"])
    found.wait_healthy()
    found.add_user("alice", "bzzz")
    found.add_user("dora", "bzzz")
    found.run("bzzz", "mesh", "admin", "add", "dora")
    return found


def test_a_fresh_install_summarises_for_a_guest(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    wait_for("the model to be loaded", lambda: offered(box) >= MODEL)
    began = time.monotonic()
    task = box.submit("batteries", "summarise", body=TEXT, user="alice")
    done = wait_for("the summary", lambda: box.ended(task, user="dora"), 120)
    took_s = time.monotonic() - began
    assert done["state"] == "completed", done
    said = box.run("bzzz", "context", "get", done["address"], user="dora")
    # What so small a model says is by chance now and then beside the point; that it read the text is not.
    sentences, read = re.match(r"([A-Z][^\n]+\.) [A-Z][^\n]+\.\n", said), re.search(r"\((\d+) tokens read", said)
    assert sentences, said
    assert read, said
    assert int(read[1]) > len(TEXT.split()), said
    memory = int(box.show("bzzz-agent", "MemoryCurrent")) / 1e6
    with capsys.disabled():
        print(f"\n  a summary, s {took_s:26.2f}\n  bzzz-agent with the model: memory, MB {memory:.0f}")


def test_without_its_package_the_agent_says_what_is_missing(box: Box) -> None:
    box.run("apt-get", "remove", "--yes", "--quiet", "bzzz-model-smollm2", limit_s=120)
    box.run("systemctl", "restart", "bzzz-agent", limit_s=90)
    box.wait_healthy()
    wait_for("the offer to be gone", lambda: not MODEL & offered(box))
    wait_for(
        "the agent to say so",
        lambda: "apt install bzzz-model-smollm2" in box.run("journalctl", "--no-pager", "-u", "bzzz-agent", "-n", "50"),
    )
