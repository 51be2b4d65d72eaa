"""What the mesh's thread counts. One thread writes; any may read."""

from __future__ import annotations

from dataclasses import dataclass, fields

from bzzzd.mesh.values import Counters


@dataclass(slots=True)
class Tally:
    """The rising numbers behind ``Counters``."""

    published: int = 0
    received: int = 0
    delivered: int = 0
    dropped: int = 0
    invalid: int = 0
    joined: int = 0
    refused: int = 0
    evicted: int = 0
    requests_served: int = 0
    requests_refused: int = 0
    join_tries: int = 0
    join_refused: int = 0
    dials: int = 0
    dials_failed: int = 0
    stalled: int = 0
    streams_refused: int = 0
    offences: int = 0
    cut_off: int = 0

    def snapshot(self) -> Counters:
        return Counters(**{field.name: getattr(self, field.name) for field in fields(self)})
