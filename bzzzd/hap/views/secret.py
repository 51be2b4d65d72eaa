"""The line in which a passphrase is typed: dots for what was typed, and nothing else of it."""

from __future__ import annotations

from bzzzd.hap.rows import Row, clip, on
from bzzzd.hap.text import take, width, wrap
from bzzzd.hap.values.model import Model, Secret
from bzzzd.hap.writing.unlocking import ASKING


def secret_rows(model: Model, overlay: Secret, columns: int, height: int) -> tuple[tuple[Row, ...], tuple[int, int]]:
    """At most ``height`` rows, and where the cursor stands in them."""
    lead = take(f" {ASKING[overlay.what]}: ", max(1, columns - 2))
    dots = "•" * min(overlay.text.size, max(0, columns - width(lead) - 2))
    told = f"▲ {overlay.fault}" if overlay.fault else "trying…" if overlay.trying else _why(model, overlay)
    rows: list[Row] = [(("strong", lead), ("field", dots + " "))]
    rows += [(("warn" if overlay.fault else "dim", f" {line}"),) for line in wrap(told, max(1, columns - 2))]
    return tuple(on(clip(row, columns), "over") for row in rows[: max(1, min(3, height))]), (width(lead) + len(dots), 0)


def _why(model: Model, overlay: Secret) -> str:
    if overlay.what == "unlock":
        return f"It opens {model.locked} for this session; esc leaves it locked, and you look on as a guest."
    if overlay.what == "again" and not overlay.first:
        return "Nothing again, and the key has no passphrase: whoever reads the file can answer in your name."
    return "It is needed at each start of the portal, and nobody can restore it."
