"""Values into the schema: all faults at once, each with its key and what to do."""

import pytest

from bzzzd.config.convert import convert
from bzzzd.config.roles import RolesFile
from bzzzd.config.schema import Config
from bzzzd.config.source import read_source

SECTIONS = "agent: {}\nai: {}\nnetwork: {}\nsecurity: {}\n"


def faults_of(text: str, kind=Config):
    return convert(read_source("file.yaml", text.encode()), kind)[1]


def test_defaults_fill_what_is_left_out():
    config, faults = convert(read_source("f", f"binary_type: agent\n{SECTIONS}".encode()), Config)
    assert faults == []
    assert config.slurp.lease_s == 30.0
    assert config.network.socket == "/run/bzzz/bzzzd.sock"


def test_an_empty_section_may_be_written_without_braces():
    config, faults = convert(read_source("f", b"binary_type: agent\nagent:\nai:\nnetwork:\nsecurity:\n"), Config)
    assert faults == []
    assert config.agent.slots == 1


def test_all_faults_come_at_once_with_their_lines():
    text = (
        "binary_type: agnt\n"
        "agent:\n  slots: none\n  handlers:\n    - {kind: comand, capability: a b}\n"
        "ai:\n  time_out_s: 3\n"
        "ports: [1]\n"
        "networks: {}\n"
    )
    found = {(fault.line, fault.key) for fault in faults_of(text)}
    assert found == {
        (1, "binary_type"),
        (3, "agent.slots"),
        (5, "agent.handlers[0].kind"),
        (5, "agent.handlers[0].capability"),
        (7, "ai.time_out_s"),
        (8, "ports"),
        (9, "networks"),
        (1, "network"),
        (1, "security"),
    }


@pytest.mark.parametrize(
    ("text", "message", "fix"),
    [
        ("interfce: {}", "this key is unknown", "did you mean `interface`?"),
        ("zzz: 1", "this key is unknown", "the keys here are binary_type"),
        ("storage: {inline-bytes: 1}", "this key is unknown", "did you mean `inline_bytes`?"),
        ("storage: {Inline_Bytes: 1}", "this key is unknown", "did you mean `inline_bytes`?"),
        ("ports: {health_port: 70000}", "expected a whole number from 0 to 65535, got 70000", "correct the value"),
        ("ports: {health_port: '80'}", 'got the text "80"', "without quotes"),
        ("ports: {health_port: 1:30}", 'got the text "1:30"', "plain decimal"),
        ("ports: {health_port: true}", "got true", "correct the value"),
        ("logging: {level: inf}", "expected one of debug, info, warning, error", "did you mean `info`?"),
        ("logging: {file: 1}", "expected text, got 1", "put it in quotes"),
        ("logging: {file: }", "expected text, got nothing", "correct the value"),
        ("capabilities: answer", "expected a list of texts, each a name", "brackets"),
        ("capabilities: [1]", "expected a name of 1 to 64", "quotes"),
        ("slurp: {lease_s: .nan}", "expected a number over 0", "correct"),
        ("slurp: {lease_s: .inf}", "expected a number over 0", "correct"),
        ("slurp: {lease_s: 0}", "expected a number over 0", "correct"),
        ("slurp: 3", "expected a section with keys, got 3", "correct"),
        ("interface: {auto_start_interface: 1}", "expected true or false, got 1", "correct"),
    ],
)
def test_a_wrong_value_says_what_was_expected_and_what_to_do(text, message, fix):
    key = text.partition(":")[0]
    sections = "".join(line + "\n" for line in SECTIONS.splitlines() if not line.startswith(key + ":"))
    (fault,) = faults_of(f"binary_type: hap\n{sections}{text}\n")
    assert message in fault.message
    assert fix in fault.fix
    assert fault.line == 6


def test_control_characters_of_a_value_never_reach_the_message():
    (fault,) = faults_of(f'binary_type: "\\e[31m"\n{SECTIONS}')
    assert fault.message.isprintable()


def test_roles_have_positions_too():
    text = 'version: 2\nroles:\n  a b: {authority: bos}\n  b: {}\ncontent:\n  "UPPER": []\n'
    assert {(fault.line, fault.key) for fault in faults_of(text, RolesFile)} == {
        (1, "version"),
        (3, "roles.a b"),
        (3, "roles.a b.authority"),
        (4, "roles.b.authority"),
        (6, "content.UPPER"),
    }
