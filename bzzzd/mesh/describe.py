"""One line for an error of the mesh's thread."""

from __future__ import annotations

from bzzzd.errors import BzzzError


def describe(error: BaseException) -> str:
    """Its message, or its type and message; of a group, its first leaf."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, BzzzError):
        return error.message
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
