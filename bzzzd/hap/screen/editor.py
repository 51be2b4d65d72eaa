"""The person's own editor on a text: ``$VISUAL``, ``$EDITOR``, or what the system offers.

The text goes through a file in the state folder, 0600 in 0700, because drafts are readable in it. The file is
taken away only when the text that it holds has been taken back: when the editor fails, or cannot be read, it
stays, and its place is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from bzzzd.hap.files.scratch import forget, left, put
from bzzzd.hap.messages import Edited

_END_S = 2.0
_OFFERED = ("sensible-editor", "editor", "vi", "nano")


def command(environ: Mapping[str, str]) -> list[str]:
    """The editor with its arguments; empty when there is none."""
    for name in ("VISUAL", "EDITOR"):
        try:
            if words := shlex.split(environ.get(name, "")):
                return words
        except ValueError:  # a quote that nobody closed
            continue
    found = next((name for name in _OFFERED if shutil.which(name, path=environ.get("PATH"))), "")
    return [found] if found else []


async def edit(path: Path, text: str, environ: Mapping[str, str]) -> Edited:
    """Run the editor on ``text`` in ``path``; the terminal is the editor's until this is over."""
    words = command(environ)
    if not words:
        return Edited(None, "no editor was found: name one in VISUAL or EDITOR")
    if why := put(path, text):
        return Edited(None, f"the text could not be given to the editor: {why}")
    try:
        process = await asyncio.create_subprocess_exec(*words, str(path), env=dict(environ))
    except OSError as error:
        forget(path)
        return Edited(None, f"{words[0]} did not start: {error.strerror or error}")
    try:
        status = await process.wait()
    except asyncio.CancelledError:  # the portal has to leave; what is in the file is taken up at its next start
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _END_S)
        raise
    return _taken(path, text, words[0], status)


def _taken(path: Path, before: str, name: str, status: int) -> Edited:
    after = left(path)
    if after is None:
        return Edited(None, f"what {name} left is no text that can be read here; it is kept in {path}")
    failed = f"{Path(name).name} ended with status {status}" if status else ""
    if failed and after != before:
        # It may have been killed in the middle of its work: the person decides which text is the good one.
        kept = path.with_name(f"{path.stem}.kept{path.suffix}")
        try:
            path.replace(kept)
        except OSError:
            kept = path
        return Edited(None, f"{failed}; the text here is as before, and what it wrote is kept in {kept}")
    forget(path)
    return Edited(None if failed else after, f"{failed}; the text is as before" if failed else "")
