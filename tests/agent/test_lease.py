import pytest

from bzzzd.agent.lease import Lease, margin


@pytest.mark.parametrize(("lease_s", "expected"), [(30.0, 3.0), (60.0, 3.0), (10.0, 1.0), (1.0, 0.2), (0.1, 0.05)])
def test_the_margin_is_a_tenth_within_bounds(lease_s: float, expected: float) -> None:
    assert margin(lease_s) == pytest.approx(expected)


def test_a_lease_counts_from_the_sending() -> None:
    lease = Lease(sent=100.0, lease_s=30.0)
    assert (lease.renew_at, lease.stop_at, lease.ends) == (110.0, 127.0, 130.0)


def test_an_extension_moves_every_time_and_tells_watchers() -> None:
    lease, heard = Lease(100.0, 30.0), []
    unwatch = lease.watch(heard.append)
    lease.extend(110.0, 30.0)
    assert (lease.renew_at, lease.ends, heard) == (120.0, 140.0, [137.0])
    unwatch()
    lease.extend(120.0, 30.0)
    assert heard == [137.0]


def test_a_late_answer_to_an_older_renewal_shortens_nothing() -> None:
    lease = Lease(100.0, 30.0)
    lease.extend(120.0, 30.0)
    lease.extend(110.0, 30.0)
    assert lease.ends == 150.0
