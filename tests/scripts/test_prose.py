from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from localnode.prose import opening

PAGE = """# Title

First **bold** paragraph with a [link](https://example.org/x) and `code`.
It goes on here.

- a list
- of things

```sh
not prose

at all
```

| a | table |
|---|---|

It can do these things:

![a picture](x.svg)

Second _paragraph_.

## A section

Not the opening.
"""


def test_the_opening_is_plain_prose() -> None:
    assert opening(PAGE) == "First bold paragraph with a link and code. It goes on here.\n\nSecond paragraph."


def test_paragraphs_stay_whole_under_the_limit() -> None:
    assert opening(PAGE, limit=70) == "First bold paragraph with a link and code. It goes on here."


def test_a_long_first_paragraph_is_cut_after_a_sentence() -> None:
    assert opening("One sentence. Another sentence.", limit=20) == "One sentence."
    assert opening("no sentence in all these words", limit=20) == "no sentence in all"


def test_a_page_that_begins_with_a_section_gives_that_one() -> None:
    assert opening("## Section\n\nWords here.\n\n## Next\n\nMore.") == "Words here."


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab .`*_#-|\n[]()!>", max_size=400), st.integers(1, 100))
def test_no_page_gives_more_than_the_limit(page: str, limit: int) -> None:
    assert len(opening(page, limit)) <= limit


def test_our_own_readme_has_an_opening_for_the_sample() -> None:
    text = opening((Path(__file__).resolve().parents[2] / "README.md").read_text())
    assert 300 < len(text) <= 1200
    assert not set("#*`|[]") & set(text)
