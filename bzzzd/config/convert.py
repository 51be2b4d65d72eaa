"""Plain values into schema structs, gathering every fault instead of stopping at the first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NoReturn, TypeVar, get_args, get_origin

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo

from bzzzd.config.faults import Fault, Path
from bzzzd.config.source import Source
from bzzzd.config.words import choices, expected, got, optional, split

S = TypeVar("S", bound=Struct)


class _Wrong(Exception):
    """A value had a fault, which is noted already."""


def convert(source: Source, kind: type[S]) -> tuple[S | None, list[Fault]]:
    """The file's values as ``kind``, or ``None`` and every fault; keys left out get their defaults."""
    walk = _Walk(source)
    try:
        found: S = walk.struct(kind, source.data, ())
    except _Wrong:
        return None, walk.faults
    return found, walk.faults


def nearest(word: str, options: Iterable[str]) -> str | None:
    """The option that ``word`` was probably meant to be."""
    import difflib

    folded = {option.casefold(): option for option in options}
    found = difflib.get_close_matches(word.casefold().replace("-", "_"), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


@lru_cache(maxsize=64)
def _fields(kind: type[Struct]) -> Mapping[str, FieldInfo]:
    """A struct's fields by name; kept, because evaluating annotations is most of a load's time."""
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


class _Walk:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.faults: list[Fault] = []

    def struct(self, kind: type[S], value: Any, path: Path) -> S:
        if value is None:
            value = {}
        if not isinstance(value, dict):
            self._wrong(kind, value, path)
        fields = _fields(kind)
        before = len(self.faults)
        self._unknown_keys(value, fields, path)
        ready: dict[str, Any] = {}
        for name, field in fields.items():
            if name in value:
                try:
                    ready[field.name] = self.value(field.type, value[name], (*path, name))
                except _Wrong:
                    continue
            elif field.required:
                self._missing(field, (*path, name))
        if len(self.faults) > before:
            raise _Wrong
        return kind(**ready)

    def value(self, kind: Any, value: Any, path: Path) -> Any:
        base, _ = split(kind)
        if value is None and optional(kind):
            return None
        if isinstance(base, type) and issubclass(base, Struct):
            return self.struct(base, value, path)
        if get_origin(base) is tuple:
            return self._list(get_args(base)[0], kind, value, path)
        if get_origin(base) is dict:
            key_kind, item = get_args(base)
            return self._table(key_kind, item, value, path)
        try:
            return msgspec.convert(value, kind, strict=True)
        except msgspec.ValidationError:
            self._wrong(kind, value, path)

    def _list(self, item: Any, kind: Any, value: Any, path: Path) -> tuple[Any, ...]:
        if not isinstance(value, list):
            self._wrong(kind, value, path)
        before = len(self.faults)
        ready = []
        for index, entry in enumerate(value):
            try:
                ready.append(self.value(item, entry, (*path, index)))
            except _Wrong:
                continue
        if len(self.faults) > before:
            raise _Wrong
        return tuple(ready)

    def _table(self, key_kind: Any, item: Any, value: Any, path: Path) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._wrong(dict[str, Any], value, path)
        before = len(self.faults)
        ready = {}
        for key, entry in value.items():
            try:
                msgspec.convert(key, key_kind, strict=True)
            except msgspec.ValidationError:
                self._note((*path, key), f"expected {expected(key_kind)} before the colon", "rename it", at_key=True)
            try:
                ready[key] = self.value(item, entry, (*path, key))
            except _Wrong:
                continue
        if len(self.faults) > before:
            raise _Wrong
        return ready

    def _unknown_keys(self, value: dict[str, Any], fields: Mapping[str, FieldInfo], path: Path) -> None:
        for key in value:
            if key in fields:
                continue
            close = nearest(key, [name for name in fields if name not in value] or fields)
            fix = f"did you mean `{close}`?" if close else f"the keys here are {', '.join(fields)}"
            self._note((*path, key), "this key is unknown", fix, at_key=True)

    def _missing(self, field: FieldInfo, path: Path) -> None:
        base, _ = split(field.type)
        is_section = isinstance(base, type) and issubclass(base, Struct)
        what, line = ("section", f"{path[-1]}: {{}}") if is_section else ("key", f"{path[-1]}: …")
        hint = "" if is_section else f" with {expected(field.type)}"
        self._note(path, f"this {what} is missing", f"add `{line}`{hint}")

    def _wrong(self, kind: Any, value: Any, path: Path) -> NoReturn:
        options = choices(kind)
        close = nearest(value, options) if options and isinstance(value, str) else None
        base, _ = split(kind)
        fix = "correct the value"
        if close and len(options) > 1:
            fix = f"did you mean `{close}`?"
        elif base is str and isinstance(value, bool | int | float):
            fix = "put it in quotes"
        elif base in (int, float) and isinstance(value, str):
            fix = "write it as a plain decimal number without quotes"
        elif get_origin(base) is tuple and isinstance(value, str):
            fix = "put it in brackets, like [first, second]"
        self._note(path, f"expected {expected(kind)}, got {got(value)}", fix)
        raise _Wrong

    def _note(self, path: Path, message: str, fix: str, *, at_key: bool = False) -> None:
        self.faults.append(self.source.fault(path, message, fix, at_key=at_key))
