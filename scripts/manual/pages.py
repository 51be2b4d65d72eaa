"""The man pages: bzzz(1) from the command table, those of the programs from their option parsers."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from bzzzd import __version__
from bzzzd.agent.main import options as agent_options
from bzzzd.cli.help import usage
from bzzzd.cli.table import COMMANDS, COMMON, Arg
from bzzzd.daemon.main import options as daemon_options
from bzzzd.hap.main import options as hap_options
from manual.roff import bold, escape, heading, item, page, part

_STATUS: Final = (
    ("0", "done"),
    ("1", "failed"),
    ("2", "wrong use, or bad input"),
    ("3", "not allowed; the message names the command that mends it"),
    ("4", "not found"),
    ("5", "bzzzd is unreachable"),
    ("6", "timed out with unknown outcome; asking again does nothing twice"),
)
_ENVIRONMENT: Final = (
    ("BZZZ_CONFIG_PATH", "another configuration file than the one in /etc/bzzz"),
    ("BZZZ_SOCKET", "another socket than the configured one"),
)


class Program(NamedTuple):
    """A program with a page of its own. ``files`` and ``see`` are for its last sections."""

    name: str
    section: int
    parser: argparse.ArgumentParser
    text: str
    files: tuple[tuple[str, str], ...]
    see: str


def programs() -> tuple[Program, ...]:
    return (
        Program(
            "bzzzd", 8, daemon_options(),
            "bzzzd owns this machine's keys, its libp2p node, the encrypted store and the task ledger. It is not root. "
            "Agents, the portal and bzzz(1) speak to it over its unix socket.",
            (("/etc/bzzz/bzzzd.yaml", "configuration"), ("/etc/bzzz/roles.yaml", "what each role may do"),
             ("/run/bzzz/bzzzd.sock", "its socket, for the group bzzz"),
             ("/var/lib/bzzz", "keys, journal and content")),
            "bzzz(1), bzzz-agent(8), bzzz-hap(1), systemctl(1)",
        ),
        Program(
            "bzzz-agent", 8, agent_options(),
            "bzzz-agent is an autonomous worker: it claims tasks that fit its role and capabilities, asks its model, "
            "runs commands in a sandbox, and hands back decisions that it has signed.",
            (("/etc/bzzz/agent.yaml", "configuration; agent@NAME.yaml for the unit bzzz-agent@NAME"),
             ("/var/lib/bzzz-agent", "its key"),
             ("/etc/bzzz/credentials", "tokens of model endpoints, which the unit hands to the agent")),
            "bzzz(1), bzzzd(8), bwrap(1), systemctl(1)",
        ),
        Program(
            "bzzz-hap", 1, hap_options(),
            "bzzz-hap is the portal for people: tasks, agents, questions and decisions in a terminal.",
            (("/etc/bzzz/hap.yaml", "configuration"), ("~/.local/state/bzzz", "the person's key, drafts and cache")),
            "bzzz(1), bzzzd(8)",
        ),
    )  # fmt: skip


def pages(date: str) -> Iterator[tuple[str, str]]:
    """File name and text of each page; ``date`` is shown in its corner, like 2026-11-25."""
    yield "bzzz.1", _commands(date)
    for program in programs():
        yield f"{program.name}.{program.section}", _program(program, date)


def _commands(date: str) -> str:
    lines = [heading("bzzz", 1, date, __version__)]
    lines += part("NAME", [escape("bzzz - the command line of the BZZZ mesh")])
    lines += part("SYNOPSIS", [f"{bold('bzzz')} \\fICOMMAND\\fR [\\fIARGUMENT\\fR...] [\\fIOPTION\\fR...]"])
    lines += part(
        "DESCRIPTION",
        [
            escape(
                "bzzz asks bzzzd(8) on this machine over its unix socket. Every command prints words for people, and "
                "with --json one JSON value for programs. Errors go to standard error as `bzzz: MESSAGE (CODE)`, with "
                "what to do next."
            )
        ],
    )
    lines += part("COMMANDS", [])
    for command in COMMANDS:
        lines += item(bold(usage(command)), f"{command.help}.")
        if command.args:
            lines += [".RS", *_arguments(command.args), ".RE"]
    lines += part("COMMON OPTIONS", [*_arguments(COMMON), *item(bold("--help"), "print help and leave")])
    lines += _ending((), "bzzzd(8), bzzz-agent(8), bzzz-hap(1)")
    return page(lines)


def _arguments(arguments: Sequence[Arg]) -> Iterator[str]:
    for arg in arguments:
        shown = bold(arg.name) if arg.name.startswith("--") else f"\\fI{escape(arg.metavar or arg.name.upper())}\\fR"
        value = f" \\fI{escape(arg.metavar)}\\fR" if arg.metavar and arg.name.startswith("--") else ""
        yield from item(shown + value, arg.help)


def _program(program: Program, date: str) -> str:
    parser = program.parser
    lines = [heading(program.name, program.section, date, __version__)]
    lines += part("NAME", [escape(f"{program.name} - {_first_words(parser.description or '')}")])
    lines += part("SYNOPSIS", [f"{bold(program.name)} [\\fIOPTION\\fR...]"])
    lines += part("DESCRIPTION", [escape(program.text)])
    options: list[str] = []
    for action in parser._actions:
        term = ", ".join(bold(name) for name in action.option_strings)
        if action.metavar:
            term += f" \\fI{escape(str(action.metavar))}\\fR"
        options += item(term, action.help or "")
    lines += part("OPTIONS", options)
    lines += _ending(program.files, program.see)
    return page(lines)


def _first_words(description: str) -> str:
    return description.partition(":")[0].removeprefix("The ").rstrip(".")


def _ending(files: Sequence[tuple[str, str]], see: str) -> list[str]:
    lines = part("EXIT STATUS", [line for status, text in _STATUS for line in item(bold(status), text)])
    lines += part("ENVIRONMENT", [line for name, text in _ENVIRONMENT for line in item(bold(name), text)])
    if files:
        lines += part("FILES", [line for path, text in files for line in item(f"\\fI{escape(path)}\\fR", text)])
    lines += part("SEE ALSO", [escape(see)])
    return lines
