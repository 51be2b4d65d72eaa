"""The doctor's findings about a node's own grant."""

import pytest

from bzzzd.daemon.checks.checkup import grant_ends

DAY_S = 86400.0


@pytest.mark.parametrize(
    ("left_s", "level", "says"),
    [(-1.0, "bad", "it has expired"), (3 * DAY_S, "warn", "it ends in 3.0 days"), (300 * DAY_S, "ok", "300 days")],
)
def test_a_grant_that_ends_is_found_with_what_renews_it(left_s: float, level: str, says: str) -> None:
    found, what, why, fix = grant_ends("n1", 1e9 + left_s, 1e9)
    assert (found, what) == (level, "grant of node n1")
    assert says in why
    assert ("bzzz mesh renew n1" in fix) == (level != "ok")
