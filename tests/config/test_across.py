"""Rules across files: one mesh, no port twice, identities and keys of their own."""

import shutil
from pathlib import Path

import pytest

from bzzzd.config.load import check

ETC = Path(__file__).parents[2] / "etc"


@pytest.fixture
def three(put):
    """Three files that go together, one of them changed."""

    def write(**changed: dict[str, str]):
        return [put(f"{name}.yaml", **changed.get(name, {})) for name in ("bzzzd", "agent", "hap")]

    return write


def test_the_defaults_of_all_processes_go_together(three, around):
    assert check(three(hap={"interface": "{mode: web}"}), around) == []


def test_a_copy_of_the_agents_file_makes_a_second_agent(tmp_path, around):
    """The way of docs/deployment.md: no port and no folder of the first is taken along."""
    for file in ETC.glob("*.yaml"):
        shutil.copy(file, tmp_path)
    shutil.copy(ETC / "agent.yaml", tmp_path / "agent@two.yaml")
    assert check([tmp_path], around) == []


@pytest.mark.parametrize(
    ("changed", "file", "key", "part"),
    [
        ({"agent": {"network": "{mesh_protocol: 2}"}, "hap": {"network": "{mesh_protocol: 2}"}},
         "agent.yaml", "network.mesh_protocol", "mesh protocol 2 is not that of bzzzd.yaml (1)"),
        ({"hap": {"network": "{socket: /tmp/b.sock}"}}, "hap.yaml", "network.socket", "is not the socket of"),
        ({"agent": {"ports": "{health_port: 8071}"}}, "agent.yaml", "ports.health_port",
         "bzzzd.yaml: ports.health_port"),
        ({"agent": {"ports": "{http_port: 8075}"}}, "agent.yaml", "ports.http_port", "bzzzd.yaml: network.listen.0"),
        ({"hap": {"ports": "{health_port: 8080}"}}, "hap.yaml", "ports.health_port", "agent.yaml: ports.http_port"),
        ({"hap": {"agent": "{id: atlas}"}}, "hap.yaml", "agent.id", "bzzzd.yaml has the id atlas too"),
        ({"agent": {"storage": "{state_dir: /var/lib/bzzz}"}}, "agent.yaml", "storage.state_dir", "state folder"),
        ({"agent": {"agent": "{role: reviewer}"}}, "agent.yaml", "agent.role", "the roles worker, not reviewer"),
    ],
)  # fmt: skip
def test_a_clash_is_reported_at_the_later_file(three, around, changed, file, key, part):
    faults = check(three(**changed), around)
    fault = faults[0]
    assert fault.file.endswith(file)
    assert fault.key == key
    assert part in fault.message


def test_another_address_may_use_the_same_port(three, around):
    assert check(three(agent={"network": "{bind: 127.0.0.2}", "ports": "{health_port: 8071}"}), around) == []


def test_an_unspecified_bind_address_clashes_with_every_other(three, around):
    faults = check(three(agent={"network": "{bind: 0.0.0.0}", "ports": "{health_port: 8071}"}), around)
    assert [fault.key for fault in faults] == ["ports.health_port"]


def test_two_processes_need_two_keys(three, around, tmp_path):
    key = f"{{key_file: {tmp_path}/one.key}}"
    faults = check(three(bzzzd={"security": key}, agent={"security": key}), around)
    assert [fault.key for fault in faults] == ["security.key_file"]


def test_in_development_any_agent_role_may_be_asked_for(three, around):
    changed = {"bzzzd": {"security": "{development: true}"}, "agent": {"agent": "{role: reviewer}"}}
    assert check(three(**changed), around) == []


def test_instances_of_the_agent_are_told_apart(three, put, around, tmp_path):
    three()
    put("agent@blue.yaml")
    put("agent@red.yaml")
    assert check([tmp_path], around) == []
    put("agent@red.yaml", agent="{id: atlas-blue}")
    (fault,) = check([tmp_path], around)
    assert fault.message == "agent@blue.yaml has the id atlas-blue too"
