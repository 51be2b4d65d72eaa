import pytest

from bzzzd.crypto.age import new_identity, recipient_of
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import InvalidEnvelope, TooLarge
from bzzzd.identity.epoch import EPOCH_LIMIT, EpochRecord, open_epoch, seal_epoch

KEY = SigningKey.from_seed(bytes(32))
ONE, TWO = recipient_of(new_identity()), recipient_of(new_identity())


def record(**changes: object) -> EpochRecord:
    return EpochRecord(**{"number": 1, "at": 1.0, "recipients": {"worker": ONE}, **changes})  # type: ignore[arg-type]


def test_an_epoch_is_read_as_it_was_signed() -> None:
    signed = seal_epoch(KEY, "mesh-1", record(recipients={"worker": ONE, "admin": TWO}))
    epoch = open_epoch(signed, "mesh-1")
    assert (epoch.number, epoch.author, epoch.raw) == (1, KEY.public, signed)
    assert epoch.record.recipients == {"worker": ONE, "admin": TWO}
    assert epoch.digest.startswith(epoch.tag)


@pytest.mark.parametrize(
    "changes",
    [
        {"number": 0},
        {"recipients": {}},
        {"recipients": {"worker": "age1nonsense"}},
        {"recipients": {"../evil": ONE}},
        {"recipients": {"worker": ONE, "admin": ONE}},
        {"previous": b"short"},
        {"at": -1.0},
    ],
)
def test_one_that_breaks_a_rule_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidEnvelope):
        open_epoch(seal_epoch(KEY, "mesh-1", record(**changes)), "mesh-1")


def test_one_of_another_mesh_or_over_the_limit_is_refused() -> None:
    with pytest.raises(InvalidEnvelope):
        open_epoch(seal_epoch(KEY, "mesh-2", record()), "mesh-1")
    with pytest.raises(TooLarge):
        open_epoch(bytes(EPOCH_LIMIT + 1), "mesh-1")


def test_the_higher_number_stands_and_then_the_lower_digest() -> None:
    first, second = (open_epoch(seal_epoch(KEY, "m", record(number=number)), "m") for number in (1, 2))
    assert min(first, second, key=lambda epoch: epoch.rank) is second
    one, two = (open_epoch(seal_epoch(KEY, "m", record(at=at)), "m") for at in (1.0, 2.0))
    assert min(one, two, key=lambda epoch: epoch.rank).digest == min(one.digest, two.digest)
