import msgspec
import pytest

from bzzzd.crypto.envelope import seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import InvalidEnvelope
from bzzzd.identity.records import AgentRecord, open_record, seal_record

KEY, OTHER = SigningKey.generate(), SigningKey.generate()
RECORD = AgentRecord(id="a1", public_key=KEY.public, role="worker", binary_type="agent", timestamp=1.0)


def test_a_record_is_read_back_with_its_binary_type() -> None:
    assert open_record(seal_record(KEY, "mesh", RECORD), "mesh") == RECORD


def test_a_record_that_names_another_key_is_refused() -> None:
    with pytest.raises(InvalidEnvelope, match="did not sign"):
        open_record(seal_record(OTHER, "mesh", RECORD), "mesh")


def test_a_record_of_a_wrong_shape_is_refused() -> None:
    for payload in (b"", b"\xc1", msgspec.msgpack.encode({"id": "a b"})):
        with pytest.raises(InvalidEnvelope, match="shape"):
            open_record(seal(KEY, "agent-record", "mesh", payload), "mesh")
