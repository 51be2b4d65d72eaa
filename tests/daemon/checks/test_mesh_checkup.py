"""The doctor's findings about clocks and versions."""

from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.daemon.checks.mesh_checkup import clock_findings, multicast_findings, reach_findings, version_findings
from bzzzd.daemon.peers.exchange import Answer
from bzzzd.daemon.peers.skew import Skew
from bzzzd.mesh.values import PeerInfo

NAMES = {"a": "n1", "b": "n2", "c": "n3"}


def peer(version: str, *, connected: bool = True) -> PeerInfo:
    return PeerInfo(
        peer_id="p", id="n", role="node", addresses=(), connected=connected, since=0.0, agent_version=version,
        rtt_ms=None, how="mdns",
    )  # fmt: skip


def test_the_clock_that_most_disagree_with_is_the_wrong_one() -> None:
    good, ahead = Skew(0.1, 0.05), Skew(60.0, 0.05)
    assert [row[0] for row in clock_findings({"a": good, "b": good, "c": good}, NAMES)] == ["ok"]
    (theirs,) = clock_findings({"a": good, "b": ahead, "c": good}, NAMES)
    assert theirs[:2] == ("warn", "clock of n2")
    assert "60.0 s ahead of" in theirs[2]
    (ours,) = clock_findings({"a": ahead, "b": ahead, "c": good}, NAMES)
    assert ours[:2] == ("bad", "clock")
    assert "behind 2 of 3 peers" in ours[2]
    assert "as well be the peer's" in clock_findings({"a": ahead}, NAMES)[0][2]


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abc"), st.builds(Skew, st.floats(-1e9, 1e9), st.floats(0, 60))))
def test_a_difference_that_the_round_trip_explains_is_never_blamed(skews: dict[str, Skew]) -> None:
    found = clock_findings(skews, NAMES)
    if all(abs(skew.seconds) <= skew.error for skew in skews.values()):
        assert [row[0] for row in found] == (["ok"] if skews else [])


def test_an_address_is_shut_when_no_peer_reaches_it() -> None:
    good, shut = "/ip4/10.0.0.1/tcp/8075", "/ip4/10.0.0.2/tcp/8075"
    one = Answer(0.0, unreachable={good: "", shut: "refused"})
    other = Answer(0.0, unreachable={good: "timed out", shut: "refused"})
    (found,) = reach_findings([one, other], {})
    assert found[:3] == ("warn", f"address {shut}", "peers do not reach it: refused")
    assert reach_findings([one, Answer(0.0, unreachable={shut: ""})], {})[0][0] == "ok"


def test_peers_that_do_not_answer_are_no_proof_that_this_node_is_reached() -> None:
    (found,) = reach_findings([], {"n2": "did not answer within 10 s"})
    assert found[:2] == ("warn", "reachable")
    assert "n2: did not answer within 10 s" in found[2]
    assert reach_findings([Answer(0.0, unreachable={"/ip4/10.0.0.1/tcp/1": ""})], {"n2": "too slow"})[0][0] == "ok"
    assert reach_findings([], {}) == []


def test_multicast_is_missing_where_no_peer_of_the_network_is_heard() -> None:
    (found,) = multicast_findings({"a": "n1", "b": "n2"}, frozenset("c"))
    assert found[:2] == ("warn", "multicast")
    assert found[2].endswith("multicast: n1, n2")
    assert multicast_findings({"a": "n1", "b": "n2"}, frozenset("b")) == []
    assert multicast_findings({}, frozenset()) == []


def test_versions_that_differ_are_counted() -> None:
    assert version_findings([peer("bzzz/1"), peer("bzzz/1")], "bzzz/1")[0][0] == "ok"
    (found,) = version_findings([peer("bzzz/1"), peer("bzzz/2"), peer("bzzz/3", connected=False)], "bzzz/1")
    assert found[0] == "warn"
    assert "1 times bzzz/2" in found[2]
    assert "bzzz/3" not in found[2]
