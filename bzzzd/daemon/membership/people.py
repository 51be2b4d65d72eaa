"""Which local user is which person: a small file that binds a uid to a person and pins that person's key.

``bzzz mesh admin add USER`` binds; the first key that the user's portal shows is pinned, and from then
on no other key of that uid is taken for this person.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto.keys import key_text, read_private, write_private
from bzzzd.errors import UNREADABLE, BadInput, GrantRefused, NotFound
from bzzzd.identity.grants import Name

_LIMIT: Final = 1_048_576


class Binding(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``key`` is the pinned public key as text; empty until the person's first session."""

    uid: Annotated[int, Meta(ge=0)]
    id: Name
    role: Name
    admin: bool = False
    key: str = ""


class People:
    """The bindings of this machine, kept in ``path`` (JSON, 0600) and rewritten whole at each change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._bindings: dict[int, Binding] = {}

    def load(self) -> None:
        try:
            listed = msgspec.json.decode(read_private(self._path, _LIMIT), type=list[Binding])
        except NotFound:
            return
        except UNREADABLE as error:
            raise BadInput(
                f"{self._path} is damaged ({error}); move it away and run: sudo bzzz mesh admin add USER"
            ) from error
        self._bindings = {binding.uid: binding for binding in listed}

    def __len__(self) -> int:
        return len(self._bindings)

    def find(self, uid: int) -> Binding | None:
        return self._bindings.get(uid)

    def holder(self, key: bytes) -> Binding | None:
        """Whose pinned key this is."""
        text = key_text(key)
        return next((binding for binding in self._bindings.values() if binding.key == text), None)

    def bind(self, binding: Binding) -> None:
        """Add or replace the binding of a uid; a replaced one forgets its pinned key."""
        self._save({**self._bindings, binding.uid: binding})

    def pin(self, uid: int, key: bytes) -> Binding:
        """The binding of ``uid`` with ``key`` pinned; ``GrantRefused`` when another key is pinned already."""
        binding = self._bindings[uid]
        text = key_text(key)
        if binding.key == text:
            return binding
        if binding.key:
            raise GrantRefused(
                f"uid {uid} is bound to {binding.id} with another key; bring that key back, "
                f"or have an administrator run: sudo bzzz mesh admin add {binding.id}"
            )
        pinned = msgspec.structs.replace(binding, key=text)
        self._save({**self._bindings, uid: pinned})
        return pinned

    def _save(self, bindings: dict[int, Binding]) -> None:
        data = msgspec.json.encode(sorted(bindings.values(), key=lambda binding: binding.uid))
        write_private(self._path, data, replace=True)
        self._bindings = bindings
