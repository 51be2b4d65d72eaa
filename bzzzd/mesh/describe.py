"""Errors of the mesh's thread in words, and what is at the bottom of a group of them."""

from __future__ import annotations

from bzzzd.errors import BzzzError, P2PInitFailed


def describe(error: BaseException) -> str:
    """Its message, or its type and message; of a group, its first leaf."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, BzzzError):
        return error.message
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def leaf(failure: BaseException | None) -> P2PInitFailed | None:
    """The configuration's fault inside an exception group, told as it is."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure if isinstance(failure, P2PInitFailed) else None
