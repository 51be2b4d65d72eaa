"""``bzzz``: finds the command, runs it, and turns what went wrong into a line and an exit status.

``--help`` and ``status`` come this way without argparse, JSON, asyncio or any library but msgpack; each command's
module is imported when it runs.
"""

from __future__ import annotations

import sys

from bzzzd.cli.parse import parse
from bzzzd.errors import BzzzError, StorageFailed

INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    """Run one command line (without the program's name); gives the exit status."""
    try:
        return _main(sys.argv[1:] if argv is None else argv)
    except BzzzError as error:
        return _failed(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _unread()
    except OSError as error:  # a file that somebody named, and that its command could not foresee
        named = f"{error.filename}: " if error.filename else ""
        return _failed(StorageFailed(f"{named}{error.strerror or error}; name another file, or mend this one"))


def _main(argv: list[str]) -> int:
    parsed = parse(argv)
    if parsed.command is None:
        sys.stdout.write(parsed.text)
        sys.stdout.flush()
        return 0
    from bzzzd.cli.run import Run

    module, _, function = parsed.command.run.partition(":")
    # `__import__` with a list of names gives the module itself, and costs less than importing importlib.
    commands = __import__(f"bzzzd.cli.commands.{module}", fromlist=[function])
    run = Run(parsed.command, parsed.args)
    try:
        status: int = getattr(commands, function)(run)
        sys.stdout.flush()
        return status
    finally:
        run.close()


def _failed(error: BzzzError) -> int:
    from bzzzd.cli.output import clean

    # An error of a newer bzzzd keeps its own code, which this version has no class for.
    code = error.data.get("code", error.code) if type(error) is BzzzError else error.code
    try:
        sys.stdout.flush()
        print(f"bzzz: {clean(error.message, lines=True)} ({clean(code)})", file=sys.stderr)
    except BrokenPipeError:
        _unread()
    return error.exit_status


def _unread() -> int:
    """The reader of our output has left; whatever is still buffered goes nowhere, and quietly."""
    import os

    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return 1


if __name__ == "__main__":
    sys.exit(main())
