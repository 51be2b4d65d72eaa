"""The command table: unique, complete, and every function exists."""

from importlib import import_module

import pytest

from bzzzd.cli.help import overview, usage
from bzzzd.cli.parse import parser_of
from bzzzd.cli.table import COMMANDS, COMMON, find, group

# The names of DESIGN section 7 that this version has.
NAMES = """
status peers health doctor logs
config check
mesh init, mesh invite, mesh join, mesh members, mesh revoke, mesh renew, mesh admin add, mesh admin remove,
mesh policy apply, mesh settle, mesh requests, mesh confirm, mesh refuse, mesh uninvite, mesh export, mesh import,
mesh policy show, mesh epoch show, mesh epoch new, mesh authority split, mesh authority recover,
mesh authority show, mesh authority release, mesh authority remove
ledger status, ledger backup, ledger restore, ledger promote
agent list, agent show
task submit, task list, task show, task watch, task cancel, task retry, task trace
hmmm list, hmmm show, hmmm post
prompt list, prompt show, prompt answer
context put, context get, context list, context history, context diff, context export,
context announce
ucxl parse
publish, subscribe
"""


def test_every_name_that_scripts_depend_on_is_there():
    wanted = {"status", "peers", "health", "doctor", "logs"}
    wanted |= {name.strip() for line in NAMES.strip().splitlines()[1:] for name in line.split(",") if name.strip()}
    assert {command.name for command in COMMANDS} == wanted


def test_names_are_unique_and_none_is_the_beginning_of_another():
    for command in COMMANDS:
        assert group(list(command.words)) == (command,)
        assert find([*command.words, "x"]) == (command, len(command.words))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_runs_a_function_that_exists_and_has_help(command):
    module, _, function = command.run.partition(":")
    assert callable(getattr(import_module(f"bzzzd.cli.commands.{module}"), function))
    text = parser_of(command).format_help()
    assert "--json" in text
    assert "--socket" in text
    assert "--help" in text
    assert command.help in " ".join(text.split())
    assert command.name in overview()
    assert usage(command).startswith(f"bzzz {command.name}")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_argument_names_do_not_collide_with_the_common_ones(command):
    keys = [arg.key for arg in (*command.args, *COMMON)]
    assert len(keys) == len(set(keys))
