"""Strangers and misbehaving members do a node no harm: it keeps its memory, and honest members hear everything.

The full numbers are measured by the benchmark's part ``mesh_abuse``; these are small enough for every change.
"""

from collections.abc import Iterator

import pytest

from tests.abuse.siege import Outcome, Siege, siege

MOST_GROWTH_MIB = 20.0


@pytest.fixture(scope="module")
def besieged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    with siege(tmp_path_factory.mktemp("siege")) as made:
        yield made


def unharmed(outcome: Outcome) -> None:
    assert outcome.said > 0
    assert outcome.lost == 0
    assert outcome.growth_mib < MOST_GROWTH_MIB


def test_half_open_connections(besieged: Siege) -> None:
    outcome = besieged.attack("half-open", 300, hold_s=30.0)
    unharmed(outcome)
    assert outcome.report == {"opened": 300, "ended_by_node": 300}
    assert outcome.counted["bzzz_mesh_evicted_total"] > 100


def test_garbage(besieged: Siege) -> None:
    outcome = besieged.attack("garbage", 1000)
    unharmed(outcome)
    assert outcome.report["said"] == 1000


def test_strangers_with_proper_keys_and_no_grant(besieged: Siege) -> None:
    outcome = besieged.attack("strangers", 60)
    unharmed(outcome)
    assert outcome.report["let_in"] == 0
    assert outcome.counted["bzzz_mesh_joined_total"] == 0
    assert outcome.counted["bzzz_mesh_refused_total"] > 0


def test_a_member_that_forges_and_replays(besieged: Siege) -> None:
    outcome = besieged.attack("forger", 2000, limit_s=30.0, **besieged.misfit())
    unharmed(outcome)
    assert outcome.report["joins"] >= 1
    assert outcome.report["still_connected"] is False
    counted = outcome.counted
    assert counted["bzzz_mesh_offences_total"] > 0
    assert counted["bzzz_mesh_cut_off_total"] >= 1


def test_a_member_that_signs_what_cannot_be_decoded(besieged: Siege) -> None:
    outcome = besieged.attack("forger", 1000, limit_s=30.0, **besieged.poison())
    unharmed(outcome)
    assert outcome.report["joins"] >= 1
    assert outcome.counted["bzzz_mesh_cut_off_total"] >= 1
