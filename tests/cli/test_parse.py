"""Command lines: what they mean, and what is said of those that mean nothing."""

import argparse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.cli.parse import _by_hand, parse, parser_of
from bzzzd.cli.table import COMMANDS
from bzzzd.errors import BadInput

SUBMIT = {
    "title": "Plan", "body": None, "role": "", "capability": "", "project": "default", "priority": 5, "deadline": None,
    "address": None, "approve": False, "wait": False, "json": False, "socket": None, "timeout": None,
}  # fmt: skip


def test_defaults_of_all_arguments_are_filled_in():
    found = parse(["task", "submit", "Plan"]).args
    assert {name: value for name, value in found.items() if name != "tail"} == SUBMIT


def test_what_follows_two_dashes_is_the_program_to_run():
    found = parse(["task", "submit", "List", "--capability", "command", "--", "ls", "-l", "--json"])
    assert found.args["tail"] == ["ls", "-l", "--json"]
    assert (found.args["capability"], found.args["json"]) == ("command", False)


@pytest.mark.parametrize("argv", [
    ["--json", "--socket", "/s", "peers"], ["--socket=/s", "peers", "--json"], ["peers", "--json", "--socket", "/s"],
])  # fmt: skip
def test_common_options_stand_anywhere(argv):
    found = parse(argv)
    assert found.command is not None
    assert (found.command.name, found.args["json"], found.args["socket"]) == ("peers", True, "/s")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
@pytest.mark.parametrize("tail", [[], ["--json"], ["--socket", "/s"], ["--socket", "/s", "--json"]])
def test_the_short_way_and_argparse_agree(command, tail):
    quick = _by_hand(command, tail)
    if quick is not None:
        slow = vars(parser_of(command).parse_args(tail))
        slow.pop("help")
        assert quick == slow


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        ([], "no command was given"),
        (["stats"], "did you mean `bzzz status`?"),
        (["zzz"], "`bzzz --help` lists all"),
        (["task"], "a command is missing after `bzzz task`; it has submit | list"),
        (["task", "sumbit", "x"], "`sumbit` is no command of `bzzz task`"),
        (["mesh", "policy", "x"], "`bzzz mesh policy`; it has show | apply"),
        (["task", "submit"], "required: TITLE; usage: bzzz task submit TITLE"),
        (["task", "submit", "a", "b"], "unrecognized arguments: b"),
        (["task", "list", "--state", "done"], "invalid choice: 'done'"),
        (["task", "list", "--limit", "-1"], "--limit"),
        (["task", "list", "--limit", "x"], "'x' is no whole number"),
        (["task", "submit", "a", "--deadline", "0"], "'0' is no number over 0"),
        (["task", "submit", "a", "--deadline", "nan"], "no number over 0"),
        (["status", "--jsn"], "unrecognized arguments: --jsn"),
        (["status", "--js"], "unrecognized arguments: --js"),
        (["status", "--socket"], "expected one argument"),
        (["status", "x"], "unrecognized arguments: x"),
    ],
)
def test_a_wrong_command_line_is_answered_with_what_is_wrong(argv, part):
    with pytest.raises(BadInput) as caught:
        parse(argv)
    assert part in caught.value.message


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["help"], ["--json", "--help"]])
def test_help_lists_every_command(argv):
    found = parse(argv)
    assert found.command is None
    assert all(command.name in found.text for command in COMMANDS)


@pytest.mark.parametrize("argv", [["task", "--help"], ["mesh", "policy", "-h"]])
def test_a_group_has_help_of_its_own(argv):
    text = parse(argv).text
    assert " ".join(argv[:-1]) in text
    assert "ucxl parse" not in text


@pytest.mark.parametrize("argv", [
    ["task", "show", "--help"], ["status", "-h"], ["task", "submit", "--bogus", "--help"], ["status", "--json", "-h"],
])  # fmt: skip
def test_help_wins_over_missing_and_wrong_arguments(argv):
    assert parse(argv).text.startswith(f"usage: bzzz {argv[0]}")


def test_the_version_is_told():
    assert parse(["--version"]).text.startswith("bzzz 0.")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([
    "task", "submit", "status", "--json", "--socket", "--socket=", "--help", "--", "-", "", "x", "--body", "-h", "\x00",
]), max_size=6))  # fmt: skip
def test_no_command_line_leaves_python_in_the_open(argv):
    try:
        found = parse(argv)
    except BadInput:
        return
    assert found.command is not None or found.text


def test_parsing_never_exits_the_process(monkeypatch):
    monkeypatch.setattr(argparse.ArgumentParser, "exit", lambda *_: pytest.fail("exited"))
    with pytest.raises(BadInput):
        parse(["task", "show"])


def test_an_option_given_twice_is_refused_instead_of_losing_the_first_value():
    with pytest.raises(BadInput, match="--refs was given twice; give it once, with commas"):
        parse(["hmmm", "post", "new", "hello", "--refs", "a", "--refs", "b"])
    assert parse(["hmmm", "post", "new", "hello", "--refs", "a,b"]).args["refs"] == "a,b"
    assert parse(["--socket", "a", "status", "--socket", "b"]).args["socket"] == "b"
