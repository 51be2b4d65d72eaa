"""One finding of the doctor."""

from __future__ import annotations

Finding = tuple[str, str, str, str]
"""("ok" | "warn" | "bad", what was looked at, what was found, what mends it)"""
