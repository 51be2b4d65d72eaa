"""mesh join: make this machine, or the person who types, a member by an invitation."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

from bzzzd.cli.output import clean, mapping, number
from bzzzd.cli.person import as_root_or_admin, persons_key, settings_of
from bzzzd.cli.run import Run
from bzzzd.errors import (
    BadInput,
    BzzzError,
    NotReady,
    Overloaded,
    Unavailable,
    UnknownOutcome,
    Unreachable,
)
from bzzzd.identity.invitation import Token, read_token, seal_ask, token_text
from bzzzd.identity.node import write_grant

_BACK_S = 60.0
_LOOK_S = 0.1
_AGAIN_S = 2.0
_ATTEMPT_S = 30.0
_PATIENCE = 5
_PATIENCE_IN_A_CROWD = 60


def join(run: Run) -> int:
    """Try until the inviter has decided. The invitation's text is sent to bzzzd alone."""
    text = run.args["invitation"]
    token = read_token(run.read().decode("ascii", "replace") if text == "-" else text)
    asked: dict[str, Any] = {"invitation": token_text(token), "set_aside": run.args["set_aside"]}
    if token.kind == "person":
        return _person(run, token, asked)
    question = f"This machine leaves the mesh of its own and joins {token.mesh_id}. Join?"
    if not run.args["yes"] and not run.agreed(question):
        raise BadInput("nothing was changed: answer y, or add --yes")
    if run.args["id"]:
        asked["id"] = run.args["id"]
    found = _try(run, asked)
    if found.get("state") == "joined":
        _until_back(run, token.mesh_id)
    run.answer(found, lambda: run.print(_done(found)))
    return 0


def _person(run: Run, token: Token, asked: dict[str, Any]) -> int:
    settings = settings_of(run)
    key = persons_key(settings.key_file)
    asked["ask"] = seal_ask(key, token, id=run.args["id"] or settings.config.agent.id, age=None)
    found = _try(run, asked)
    chain = found.get("chain")
    if isinstance(chain, list | tuple):
        write_grant(settings.grants_dir, "person", token.authority, [bytes(raw) for raw in chain])
    shown = {name: value for name, value in found.items() if name != "chain"}
    run.answer(shown, lambda: run.print(_done(found)))
    return 0


def _try(run: Run, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """Ask until there is an answer that stands; an inviter that is away for a moment is asked again."""
    timeout = run.args.get("timeout")
    until = time.monotonic() + timeout if timeout else None
    shown, failed = "", 0
    while True:
        try:
            found = mapping(_call(run, asked))
            failed = 0
        except (Unreachable, Unavailable, UnknownOutcome) as error:
            failed += 1
            crowd = isinstance(error, Overloaded)
            if failed > (_PATIENCE_IN_A_CROWD if crowd else _PATIENCE):
                raise
            run.say(f"{error.message}; trying again")
            # Many machines that are set up together come together: each waits a time of its own.
            found = {"state": "waiting", "pause_s": random.uniform(1, 4) if crowd else _AGAIN_S * failed}  # noqa: S311
        if found.get("state") != "waiting":
            return found
        code = clean(found.get("code"))
        if code and code != shown:
            shown = code
            run.say(f"code  {code}   The inviter's screen must show the same; they confirm it with:")
            run.say(f"      bzzz mesh confirm {code}")
        pause = number(found.get("pause_s")) or _AGAIN_S
        if until is not None and time.monotonic() + pause > until:
            raise UnknownOutcome("nobody has confirmed this yet; run the same command again to go on waiting")
        time.sleep(pause)  # as long as bzzzd asks for: whoever confirms sits at another machine, a person mostly


def _call(run: Run, asked: Mapping[str, Any]) -> Any:
    """One try; an administrator of the mesh that is left may do it as well as root."""
    try:
        return as_root_or_admin(run, "mesh.join", asked, timeout=_ATTEMPT_S)
    except (Unreachable, UnknownOutcome):
        run.close()
        raise


def _until_back(run: Run, mesh_id: str) -> None:
    """Wait until bzzzd, which starts again, says that it is in its new mesh."""
    until = time.monotonic() + _BACK_S
    last: BzzzError | None = None
    while time.monotonic() < until:
        run.close()
        try:
            hello = run.client.hello()
            if hello.get("mesh_id") == mesh_id and hello.get("phase") == "ready":
                return
        except (Unreachable, NotReady) as error:
            last = error
        time.sleep(_LOOK_S)  # it is a new process on a new socket: there is nothing to subscribe to
    raise Unreachable(
        "the grant is here, but bzzzd did not come back in its new mesh; see: bzzz status, and its log"
        + (f" ({last.message})" if last else "")
    )


def _done(found: Mapping[str, Any]) -> str:
    whom = f"{clean(found.get('kind'))} {clean(found.get('id'))}, role {clean(found.get('role'))}"
    where = clean(found.get("mesh_id"))
    if found.get("state") == "member":
        return f"this node is a member of {where} already: {whom}"
    return f"joined {where} as {whom}"
