"""Methods as data: name, access rule, typed parameters, handler; nothing can be called that is not listed here."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec import Struct

from bzzzd.errors import InvalidParams, NotReady, UnknownMethod
from bzzzd.rpc.access import Access

Handler = Callable[[Any, Any], Any]
"""``handler(call, params)`` gives the result, or something to await for it.

A plain function is answered in place; what it returns may still be awaitable. A coroutine function gets a task.
"""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_UNKNOWN_FIELD: Final = re.compile(r"unknown field `(.*?)`")


class NoParams(Struct, frozen=True, forbid_unknown_fields=True):
    """A method that takes no parameters."""


@dataclass(frozen=True, slots=True)
class Method:
    """``decode`` turns the bytes of the parameter map into ``params``; ``reads`` says that it changes nothing.

    The task of a method that reads is cancelled when its caller goes away; any other runs to its end.
    """

    name: str
    access: Access
    params: type[Struct]
    handler: Handler
    result: str
    doc: str
    reads: bool
    is_async: bool
    decode: Callable[[Any], Any]

    @property
    def group(self) -> str:
        return self.name.partition(".")[0] if "." in self.name else "core"


class Registry:
    """The methods of one server. ``starting`` says that more will come, so that an unknown one is not yet an error."""

    def __init__(self, *, starting: bool = False) -> None:
        self.starting = starting
        self._methods: dict[str, Method] = {}

    def __iter__(self) -> Iterator[Method]:
        return iter(sorted(self._methods.values(), key=lambda method: method.name))

    def __contains__(self, name: str) -> bool:
        return name in self._methods

    def add(
        self,
        name: str,
        access: Access,
        params: type[Struct] | None,
        handler: Handler,
        *,
        doc: str = "",
        result: str = "{}",
        reads: bool = False,
    ) -> Method:
        """List a method; ``doc`` defaults to the first line of the handler's docstring.

        A mistake in the listing (no access rule, parameters that would let unknown names through, a name twice)
        is a mistake in our own code and raises ``TypeError`` or ``ValueError`` at once.
        """
        kind = params or NoParams
        if not isinstance(access, Access):
            raise TypeError(f"{name}: a method is listed with an access rule")
        if not (isinstance(kind, type) and issubclass(kind, Struct)):
            raise TypeError(f"{name}: params is a msgspec.Struct")
        if not kind.__struct_config__.forbid_unknown_fields or kind.__struct_config__.array_like:
            raise TypeError(f"{name}: {kind.__name__} must have forbid_unknown_fields=True and be no array")
        if not _NAME.fullmatch(name) or name in self._methods:
            raise ValueError(f"{name}: not a method name, or listed twice")
        doc = doc or (inspect.getdoc(handler) or "").partition("\n")[0]
        method = Method(
            name=name, access=access, params=kind, handler=handler, result=result, doc=doc, reads=reads,
            is_async=inspect.iscoroutinefunction(handler), decode=msgspec.msgpack.Decoder(kind).decode,
        )  # fmt: skip
        self._methods[name] = method
        return method

    def find(self, name: str) -> Method:
        """Raises ``UnknownMethod`` with the nearest name, or ``NotReady`` while more methods are to come."""
        method = self._methods.get(name)
        if method is not None:
            return method
        if self.starting:
            raise NotReady(
                f"bzzzd is still starting and does not serve {_short(name)} yet; try again", method=name[:64]
            )
        raise UnknownMethod(f"no method is called {_short(name)}{nearest(name, self._methods)}", method=name[:64])

    @property
    def extensions(self) -> tuple[str, ...]:
        """The groups of methods this server has: the part of the names before the first dot, in order."""
        return tuple(sorted({method.group for method in self._methods.values()}))


def params_fault(method: Method, error: Exception) -> InvalidParams:
    """What ``method.decode`` raised, as the error that the caller gets."""
    if isinstance(error, RecursionError):
        return InvalidParams(f"{method.name}: the parameters are nested too deep", method=method.name)
    if isinstance(error, UnicodeDecodeError):
        return InvalidParams(f"{method.name}: a text in the parameters is not UTF-8", method=method.name)
    text = str(error)
    unknown = _UNKNOWN_FIELD.search(text)
    if unknown:
        known = [field.encode_name for field in msgspec.structs.fields(method.params)]
        hint = nearest(unknown[1], known) if known else "; it takes none"
        text = f"there is no parameter {_short(unknown[1])}{hint}"
    return InvalidParams(f"{method.name}: {text}", method=method.name)


def nearest(name: str, known: Any) -> str:
    """`` ; did you mean X?`` when one of ``known`` is like ``name``, else nothing."""
    found = difflib.get_close_matches(name[:64], list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""


def _short(name: str) -> str:
    text = name if len(name) <= 64 else f"{name[:64]}…"
    return repr(text)
