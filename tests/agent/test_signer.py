from pathlib import Path

import msgspec
import pytest

from bzzzd.agent.signer import Signer, chain_from
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import KeyExposed
from bzzzd.identity.attach import open_attach
from bzzzd.identity.grants import mesh_id_of
from bzzzd.identity.node import make_grant, write_grant
from bzzzd.identity.records import open_record
from bzzzd.slurp.commands import Renew, open_command

NOW = 1_000_000.0


def made(chain: tuple[bytes, ...] = ()) -> tuple[Signer, SigningKey]:
    key = SigningKey.generate()
    return Signer(key, "a1", "worker", wall=lambda: NOW, chain=chain, version="9"), key


def grant_for(key: SigningKey, authority: SigningKey, valid_s: float = 100.0) -> bytes:
    return make_grant(
        authority, mesh_id_of(authority.public), kind="agent", id="a1", key=key.public, role="worker",
        valid_s=valid_s, now=NOW,
    )  # fmt: skip


def test_an_attach_proves_the_nonce_and_says_what_is_offered() -> None:
    signer, key = made()
    params = signer.attach(b"n" * 32, "m1", ["summarise"], 3)
    envelope, proof = open_attach(params["envelope"], "m1", b"n" * 32)
    assert envelope.author == key.public
    assert (proof.kind, proof.id, proof.role, proof.capabilities, proof.slots) == (
        "agent", "a1", "worker", ("summarise",), 3,
    )  # fmt: skip
    record = open_record(params["record"], "m1")
    assert (record.binary_type, record.version, record.public_key) == ("agent", "9", key.public)


def test_what_the_daemon_answers_is_who_it_is() -> None:
    signer, _ = made()
    assert signer.renew_in_s() is None
    signer.attached({"caller": {"role": "reviewer", "capabilities": ["b", "a"]}, "chain": []})
    assert (signer.role, signer.capabilities, signer.chain) == ("reviewer", ("a", "b"), ())
    assert signer.address("p", "t-1", "decision") == "ucxl://a1:reviewer@p:t-1/*^/decision"
    assert signer.address("p", "t-1", "failure") == "ucxl://a1:reviewer@p:t-1/*^/failure"


def test_a_grant_is_due_for_renewal_at_half_of_its_time() -> None:
    signer, key = made()
    authority = SigningKey.generate()
    signer.attach(b"n" * 32, mesh_id_of(authority.public), [], 1)
    chain = [grant_for(key, authority)]
    signer.attached({"caller": {"role": "worker", "capabilities": []}, "chain": chain})
    assert signer.renew_in_s() == pytest.approx(50.0)
    assert signer.attach(b"n" * 32, mesh_id_of(authority.public), [], 1)["chain"] == chain


def test_commands_are_signed_with_ids_of_their_own() -> None:
    signer, key = made()
    signer.attach(b"n" * 32, "m1", [], 1)
    first, second = (signer.command(Renew, "t-1", token=(1, 2)) for _ in range(2))
    envelope, command = open_command(first, "m1")
    assert envelope.author == key.public
    assert isinstance(command, Renew)
    assert (command.task, command.token, command.at) == ("t-1", (1, 2), NOW)
    assert open_command(second, "m1")[1].id != command.id


def test_the_key_is_not_in_what_is_printed() -> None:
    signer, key = made()
    assert key.seed.hex() not in repr(vars(signer))


def test_a_chain_is_found_by_the_key_it_was_made_for(tmp_path: Path) -> None:
    _, key = made()
    folder, authority = tmp_path / "grants", SigningKey.generate()
    assert chain_from(folder, key.public) == ()
    write_grant(folder, "other", authority.public, [grant_for(SigningKey.generate(), authority)])
    assert chain_from(folder, key.public) == ()
    raw = grant_for(key, authority)
    path = write_grant(folder, "own", authority.public, [raw])
    assert chain_from(folder, key.public) == (raw,)
    path.chmod(0o644)
    with pytest.raises(KeyExposed):
        chain_from(folder, key.public)


def test_a_damaged_leaf_is_passed_over(tmp_path: Path) -> None:
    authority = SigningKey.generate()
    for name, chain in (("a", [b"\xc1"]), ("b", []), ("c", [msgspec.msgpack.encode([1, "grant"])])):
        write_grant(tmp_path / "grants", name, authority.public, chain)
    assert chain_from(tmp_path / "grants", b"x" * 32) == ()
