"""Which socket to talk to: ``--socket``, else ``BZZZ_SOCKET``, else what the configuration says.

``bzzz status`` must start fast, so a configuration whose ``network.socket`` is one plain line is read without
a YAML parser; any other file goes to the configuration loader.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

DEFAULT_SOCKET = "/run/bzzz/bzzzd.sock"
CONFIG_PATH = "/etc/bzzz/hap.yaml"

_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-")


def socket_path(option: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """The path of bzzzd's socket; raises ``ConfigInvalid`` when it must be read from a file with faults."""
    if option or (option := environ.get("BZZZ_SOCKET")):
        return option
    path = environ.get("BZZZ_CONFIG_PATH") or CONFIG_PATH
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - importing pathlib costs 5 ms here
            text = file.read(65536)
    except (OSError, UnicodeDecodeError):
        text = ""
    if "socket" not in text:
        return DEFAULT_SOCKET
    return _plain_line(text) or _loaded(path)


def _plain_line(text: str) -> str:
    """The value of ``network.socket`` where it stands as one plain line, or nothing."""
    section, found = "", ""
    for line in text.splitlines():
        words = line.split("#", 1)[0].rstrip()
        if not words:
            continue
        if words[0] not in " \t-":
            section = words
        name, _, value = words.strip().partition(":")
        if name != "socket":
            if "socket" in words:
                return ""
            continue
        value = value.strip()
        if found or section != "network:" or not value.startswith("/") or not _PLAIN.issuperset(value):
            return ""
        found = value
    return found


def _loaded(path: str) -> str:
    from bzzzd.config.load import FOLDER, kind_of, load

    return load(kind_of(FOLDER / path) or "hap", path).socket
