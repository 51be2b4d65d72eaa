from __future__ import annotations

import time

import pytest

from bzzzd.errors import BzzzError, GrantRefused
from bzzzd.slurp.proof import proven
from tests.hap.asking import AGENT, FORGERIES, TRUST, YEAR, Asking, granted


def test_an_honest_question_comes_with_the_grant_of_its_asker() -> None:
    asking = Asking()
    question, grant = proven(asking.shown(), TRUST, time.time())
    assert question == asking.question
    assert (grant.kind, grant.id) == ("agent", "worker-1")


@pytest.mark.parametrize("name", FORGERIES)
def test_what_does_not_hold_is_refused_with_its_code(name: str) -> None:
    forge, code, words = FORGERIES[name]
    with pytest.raises(BzzzError, match=words) as refused:
        proven(forge(Asking()), TRUST, time.time())
    assert refused.value.code == code


def test_without_a_pinned_authority_nothing_is_proven() -> None:
    with pytest.raises(GrantRefused, match="no authority of the mesh is pinned"):
        proven(Asking().shown(), None, time.time())


def test_a_grant_that_has_ended_since_was_good_for_what_was_asked_before() -> None:
    asking = Asking()
    assert proven(asking.shown(), TRUST, time.time() + 2 * YEAR)[0] == asking.question


def test_what_was_asked_after_the_grants_end_is_refused() -> None:
    asking = Asking()
    old = granted("agent", "worker-1", AGENT.public, "worker", now=asking.now - 2 * YEAR)
    with pytest.raises(GrantRefused, match="expired"):
        proven(asking.shown(chain=[old]), TRUST, asking.now)


def test_a_question_from_the_future_is_asked_now() -> None:
    asking = Asking(now=time.time() + 2 * YEAR)
    chain = [granted("agent", "worker-1", AGENT.public, "worker")]
    assert proven(asking.shown(chain=chain), TRUST, time.time())[1].id == "worker-1"


@pytest.mark.parametrize("chain", [[3], ["text"], [None]])
def test_a_chain_of_anything_else_is_none(chain: list[object]) -> None:
    with pytest.raises(GrantRefused):
        proven(Asking().shown(chain=chain), TRUST, time.time())
