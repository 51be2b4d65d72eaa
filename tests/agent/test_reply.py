import json

import pytest

from bzzzd.agent.providers.base import Usage
from bzzzd.agent.providers.reply import Reply
from bzzzd.errors import ModelFailed


def piece(text: str | None, finish: str | None = None) -> bytes:
    return json.dumps({"choices": [{"delta": {"content": text}, "finish_reason": finish}]}).encode()


def test_an_answer_is_its_pieces_with_model_and_usage() -> None:
    reply = Reply("asked", 100)
    assert [reply.feed(piece(text)) for text in ("", " One ", None, "two. ")] == ["", " One ", "", "two. "]
    reply.feed(b'{"model": "told", "choices": [{"delta": {}, "finish_reason": "length"}]}')
    reply.feed(b'{"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7}}')
    reply.feed(b" [DONE]")
    answer = reply.finish(1.5)
    assert (answer.text, answer.model, answer.usage, answer.cut) == ("One two.", "told", Usage(5, 7), True)


def test_a_stream_without_an_end_was_cut() -> None:
    reply = Reply("m", 100)
    reply.feed(piece("Half a"))
    with pytest.raises(ModelFailed, match="cut its stream"):
        reply.finish(1.0)


def test_an_empty_answer_is_a_failure() -> None:
    reply = Reply("m", 100)
    reply.feed(piece(" \n", "stop"))
    with pytest.raises(ModelFailed, match="answered nothing"):
        reply.finish(1.0)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"[1]", b"\xff\xfe", b'{"choices": 5}', b'{"choices": [{"delta": 1}]}']
)
def test_nonsense_is_named(data: bytes) -> None:
    with pytest.raises(ModelFailed, match="nonsense") as caught:
        Reply("m", 100).feed(data)
    assert caught.value.data["reason"] == "nonsense"


def test_an_error_inside_the_stream_is_told_on_one_clean_line() -> None:
    with pytest.raises(ModelFailed, match=r"reported: out of memory, sorry$"):
        Reply("m", 100).feed(json.dumps({"error": {"message": "out of\n\x1b memory,   sorry"}}).encode())


def test_an_endless_answer_is_stopped() -> None:
    reply = Reply("m", 10)
    with pytest.raises(ModelFailed, match="far more"):
        for _ in range(100):
            reply.feed(piece("x" * 10))


def test_reasoning_is_a_sign_of_life_and_no_part_of_the_answer() -> None:
    reply = Reply("m", 100)
    assert reply.feed(b'{"choices": [{"delta": {"reasoning_content": "hm"}}]}') == ""
    assert (reply.signs, reply.begun) == (1, False)
    reply.feed(piece("Yes.", "stop"))
    assert (reply.signs, reply.finish(1.0).text) == (2, "Yes.")
