from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzzzd.hap import links
from bzzzd.hap.rows import frame, on
from bzzzd.hap.screen.painter import Painter
from bzzzd.hap.text import clean, wrap
from bzzzd.hap.themes import theme

URL = "https://example.org/a/page?x=1"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"see {URL}.", [URL]),
        ("(http://example.org/a_(b))", ["http://example.org/a_(b)"]),
        ("ucxl://worker-2:worker@default:t-1/*^/decision, then", ["ucxl://worker-2:worker@default:t-1/*^/decision"]),
        ("file:///etc/passwd javascript://x ssh://host xhttps://example.org", []),
        ("https://", []),
        ("two http://a.org and http://b.org", ["http://a.org", "http://b.org"]),
        ("http://" + "a" * 3000, []),
    ],
)
def test_only_addresses_of_the_three_kinds_are_links_without_the_sentence_around_them(
    text: str, found: list[str]
) -> None:
    assert [text[start:end] for start, end in links.find(text)] == found


@given(st.text(max_size=80), st.integers(4, 40))
def test_a_wrapped_line_says_the_same_with_links_as_without(text: str, columns: int) -> None:
    line = clean(f"{text} {URL} {text}")
    rows = links.wrapped(line, columns)
    assert ["".join(part for _, part in row) for row in rows] == list(wrap(line, columns))


@given(st.text(alphabet="ab /:.?-", max_size=40), st.integers(4, 40))
def test_a_link_always_leads_where_its_text_says(text: str, columns: int) -> None:
    line = clean(f"{text} {URL}")
    pieces: dict[str, str] = {}
    for row in links.wrapped(line, columns):
        for style, part in row:
            if target := links.parts(style)[1]:
                pieces[target] = pieces.get(target, "") + part
    for target, shown in pieces.items():
        assert shown == target * (len(shown) // len(target))
        assert target in line


def test_a_link_is_written_once_around_its_text_and_ended_before_the_rest() -> None:
    row = (("base", "see "), (links.linked("info", URL), URL), ("base", " for more"))
    shown = frame([row], 60, 1)
    painted = Painter(theme("dark"), link=True).paint(shown)
    assert painted.count(f";{URL}\x1b\\") == 1
    opened, _, rest = painted.partition(f";{URL}\x1b\\")
    assert opened.rpartition("\x1b]8;")[2].startswith("id=")
    assert rest.index("\x1b]8;;\x1b\\") < rest.index("for more")
    assert "\x1b]8" not in Painter(theme("dark")).paint(shown)


def test_a_link_on_another_ground_keeps_its_target() -> None:
    assert on(((links.linked("info", URL), "x"),), "selected") == ((f"info+selected\n{URL}", "x"),)


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "https://a\x1b\\evil", "https://ä.org", "http://" + "a" * 3000]
)
def test_what_is_no_safe_address_never_becomes_a_target(target: str) -> None:
    assert links.linked("info", target) == "info"


def test_terminals_that_would_print_a_link_get_none() -> None:
    assert links.can_link({"TERM": "xterm-256color"})
    assert links.can_link({"TERM": "tmux-256color", "TMUX": "/tmp/x"})
    assert links.can_link({"TERM": "screen-256color", "TMUX": "/tmp/x"})
    assert not links.can_link({"TERM": "screen", "STY": "1"})
    assert not links.can_link({"TERM": "linux"})
    assert not links.can_link({})
