"""The shape of what an action does, the same in every room: ``handler(model, args) -> (model, effects)``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bzzzd.hap.messages import Effects
from bzzzd.hap.values.model import Model

Result = tuple[Model, Effects]
Args = Mapping[str, Any]
Handler = Callable[[Model, Args], Result]
Handlers = Mapping[str, Handler]
"""What each room's module offers to ``update.py``, by the name of the action."""
