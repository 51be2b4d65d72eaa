"""The configuration's shape: every section and key with its type, default and meaning.

``docs/configuration.md`` is generated from this file, so each key's meaning stands in its ``doc``.
One ``Config`` serves all three processes; ``settings.py`` has the defaults that differ between them, and
``rules.py`` says which keys belong to which.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(gt=0, le=86400 * 366)]
Bytes = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z", title="a name of 1 to 64 of A-Z a-z 0-9 _ -")]
NameOrEmpty = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_-]{0,64}\Z", title='a name of 1 to 64 of A-Z a-z 0-9 _ -, or ""')
]
HostName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,252}\Z", title="a host's name, without a port")]
BinaryType = Literal["daemon", "agent", "hap"]


def doc(text: str) -> Meta:
    """What a key means, in one sentence; it becomes the reference."""
    return Meta(description=text)


class _Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class HandlerSection(_Section, frozen=True):
    """One handler that an agent runs for tasks of its capability."""

    kind: Annotated[Literal["answer", "command", "external"], doc("what runs: the model, an argv, or a program")]
    capability: Annotated[Name, doc("the capability that routes tasks to this handler")]
    argv: Annotated[tuple[str, ...], doc("program and arguments, for `external`")] = ()
    timeout_s: Annotated[Seconds, doc("seconds before the handler is stopped")] = 300.0
    max_output_bytes: Annotated[Bytes, doc("bytes of output that are kept")] = 1_048_576
    memory_mb: Annotated[Count, doc("memory limit of the sandbox, in MiB")] = 512


class AgentSection(_Section, frozen=True):
    """Who this process is in the mesh."""

    id: Annotated[NameOrEmpty, doc("id in the mesh; empty: the host's name, HOST-agent, or the person's user name")] = (
        ""
    )
    role: Annotated[
        NameOrEmpty,
        doc("role of roles.yaml that it asks for; empty: node for bzzzd, worker for agents, operator for people"),
    ] = ""
    slots: Annotated[Count, doc("tasks worked on at the same time")] = 1
    plan_s: Annotated[
        Annotated[float, Meta(ge=0, le=86400)],
        doc(
            "seconds in which others may object to its plan on the task's thread before it acts; 0: it shows none. "
            "The role's `plan_s` in roles.yaml counts where it is longer"
        ),
    ] = 0.0
    ask_s: Annotated[
        Annotated[float, Meta(ge=0, le=86400)],
        doc("seconds to wait for an answer on the task's thread when a task lacks something; 0: it does not ask"),
    ] = 60.0
    handlers: Annotated[
        tuple[HandlerSection, ...], doc("what this agent can do; empty: `summarise` and `answer` by the model")
    ] = ()


class AiSection(_Section, frozen=True):
    """The model provider of an agent."""

    provider: Annotated[
        Literal["embedded", "openai", "none"], doc("embedded model, an OpenAI-compatible endpoint, or no model")
    ] = "embedded"
    endpoint: Annotated[str, doc("base URL of the endpoint, for `openai`, like http://127.0.0.1:8000/v1")] = ""
    model: Annotated[str, doc("model name sent to the endpoint; empty: the endpoint's first")] = ""
    api_key_file: Annotated[
        str, doc("file with the endpoint's token, or credential:NAME for one in /etc/bzzz/credentials")
    ] = ""
    timeout_s: Annotated[Seconds, doc("seconds without a token before a call is given up")] = 30.0
    total_timeout_s: Annotated[Seconds, doc("seconds that one call may last")] = 300.0
    max_tokens: Annotated[Count, doc("tokens that one answer may have")] = 512
    retries: Annotated[int, Meta(ge=0, le=10), doc("further tries after a failed call")] = 2


class NetworkSection(_Section, frozen=True):
    """The libp2p node (bzzzd), and how others reach it."""

    socket: Annotated[str, doc("unix socket of bzzzd; BZZZ_SOCKET and --socket win over it")] = "/run/bzzz/bzzzd.sock"
    listen: Annotated[
        tuple[str, ...],
        doc("where to listen: `auto` (every interface but loopback and container bridges), interfaces, or multiaddrs"),
    ] = ("auto",)
    listen_port: Annotated[Port, doc("TCP port for `auto` and for interfaces; 0 takes a free one")] = 8075
    static_peers: Annotated[tuple[str, ...], doc("multiaddrs with /p2p/ID that are dialled and kept")] = ()
    bootstrap_peers: Annotated[
        tuple[str, ...], doc("multiaddrs, /p2p/ID may be left out, by which this node finds the others")
    ] = ()
    mdns: Annotated[bool, doc("find nodes of the mesh, and be found, on the local network by multicast DNS")] = True
    mesh_protocol: Annotated[int, Meta(ge=1), doc("major number of the mesh protocol; equal on all nodes")] = 1
    bind: Annotated[str, doc("IP address of the HTTP ports")] = "127.0.0.1"


class LocalAgent(_Section, frozen=True):
    """An agent that this node may grant a role to."""

    user: Annotated[str, doc("system user whose processes may present this agent's key")]
    id: Annotated[str, doc('agent id; "*" for any')] = "*"
    role: Annotated[Name, doc("role that the node grants")] = "worker"
    capabilities: Annotated[tuple[Name, ...], doc("capabilities that the node grants; empty: all the role has")] = ()


class SecuritySection(_Section, frozen=True):
    """Keys and grants."""

    key_file: Annotated[str, doc("this process's key; empty: made in the state folder")] = ""
    grants_dir: Annotated[str, doc("folder of grants, one file each; empty: grants/ in the state folder")] = ""
    join_file: Annotated[
        str,
        doc(
            "file with an invitation, closed to others; a node that is alone and empty joins by it, unattended; "
            "empty: it joins only when told to"
        ),
    ] = ""
    agents: Annotated[tuple[LocalAgent, ...], doc("agents on this machine that the node may grant")] = (
        LocalAgent(user="bzzz-agent"),
    )
    development: Annotated[
        bool, doc("one uid for everything: the socket's owner is the first administrator and may run agents")
    ] = False
    agent_grant_s: Annotated[Seconds, doc("validity of the grants a node gives its agents; renewed at half")] = 86400.0
    revocation_max_age_s: Annotated[
        Seconds, doc("seconds without another member's word on who is revoked before high-risk actions are refused")
    ] = 86400.0


class PortsSection(_Section, frozen=True):
    """TCP ports on `network.bind`; 0 turns one off. Unset: the process's own default."""

    http_port: Annotated[Port | None, doc("API and UCXI: 8070 bzzzd, 8080 agent, 8090 portal")] = None
    health_port: Annotated[Port | None, doc("health and metrics: 8071 bzzzd, 8081 agent, 8091 portal")] = None
    ucxi_port: Annotated[Port | None, doc("UCXI on a port of its own; default: with the API")] = None
    admin_ui_port: Annotated[Port | None, doc("setup page; default: with the API")] = None


