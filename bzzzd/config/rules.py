"""Rules of one file that its shape alone does not show, for all processes and for each of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from bzzzd.config.faults import Path, Problem
from bzzzd.config.net import Binding, interface_fault, listen_binding, packed, peer_fault
from bzzzd.config.roles import RolesFile
from bzzzd.config.schema import BinaryType, Config
from bzzzd.config.settings import CREDENTIAL, FILES, PROGRAMS

SOCKET_PATH_BYTES: Final = 107
"""``sun_path`` of Linux holds 108 bytes, the last of them zero (unix(7))."""

FRAME_ROOM: Final = 65536
"""What an RPC frame needs beside the content that it carries: names, envelope, signature."""

# Larger content travels in pieces.
AT_ONCE_BYTES: Final = 67_108_864

_ANYWHERE: Final = bytes(4)
_CREDENTIAL_NAME: Final = r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}"

Given = Callable[..., bool]

# Which process reads a key, where not all of them do. A key in another's file would look set and do nothing.
_READERS: Final[Mapping[Path, tuple[BinaryType, ...]]] = {
    ("ai",): ("agent",),
    ("agent", "handlers"): ("agent",),
    ("agent", "slots"): ("agent",),
    ("agent", "plan_s"): ("agent",),
    ("agent", "ask_s"): ("agent",),
    ("network", "listen"): ("daemon",),
    ("network", "listen_port"): ("daemon",),
    ("network", "static_peers"): ("daemon",),
    ("network", "bootstrap_peers"): ("daemon",),
    ("network", "mdns"): ("daemon",),
    ("security", "agents"): ("daemon",),
    ("security", "join_file"): ("daemon",),
    ("security", "agent_grant_s"): ("daemon",),
    ("ports", "ucxi_port"): ("daemon",),
    ("ports", "admin_ui_port"): ("daemon",),
    ("interface", "mode"): ("hap",),
    ("interface", "auto_start_interface"): ("hap",),
    ("interface", "message_templates_path"): ("hap",),
    ("interface", "prompt_library_path"): ("agent", "hap"),
    ("storage", "inline_bytes"): ("daemon",),
    ("storage", "max_content_bytes"): ("daemon",),
    ("storage", "topic_keep_messages"): ("daemon",),
    ("slurp",): ("daemon",),
    ("limits", "max_connections"): ("daemon",),
    ("limits", "max_inflight"): ("daemon",),
}


def rules(config: Config, given: Given, roles: RolesFile) -> Iterator[Problem]:
    """Every broken rule of a file. ``given(*keys)`` tells whether the file itself sets a key."""
    yield from _misplaced(config, given)
    yield from _paths(config)
    yield from _network(config)
    yield from _roles(config, roles)
    if config.binary_type == "agent":
        yield from _agent(config)
    if config.slurp.engine == "etcd":
        yield Problem(
            ("slurp", "engine"),
            "this version has no etcd engine",
            "set `embedded`, which keeps the ledger in bzzzd",
        )
    at_once = min(config.storage.max_content_bytes, AT_ONCE_BYTES)
    if config.binary_type == "daemon" and config.limits.max_frame_bytes < at_once + FRAME_ROOM:
        yield Problem(
            ("limits", "max_frame_bytes"),
            f"a frame of {config.limits.max_frame_bytes} bytes cannot carry content that is sent at once "
            f"({at_once} bytes: storage.max_content_bytes, and at most {AT_ONCE_BYTES})",
            f"set at least {at_once + FRAME_ROOM}, or lower storage.max_content_bytes",
        )


def bindings(config: Config) -> Iterator[tuple[Path, Binding]]:
    """Every TCP port a complete configuration opens, by its key; off and automatic ones are left out."""
    bind = packed(config.network.bind)
    for name in ("http_port", "health_port", "ucxi_port", "admin_ui_port"):
        port = getattr(config.ports, name)
        if bind is not None and port:
            yield ("ports", name), Binding(config.network.bind, bind, port)
    if config.binary_type == "daemon":
        for index, text in enumerate(config.network.listen):
            port = config.network.listen_port
            found = listen_binding(text) if text.startswith("/") else Binding(text, _ANYWHERE, port)
            if isinstance(found, Binding) and found.port:
                yield ("network", "listen", index), found


def readers(path: Path) -> tuple[BinaryType, ...]:
    """The processes that read a key, where not all of them do; else empty."""
    return _READERS.get(path) or _READERS.get(path[:1], ())


def _misplaced(config: Config, given: Given) -> Iterator[Problem]:
    mine = config.binary_type
    for path, readers in _READERS.items():
        if mine in readers:
            continue
        keys = (
            [path] if len(path) > 1 else [(*path, field) for field in getattr(config, str(path[0])).__struct_fields__]
        )
        for key in keys:
            if given(*key):
                yield Problem(
                    key,
                    f"{PROGRAMS[mine]} does not use this key",
                    f"move it to {' or '.join(FILES[reader] for reader in readers)}, or take it away",
                )


def _paths(config: Config) -> Iterator[Problem]:
    named = {
        ("network", "socket"): config.network.socket,
        ("storage", "state_dir"): config.storage.state_dir,
        ("security", "key_file"): config.security.key_file,
        ("security", "grants_dir"): config.security.grants_dir,
        ("security", "join_file"): config.security.join_file,
        ("ai", "api_key_file"): config.ai.api_key_file,
        ("logging", "file"): config.logging.file,
        ("interface", "message_templates_path"): config.interface.message_templates_path,
        ("interface", "prompt_library_path"): config.interface.prompt_library_path,
    }
    for key, text in named.items():
        if key == ("ai", "api_key_file") and text.startswith(CREDENTIAL):
            if re.fullmatch(_CREDENTIAL_NAME, text.removeprefix(CREDENTIAL)) is None:
                yield Problem(
                    key, f'"{text}" names no credential', "write credential:NAME, with A-Z a-z 0-9 _ . - in it"
                )
        elif (text or key == ("network", "socket")) and not text.startswith(("/", "~/")):
            yield Problem(key, f'"{text}" is not an absolute path', "write it from / (or ~/) on")
        elif "\0" in text:
            yield Problem(key, "a path cannot contain a zero byte", "take it away")
    size = len(config.network.socket.encode("utf-8", "surrogateescape"))
    if size > SOCKET_PATH_BYTES:
        yield Problem(
            ("network", "socket"),
            f"a socket's path has at most {SOCKET_PATH_BYTES} bytes; this one has {size}",
            "use a shorter one, like /run/bzzz/bzzzd.sock",
        )


def _network(config: Config) -> Iterator[Problem]:
    if packed(config.network.bind) is None:
        yield Problem(
            ("network", "bind"), f'"{config.network.bind}" is no IP address', "write one, like 127.0.0.1 or ::1"
        )
    for index, text in enumerate(config.network.listen):
        found = listen_binding(text) if text.startswith("/") else interface_fault(text)
        if isinstance(found, str):
            yield Problem(
                ("network", "listen", index),
                found,
                "write `auto`, an interface like eth0, or an address of this machine, like /ip4/192.0.2.7/tcp/8075",
            )
    if config.binary_type == "daemon" and not config.network.listen:
        yield Problem(("network", "listen"), "nothing to listen on", "write `auto`, or name an address")
    for key, bare in (("static_peers", False), ("bootstrap_peers", True)):
        for index, text in enumerate(getattr(config.network, key)):
            fault = peer_fault(text, bare=bare)
            if fault:
                yield Problem(
                    ("network", key, index), fault, "copy the address that `bzzz status` shows on the other node"
                )


def _roles(config: Config, roles: RolesFile) -> Iterator[Problem]:
    known = ", ".join(roles.roles)
    named: dict[Path, str] = {("agent", "role"): config.agent.role}
    for index, local in enumerate(config.security.agents):
        named["security", "agents", index, "role"] = local.role
        if local.id != "*" and not _is_id(local.id):
            yield Problem(
                ("security", "agents", index, "id"),
                f'"{local.id}" is no agent id',
                'use 1 to 64 of A-Z a-z 0-9 _ -, or "*"',
            )
        if not local.user:
            yield Problem(("security", "agents", index, "user"), "the user is empty", "name a system user")
    for key, role in named.items():
        if role and role not in roles.roles:
            yield Problem(key, f"role {role} is not in roles.yaml", f"use one of {known}, or define it there")


def _is_id(text: str) -> bool:
    return 1 <= len(text) <= 64 and all(char.isascii() and (char.isalnum() or char in "_-") for char in text)


def _agent(config: Config) -> Iterator[Problem]:
    ai, handlers = config.ai, config.agent.handlers
    if ai.provider == "openai":
        yield from _endpoint(ai.endpoint)
    elif ai.endpoint:
        yield Problem(
            ("ai", "endpoint"),
            f"the provider `{ai.provider}` has no endpoint",
            "set `provider: openai`, or take it away",
        )
    if ai.timeout_s > ai.total_timeout_s:
        yield Problem(
            ("ai", "timeout_s"),
            f"{ai.timeout_s:g} seconds without a token are more than the whole call may last ({ai.total_timeout_s:g})",
            "lower it, or raise ai.total_timeout_s",
        )
    if ai.provider == "none" and not handlers:
        yield Problem(
            ("agent", "handlers"), "without a model and without handlers this agent can do nothing", "add a handler"
        )
    seen: dict[str, int] = {}
    for index, handler in enumerate(handlers):
        here = ("agent", "handlers", index)
        if handler.capability in seen:
            yield Problem(
                (*here, "capability"),
                f"handler {seen[handler.capability]} has the capability {handler.capability} already",
                "give each handler a capability of its own",
            )
        seen.setdefault(handler.capability, index)
        if handler.kind == "external" and not handler.argv:
            yield Problem((*here, "argv"), "an external handler needs a program", "add `argv: [/path/to/program]`")
        if handler.kind == "external" and handler.argv and not handler.argv[0].startswith("/"):
            yield Problem(
                (*here, "argv", 0), f'"{handler.argv[0]}" is not an absolute path', "write the program from / on"
            )
        if handler.kind != "external" and handler.argv:
            yield Problem((*here, "argv"), f"`{handler.kind}` takes no argv", "take it away, or set `kind: external`")
        if handler.kind == "answer" and ai.provider == "none":
            yield Problem((*here, "kind"), "`answer` needs a model, and ai.provider is `none`", "choose a provider")


def _endpoint(endpoint: str) -> Iterator[Problem]:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(endpoint)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        secret = parts.password is not None or parts.username is not None
    except ValueError:
        fine, secret = False, False
    if not fine:
        shown = f'"{endpoint}" is no http(s) URL' if endpoint else "the provider `openai` needs an endpoint"
        yield Problem(("ai", "endpoint"), shown, "write its base URL, like http://127.0.0.1:8000/v1")
    elif secret:
        yield Problem(
            ("ai", "endpoint"),
            "a URL must not carry a user or a token",
            "put the token in a file named by api_key_file",
        )
