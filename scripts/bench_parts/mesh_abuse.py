"""A node under attack while two members talk: its memory, and whether the talk was complete. On loopback.

The attacks and the two members are those of ``tests/abuse``; here they have their full numbers.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.abuse.siege import siege

Row = dict[str, Any]

ATTACKS: tuple[tuple[str, str, int, Row], ...] = (
    ("half-open", "half-open connections", 1000, {"hold_s": 20.0}),
    ("garbage", "garbage connections", 10_000, {}),
    ("strangers", "strangers without a grant", 1000, {}),
    ("forger", "forged or replayed messages", 10_000, {"limit_s": 120.0}),
)
MOST_GROWTH_MIB = 20.0


def run(quick: bool) -> list[Row]:
    """Two rows for each attack; ``quick`` takes a tenth of the numbers."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bzzz-bench-") as folder, siege(Path(folder)) as besieged:
        for what, words, full, more in ATTACKS:
            count = full // 10 if quick else full
            given = {**more, **(besieged.misfit() if what == "forger" else {})}
            outcome = besieged.attack(what, count, **given)
            report = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in outcome.report.items())
            counted = ", ".join(f"{value:.0f} {name}" for name, value in outcome.counted.items() if value)
            print(
                f"  {what}: {report}; {outcome.cpu_s:.1f} s of CPU in {outcome.took_s:.0f} s; {counted}",
                file=sys.stderr,
            )
            name = f"abuse: {count:,} {words}"
            rows += [
                {"name": f"{name}: memory", "asked": "< 20 MiB more", "measured": outcome.growth_mib,
                 "baseline": None, "ratio": None, "unit": "MiB", "ok": outcome.growth_mib < MOST_GROWTH_MIB},
                {"name": f"{name}: honest messages lost", "asked": f"0 of {outcome.said}", "measured": outcome.lost,
                 "baseline": None, "ratio": None, "unit": "messages", "ok": outcome.lost == 0},
            ]  # fmt: skip
            if what == "forger":
                cut_off = not outcome.report["still_connected"]
                rows.append(
                    {"name": f"{name}: the forger is cut off", "asked": "yes", "measured": "yes" if cut_off else "no",
                     "baseline": None, "ratio": None, "unit": "", "ok": cut_off}
                )  # fmt: skip
    return rows


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=1, ensure_ascii=False))