class InterfaceSection(_Section, frozen=True):
    """The portal's face."""

    mode: Annotated[Literal["terminal", "web", "headless"], doc("how the portal shows itself")] = "terminal"
    theme: Annotated[
        NameOrEmpty,
        doc("dark, light, 16, none, or one of `themes`; empty: what fits the terminal. What `T` chooses wins over it"),
    ] = ""
    themes: Annotated[
        dict[Name, dict[str, str]],
        doc("themes of one's own: `like` names the theme it starts from, each other key a style: `bold 214 on 236`"),
    ] = field(default_factory=dict)
    keys: Annotated[
        dict[str, tuple[str, ...]],
        doc("keys by action instead of the built-in ones, like `quit: [q, ctrl+q]`; [] for none. See portal.md"),
    ] = field(default_factory=dict)
    mouse: Annotated[bool, doc("take the mouse: wheel, rows, tabs, keys in the bottom line; `M` changes it")] = True
    auto_start_interface: Annotated[bool, doc("show the interface at start")] = True
    message_templates_path: Annotated[str, doc("folder of message composition templates")] = "/etc/bzzz/templates"
    prompt_library_path: Annotated[str, doc("folder of the texts with which agents ask people")] = "/etc/bzzz/prompts"
    web_names: Annotated[
        tuple[HostName, ...], doc("names under which browsers call the web portal, beside this machine's own")
    ] = ()


