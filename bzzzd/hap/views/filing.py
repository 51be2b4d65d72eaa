"""The line in which a file is named."""

from __future__ import annotations

from bzzzd.hap import words
from bzzzd.hap.rows import Row, clip, on
from bzzzd.hap.text import chunks, fit, width, wrap
from bzzzd.hap.values.model import Naming

_LEAD = " Save to: "


def naming_rows(naming: Naming, columns: int, height: int) -> tuple[tuple[Row, ...], tuple[int, int]]:
    """At most ``height`` rows, and where the cursor stands in them."""
    room = max(1, columns - len(_LEAD) - 1)
    before = chunks(naming.text.line[: naming.text.column], room)[-1]
    shown = fit(before + naming.text.line[naming.text.column :], room)
    told = f"▲ {naming.fault}" if naming.fault else f"{words.size(naming.size)}, readable by you alone; ~ is your home"
    rows: list[Row] = [(("strong", _LEAD), ("field", shown))]
    rows += [(("warn" if naming.fault else "dim", f" {line}"),) for line in wrap(told, max(1, columns - 2))]
    place = min(columns - 1, len(_LEAD) + width(before))
    return tuple(on(clip(row, columns), "over") for row in rows[: max(1, min(3, height))]), (place, 0)
