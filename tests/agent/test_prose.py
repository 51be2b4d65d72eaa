import pytest

from bzzzd.agent.handlers.prose import prose, shorten

MARKDOWN = """# A title

A **bold** and *plain* [link](http://example.org) with `code`,
over two lines. ![image](x.png)

- one item
- another *item*

> quoted words

```sh
rm -rf / # not prose
```

| a | b |
|---|---|
| 1 | 2 |

    indented code

---
<b>HTML</b> stays as words.<!-- a comment -->
"""


def test_only_the_running_text_is_left() -> None:
    assert prose(MARKDOWN) == (
        "A bold and plain link with code, over two lines.\n\n"
        "one item another item\n\n"
        "quoted words\n\n"
        "HTML stays as words."
    )


@pytest.mark.parametrize("text", ["", "   \n\n ", "# only a title", "```\nonly code"])
def test_no_prose_is_empty(text: str) -> None:
    assert prose(text) == ""


def test_identifiers_and_arithmetic_keep_their_characters() -> None:
    assert prose("Set max_tokens to 2 * 3 and a_b_c.") == "Set max_tokens to 2 * 3 and a_b_c."


def test_a_long_text_is_cut_after_a_sentence() -> None:
    assert shorten("One two. Three four. Five six.", 22) == "One two. Three four."
    assert shorten("No sentence ends here at all", 14) == "No sentence"
    assert shorten("Short.", 100) == "Short."
    assert len(shorten("x" * 100, 10)) == 10
