"""``scripts/run``: start one node, do a real task on it, and stay until Ctrl-C.

open the folder → write the configuration → supervisord → bzzzd ready → agent ready → sample → stay
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import FrameType
from typing import Any

from steps import Step, Steps

from bzzzd.errors import BzzzError, ServiceStartFailed, Unreachable
from bzzzd.rpc.blocking import BlockingClient
from localnode.folder import ROOT, Folder, leave, open_folder, write_configuration
from localnode.sample import Decision, run_sample
from localnode.supervision import Supervision, running, start

READY_LIMIT_S = 90.0
POLL_S = 0.05
WIDTH = 100


class Interrupted(Exception):
    """SIGTERM or SIGHUP came; Ctrl-C is ``KeyboardInterrupt``."""


def main() -> int:
    os.environ.pop("PYTHONPATH", None)  # it led to this package and is no business of the processes started here
    given = _arguments()
    steps = Steps()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return _run(given, steps)
    except (KeyboardInterrupt, Interrupted):
        return 130
    except BrokenPipeError:  # whoever read our output has gone; everything is stopped by now
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except BzzzError as error:
        print(f"run: {error.message} ({error.code})", file=sys.stderr)
        return error.exit_status


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/run",
        description="Start one node with an agent and a small local model, and do a real task on it.",
        epilog="On a terminal the node runs until Ctrl-C; without one, the program ends after the sample task.",
    )
    parser.add_argument("--once", action="store_true", help="stop everything after the sample task")
    parser.add_argument("--portal", action="store_true", help="open the portal on the running node")
    parser.add_argument("--state", type=Path, default=ROOT / "state", metavar="DIR", help="state folder (./state)")
    return parser.parse_args()


def _run(given: argparse.Namespace, steps: Steps) -> int:
    folder = open_folder(given.state.absolute())
    supervision = running(folder)
    if supervision is not None:
        steps.say(f"a node already runs in {folder.path}; using it and leaving it running")
    else:
        for sentence in write_configuration(folder):
            steps.say(f"note: {sentence}")
        supervision = start(folder)
    try:
        _wait_until_ready(folder, supervision, steps)
        if given.portal:
            return subprocess.run([_program("bzzz-hap")], env={**os.environ, **folder.environ}, check=False).returncode
        _show(run_sample(folder, steps), folder, steps)
        if supervision.child is not None and not given.once and sys.stdin.isatty() and sys.stdout.isatty():
            _stay(supervision, steps)
    finally:
        if supervision.child is not None:
            with steps.step("stopping"):
                _stop(supervision)
            leave(folder)
    return 0


def _stop(supervision: Supervision) -> None:
    """Stop, and do not let a second Ctrl-C leave processes behind: it comes to an end by itself."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    supervision.stop()


# Getting ready.


def _wait_until_ready(folder: Folder, supervision: Supervision, steps: Steps) -> None:
    with steps.step("bzzzd") as step:
        _wait(folder, supervision, step, _node_ready)
    with steps.step("bzzz-agent and its model") as step:
        _wait(folder, supervision, step, _agent_ready)


def _wait(folder: Folder, supervision: Supervision, step: Step, ready: Any) -> None:
    """Ask again and again; a process that fell is shown with the end of its log."""
    deadline = time.monotonic() + READY_LIMIT_S
    asked = 0
    while not ready(folder, step):
        asked += 1
        fallen = supervision.fallen() if asked % 10 == 0 else ""
        if fallen or time.monotonic() > deadline:
            name = fallen or "bzzzd"
            what = "stopped" if fallen else f"was not ready after {READY_LIMIT_S:.0f} s"
            raise ServiceStartFailed(
                f"{name} {what}; the end of {folder.log(name)}:\n{supervision.last_words(name)}\nrun: see above"
            )
        time.sleep(POLL_S)


def _node_ready(folder: Folder, step: Step) -> bool:
    status = _ask(folder, "status")
    if status is None:
        return False
    addresses = ", ".join(status.get("addresses") or ())
    step.note(addresses if status.get("ready") else f"phase {status.get('phase')}")
    return bool(status.get("ready"))


def _agent_ready(folder: Folder, step: Step) -> bool:
    agents = (_ask(folder, "agent.list") or {}).get("agents") or []
    here = [agent for agent in agents if agent.get("attached") and agent.get("local")]
    if here:
        step.note(f"{here[0]['id']} can {', '.join(here[0].get('capabilities') or ())}")
    return bool(here)


def _ask(folder: Folder, method: str) -> Any:
    try:
        client = BlockingClient(str(folder.socket), timeout=5.0)
    except (OSError, Unreachable):
        return None
    try:
        client.hello()
        return client.call(method, {})
    except BzzzError:
        return None
    finally:
        client.close()


# The end.


def _show(decision: Decision, folder: Folder, steps: Steps) -> None:
    command = _short(folder.command)
    steps.say()
    steps.heading(f"The decision of {decision.agent}")
    steps.say(textwrap.fill(decision.text, WIDTH))
    steps.say(f"— {decision.trailer}")
    steps.say()
    steps.heading("Its address")
    steps.say(decision.address)
    steps.say()
    steps.heading("To try next" if sys.stdin.isatty() else "To try next, while scripts/run is running")
    steps.say(f"  {_portal(folder)}    (in another terminal: all of it in one window)")
    steps.say(f"  {command} task trace {decision.task}")
    steps.say(f"  {command} context history '{decision.address}'")
    steps.say(f"  {command} task submit 'Summarise this' --body - --wait < docs/architecture.md")
    steps.say()


def _portal(folder: Folder) -> str:
    """The line that opens the portal on this node."""
    state = "" if folder.path == ROOT / "state" else f" --state {_short(folder.path)}"
    return f"{_short(ROOT / 'scripts' / 'run')} --portal{state}"


def _short(path: Path) -> str:
    """The path as one would type it here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _stay(supervision: Supervision, steps: Steps) -> None:
    steps.say("The node is running; Ctrl-C stops it.")
    try:
        while True:
            time.sleep(1)
            if supervision.child is not None and supervision.child.poll() is not None:
                raise ServiceStartFailed("supervisord has stopped, and the node with it")
    except (KeyboardInterrupt, Interrupted):
        steps.say()


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise Interrupted


if __name__ == "__main__":
    sys.exit(main())
