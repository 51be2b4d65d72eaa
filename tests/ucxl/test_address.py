"""UCXL addresses: the vectors of docs/ucxl.md, and properties over generated and broken ones."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.errors import InvalidAddress, InvalidTemporal
from bzzzd.ucxl.address import ANY, LATEST, Address, Temporal, build, matches, parse

PAGE = (Path(__file__).parents[2] / "docs" / "ucxl.md").read_text("utf-8")


def vectors(title: str) -> list[tuple]:
    section = PAGE.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return [tuple(json.loads(cell.strip().strip("`")) for cell in row[2:-2].split(" | ")) for row in rows]


VALID, INVALID = vectors("Valid"), vectors("Invalid")

names = st.text("ABYZabyz059_-", min_size=1, max_size=64) | st.just("any")
segments = st.text("AZaz09_.-", min_size=1, max_size=12).filter(lambda text: text not in (".", ".."))
counts = st.integers(0, 999_999_999)
temporals = st.one_of(
    st.just(LATEST),
    st.just(ANY),
    counts.map(lambda n: Temporal("specific", None, n)),
    st.tuples(st.sampled_from(["backward", "forward"]), counts).map(lambda pair: Temporal("relative", *pair)),
)
addresses = st.builds(
    Address, names, names, names, names, temporals, st.lists(segments, max_size=4).map("/".join)
)  # fmt: skip


def parsed_or_position(text: str) -> Address | int:
    try:
        return parse(text)
    except InvalidAddress as error:
        return int(error.data["position"])


def test_the_page_has_enough_vectors():
    assert len(VALID) >= 25
    assert len(INVALID) >= 60


@pytest.mark.parametrize(("text", "kind", "direction", "count", "path", "canonical"), VALID)
def test_a_valid_vector_parses_as_the_page_says(text, kind, direction, count, path, canonical):
    found = parse(text).to_map(text)
    assert found["temporal_segment"] == {"type": kind, "direction": direction, "count": count}
    assert (found["path"], found["canonical"], found["raw"]) == (path, canonical, text)
    names = f"{found['agent']}:{found['role']}@{found['project']}:{found['task']}"
    assert canonical.startswith(f"ucxl://{names}/")


@pytest.mark.parametrize(("text", "code", "position"), INVALID)
def test_an_invalid_vector_is_refused_with_code_and_position(text, code, position):
    with pytest.raises(InvalidAddress) as caught:
        parse(text)
    assert (caught.value.code, caught.value.data["position"]) == (code, position)
    assert isinstance(caught.value, InvalidTemporal) == (code == "TEMPORAL_INVALID")
    assert caught.value.message.isascii()
    assert caught.value.message.isprintable()


@settings(max_examples=300, deadline=None)
@given(addresses)
def test_parsing_the_canonical_form_gives_the_address_back(address):
    assert parse(address.canonical) == address
    assert parse(address.canonical).canonical == address.canonical
    assert str(address) == address.canonical


@settings(max_examples=300, deadline=None)
@given(addresses, st.integers(0), st.characters(), st.sampled_from(["insert", "replace", "delete", "cut"]))
def test_a_damaged_address_parses_or_is_refused_inside_itself(address, place, char, how):
    text = address.canonical
    at = place % (len(text) + 1)
    damaged = {
        "insert": text[:at] + char + text[at:],
        "replace": text[:at] + char + text[at + 1 :],
        "delete": text[:at] + text[at + 1 :],
        "cut": text[:at],
    }[how]
    found = parsed_or_position(damaged)
    if isinstance(found, Address):
        assert found.canonical in (damaged, damaged + "/")
    else:
        assert 0 <= found <= len(damaged)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80) | st.text("ucxl:/@*^~09.a", max_size=40).map("ucxl://a:b@c:d".__add__))
def test_garbage_is_refused_with_a_position_and_never_crashes(text):
    found = parsed_or_position(text)
    assert isinstance(found, Address) or 0 <= found <= len(text)


@given(addresses)
def test_the_base_names_the_thing_without_time(address):
    assert address.base == address.at(LATEST).canonical
    assert parse(address.base).base == address.base


def test_an_address_is_built_from_its_parts():
    built = build("atlas", "worker", "site", "plan", "brief", Temporal("relative", "backward", 2))
    assert built.canonical == "ucxl://atlas:worker@site:plan/~~2/brief"


@pytest.mark.parametrize("agent", ["", "a b", "x" * 65, "a:b@c:d/*^/x", "ä"])
def test_parts_that_do_not_fit_build_nothing(agent):
    with pytest.raises(InvalidAddress):
        build(agent, "r", "p", "t")


def test_a_part_cannot_pretend_to_be_the_rest():
    with pytest.raises(InvalidAddress):
        build("a", "r", "p", "t/*^", "", LATEST)


@pytest.mark.parametrize(
    ("pattern", "address", "expected"),
    [
        ("ucxl://any:any@any:any/*~", "ucxl://a:b@c:d/*^/x", True),
        ("ucxl://a:any@c:any/*^", "ucxl://a:b@c:d/*^/x", True),
        ("ucxl://a:any@c:any/*^", "ucxl://a:b@e:d/*^/x", False),
        ("ucxl://A:b@c:d/*^", "ucxl://a:b@c:d/*^/", False),
        ("ucxl://Any:b@c:d/*^", "ucxl://a:b@c:d/*^/", False),
        ("ucxl://a:b@c:d/*^/x", "ucxl://a:b@c:d/~~3/x", True),
        ("ucxl://a:b@c:d/*^/x", "ucxl://a:b@c:d/*^/x/y", True),
        ("ucxl://a:b@c:d/*^/x", "ucxl://a:b@c:d/*^/xy", False),
        ("ucxl://a:b@c:d/*^/x/y", "ucxl://a:b@c:d/*^/x", False),
        ("ucxl://a:b@c:d/*^/", "ucxl://a:b@c:d/*^/x", True),
        ("ucxl://a:b@c:d/*^/any", "ucxl://a:b@c:d/*^/x", False),
        ("ucxl://a:b@c:d/*^", "ucxl://any:b@c:d/*^", False),
    ],
)
def test_a_pattern_finds_names_by_any_and_paths_by_what_lies_below(pattern, address, expected):
    assert matches(parse(pattern), parse(address)) is expected


def test_only_names_make_a_pattern():
    assert parse("ucxl://a:any@c:d/*^").is_pattern
    assert not parse("ucxl://a:b@c:d/*~/any").is_pattern
