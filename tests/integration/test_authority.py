"""The authority's key: split among holders, taken off the machine, told apart when wrong, and put together again."""

from __future__ import annotations

from pathlib import Path

from bzzzd.crypto import age
from tests.integration.conftest import Node, NodeMaker
from tests.integration.test_joining import again, invite, join, lines_of, mesh_of, together


def opened(path: Path, identity: str, target: Path) -> str:
    """What a holder does with a key of their own: ``age -d``."""
    target.write_bytes(age.decrypt(path.read_bytes(), [identity]))
    return str(target)


def key_is_here(node: Node) -> bool:
    there = (node.state / "keys" / "authority.key").exists()
    assert bool(node.json("mesh", "authority", "show")["here"]) == there
    return there


def test_split_three_of_five_remove_and_recover(make_node: NodeMaker, tmp_path: Path) -> None:
    first, second = make_node("n1"), make_node("n2")
    first.start()
    second.start()
    join(second, invite(first, "--yes")["token"])
    together(first, second)
    identities = {name: age.new_identity() for name in ("ann", "ben", "cem")}
    holders = [f"{name}={age.recipient_of(identity)}" for name, identity in identities.items()]
    folder = tmp_path / "shares"
    kept = first.json("mesh", "authority", "split", "n1", "n2", *holders, "--output", str(tmp_path / "kept"))
    assert (kept["removed"], key_is_here(first)) == (False, True)
    assert "the key stays" in lines_of(first.bzzz("mesh", "authority", "remove"))
    dealt = first.json("mesh", "authority", "split", "n1", "n2", *holders, "--output", str(folder), "--yes")
    assert (dealt["removed"], dealt["threshold"], len(dealt["files"])) == (True, 3, 5)
    assert not key_is_here(first)
    again(first)
    assert not key_is_here(first)
    assert "authority recover" in lines_of(first.bzzz("mesh", "authority", "split", *holders))
    assert first.json("mesh", "invite")["signs"] == "client"

    files = {Path(name).stem.split("-", 2)[2]: Path(name) for name in dealt["files"]}
    ann, ben = (opened(files[name], identities[name], tmp_path / name) for name in ("ann", "ben"))
    own = str(files["n1"])
    too_few = first.bzzz("mesh", "authority", "recover", own, ann, ann)
    assert too_few.returncode == 2
    assert "2 good shares of the 3 that are needed (n1, ann); bring 1 more, of n2, ben, cem" in lines_of(too_few)
    other = opened(Path(kept["files"][3]), identities["ben"], tmp_path / "other")
    wrong = first.bzzz("mesh", "authority", "recover", own, ann, other)
    assert "the share of ben is damaged or belongs to another split" in lines_of(wrong)
    sealed = first.bzzz("mesh", "authority", "recover", own, ann, str(files["n2"]))
    assert f"{files['n2']}: a share is encrypted for another holder" in lines_of(sealed)
    assert not key_is_here(first)

    released = tmp_path / "released.age"
    release = ("mesh", "authority", "release", str(files["n2"]), "--to", "n1", "--output", str(released))
    assert second.json(*release)["holder"] == "n2"
    found = first.json("mesh", "authority", "recover", own, ann, str(released), other)
    assert found["wrong"] == ["ben"]
    assert key_is_here(first)
    assert found["mesh_id"] == mesh_of(first)
    again(first)
    assert first.json("mesh", "invite")["signs"] == "node"
    recovered = first.json("mesh", "authority", "recover", own, ann, ben)
    assert recovered["wrong"] == []
    assert first.bzzz("mesh", "authority", "remove").returncode == 0
    assert not key_is_here(first)