class StorageSection(_Section, frozen=True):
    """Where state lives and what is kept."""

    state_dir: Annotated[str, doc("state folder, 0700; empty: the process's default")] = ""
    inline_bytes: Annotated[Bytes, doc("content up to this size lives in the journal, larger as files")] = 65536
    max_content_bytes: Annotated[Bytes, doc("largest content of one version")] = 17_179_869_184
    reencrypt: Annotated[
        Literal["heads", "all", "none"], doc("what is encrypted again after new role keys: latest versions, all, none")
    ] = "heads"
    reencrypt_per_s: Annotated[Count, doc("versions encrypted again a second at most")] = 100
    topic_keep_messages: Annotated[Count, doc("messages kept for each topic")] = 10_000
    replicas: Annotated[
        Annotated[int, Meta(ge=1, le=64)],
        doc("nodes that hold each version, this one's copy counted; equal on all nodes"),
    ] = 3
    repair_after_s: Annotated[
        Seconds, doc("seconds a node may be away before another one takes its place as a holder; equal on all nodes")
    ] = 900.0
    keep_versions: Annotated[
        Annotated[int, Meta(ge=0)],
        doc(
            "versions of an address whose content is kept; 0: all. Headers and latest versions stay; equal on all nodes"
        ),
    ] = 0
    keep_s: Annotated[
        Annotated[float, Meta(ge=0)],
        doc(
            "seconds that the content of older versions is kept; 0: for ever; with keep_versions both must have passed"
        ),
    ] = 0.0
    extra_copy_s: Annotated[
        Annotated[float, Meta(ge=0)],
        doc("seconds that content which was read here stays, beyond the copies that are wanted elsewhere"),
    ] = 86400.0


class SlurpSection(_Section, frozen=True):
    """The task ledger."""

    engine: Annotated[Literal["embedded", "etcd"], doc("where the ledger lives")] = "embedded"
    lease_s: Annotated[Seconds, doc("seconds a lease lasts unless renewed")] = 30.0
    offer_s: Annotated[Seconds, doc("seconds an offer waits for a claim before it goes to another agent")] = 5.0
    strikes: Annotated[Count, doc("leases that may end, or retryable failures, before a task is failed")] = 3
    command_keep_s: Annotated[Seconds, doc("seconds a command id is remembered")] = 2_592_000.0


class LimitsSection(_Section, frozen=True):
    """Bounds. Unset: the process's own default."""

    max_message_bytes: Annotated[
        Annotated[int, Meta(ge=1024, le=1_048_576)] | None,
        doc("largest mesh message: 1 MiB, portal 512 KiB; the transport's own limit counts too"),
    ] = None
    message_timeout_s: Annotated[Seconds | None, doc("freshness of live requests: 5 s, portal 30 s")] = None
    memory_mb: Annotated[Count | None, doc("memory target in MiB, reported when passed: 256, portal 128")] = None
    max_connections: Annotated[Count, doc("clients on the socket at once")] = 256
    max_inflight: Annotated[Count, doc("requests of one client being worked on at once")] = 256
    max_frame_bytes: Annotated[Bytes, doc("largest RPC frame")] = 68_157_440


class LoggingSection(_Section, frozen=True):
    """What is logged, and how."""

    level: Annotated[Literal["debug", "info", "warning", "error"], doc("lowest level that is written")] = "info"
    format: Annotated[Literal["auto", "text", "json"], doc("auto: journald under systemd, else text")] = "auto"
    file: Annotated[str, doc("log to this file too; empty: standard error only")] = ""


class Config(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One process's configuration."""

    binary_type: Annotated[BinaryType, doc("which process this file is for")]
    capabilities: Annotated[tuple[Name, ...], doc("capabilities this process offers")] = ()
    agent: AgentSection
    ai: AiSection
    network: NetworkSection
    security: SecuritySection
    ports: PortsSection = field(default_factory=PortsSection)
    interface: InterfaceSection = field(default_factory=InterfaceSection)
    storage: StorageSection = field(default_factory=StorageSection)
    slurp: SlurpSection = field(default_factory=SlurpSection)
    limits: LimitsSection = field(default_factory=LimitsSection)
    logging: LoggingSection = field(default_factory=LoggingSection)


REQUIRED_SECTIONS = ("agent", "ai", "network", "security")


def empty(binary_type: BinaryType) -> Config:
    """Every default, for a process without a file."""
    return msgspec.convert(
        {"binary_type": binary_type, **{section: {} for section in REQUIRED_SECTIONS}}, Config, strict=True
    )
