from bzzzd.agent.text import clean, words


def test_control_characters_never_reach_a_terminal() -> None:
    assert clean("a\x1b[31mb\x07\x9bc\r\n\td\u202e") == "a[31mbc\n\td"
    assert clean("Grüße 👍🏽 日本") == "Grüße 👍🏽 日本"


def test_words_fit_on_one_line() -> None:
    assert words({"message": "out of\n\x1b memory,   sorry"}) == "out of memory, sorry"
    assert words({"code": 5}) == "{'code': 5}"
    assert len(words("x" * 1000)) == 200
