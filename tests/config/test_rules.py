"""Rules of one file: keys of other processes, paths, addresses, handlers, the model's endpoint."""

import pytest

from bzzzd.config.load import check


def only(faults):
    (fault,) = faults
    return fault


@pytest.mark.parametrize(
    ("name", "section", "text", "key", "part"),
    [
        ("bzzzd.yaml", "ai", "{provider: openai}", "ai.provider", "agent.yaml"),
        ("bzzzd.yaml", "ai", "{model: m}", "ai.model", "bzzzd does not use this key"),
        ("bzzzd.yaml", "agent", "{slots: 2}", "agent.slots", "agent.yaml"),
        ("agent.yaml", "slurp", "{lease_s: 3}", "slurp.lease_s", "bzzzd.yaml"),
        ("agent.yaml", "interface", "{mode: web}", "interface.mode", "hap.yaml"),
        ("hap.yaml", "network", "{listen: [/ip4/127.0.0.1/tcp/1]}", "network.listen", "bzzzd.yaml"),
        ("hap.yaml", "security", "{agents: []}", "security.agents", "bzzzd.yaml"),
        ("bzzzd.yaml", "network", "{socket: bzzzd.sock}", "network.socket", "not an absolute path"),
        ("bzzzd.yaml", "network", f"{{socket: /{'x' * 107}}}", "network.socket", "at most 107 bytes; this one has 108"),
        ("bzzzd.yaml", "network", f"{{socket: /{'ä' * 54}}}", "network.socket", "this one has 109"),
        ("bzzzd.yaml", "network", "{socket: ''}", "network.socket", "not an absolute path"),
        ("bzzzd.yaml", "network", "{listen: [/ip4/0.0.0.0/tcp/8075]}", "network.listen[0]", "not a concrete address"),
        ("bzzzd.yaml", "network", "{listen: []}", "network.listen", "nothing to listen on"),
        ("bzzzd.yaml", "network", "{static_peers: [/ip4/192.0.2.8/tcp/1]}", "network.static_peers[0]", "PEER-ID"),
        ("bzzzd.yaml", "network", "{bind: localhost}", "network.bind", "no IP address"),
        ("bzzzd.yaml", "storage", "{state_dir: state}", "storage.state_dir", "not an absolute path"),
        ("bzzzd.yaml", "limits", "{max_frame_bytes: 60000000}", "limits.max_frame_bytes", "cannot carry"),
        ("bzzzd.yaml", "slurp", "{engine: etcd}", "slurp.engine", "no etcd engine"),
        ("bzzzd.yaml", "agent", "{role: boss}", "agent.role", "role boss is not in roles.yaml"),
        ("bzzzd.yaml", "security", "{agents: [{user: a, role: boss}]}", "security.agents[0].role", "boss"),
        ("bzzzd.yaml", "security", "{agents: [{user: a, id: 'a b'}]}", "security.agents[0].id", "no agent id"),
        ("bzzzd.yaml", "security", "{agents: [{user: ''}]}", "security.agents[0].user", "the user is empty"),
        ("bzzzd.yaml", "ports", "{http_port: 8071}", "ports.health_port", "taken by ports.http_port"),
        ("bzzzd.yaml", "ports", "{ucxi_port: 8075}", "network.listen[0]", "taken by ports.ucxi_port"),
        ("agent.yaml", "ai", "{provider: openai}", "ai.endpoint", "needs an endpoint"),
        ("agent.yaml", "ai", "{provider: openai, endpoint: localhost}", "ai.endpoint", "no http(s) URL"),
        ("agent.yaml", "ai", "{provider: openai, endpoint: 'http://[x'}", "ai.endpoint", "no http(s) URL"),
        ("agent.yaml", "ai", "{provider: openai, endpoint: 'http://u:t@h/v1'}", "ai.endpoint", "must not carry"),
        ("agent.yaml", "ai", "{endpoint: 'http://h/v1'}", "ai.endpoint", "`embedded` has no endpoint"),
        ("agent.yaml", "ai", "{timeout_s: 400}", "ai.timeout_s", "400 seconds"),
        ("agent.yaml", "ai", "{provider: none}", "agent.handlers", "can do nothing"),
        ("agent.yaml", "agent", "{handlers: [{kind: external, capability: x}]}", "agent.handlers[0].argv", "program"),
        ("agent.yaml", "agent", "{handlers: [{kind: external, capability: x, argv: [run]}]}",
         "agent.handlers[0].argv[0]", "not an absolute path"),
        ("agent.yaml", "agent", "{handlers: [{kind: answer, capability: x, argv: [run]}]}", "agent.handlers[0].argv",
         "takes no argv"),
        ("agent.yaml", "agent", "{handlers: [{kind: answer, capability: x}, {kind: command, capability: x}]}",
         "agent.handlers[1].capability", "handler 0 has"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_reported_at_its_key(put, around, name, section, text, key, part):
    fault = only(check([put(name, **{section: text})], around))
    assert fault.key == key
    assert part in f"{fault.message}; {fault.fix}"
    assert fault.line > 0


def test_answer_needs_a_model(put, around):
    path = put("agent.yaml", ai="{provider: none}", agent="{handlers: [{kind: answer, capability: x}]}")
    assert only(check([path], around)).key == "agent.handlers[0].kind"


def test_a_socket_path_of_107_bytes_is_the_longest(put, around):
    assert check([put("bzzzd.yaml", network=f"{{socket: /{'x' * 106}}}")], around) == []


def test_an_api_key_file_must_exist_and_be_private(put, around, tmp_path):
    secret = tmp_path / "token"
    path = put("agent.yaml", ai=f"{{provider: openai, endpoint: 'http://127.0.0.1/v1', api_key_file: {secret}}}")
    assert "there is no file" in only(check([path], around)).message
    secret.write_text("x")
    secret.chmod(0o640)
    fault = only(check([path], around))
    assert (fault.key, fault.fix) == ("ai.api_key_file", f"run: chmod 600 '{secret}'")
    secret.chmod(0o600)
    assert check([path], around) == []


def test_a_key_file_open_to_others_is_refused(put, around, tmp_path):
    key = tmp_path / "node.key"
    path = put("bzzzd.yaml", security=f"{{key_file: {key}}}")
    assert check([path], around) == []
    key.write_text("x")
    key.chmod(0o644)
    assert "open to others (mode 0644)" in only(check([path], around)).message
