import json
from pathlib import Path

import pytest

from bzzzd.agent.bwrap import Limits
from bzzzd.agent.handlers.programs import Command, External
from bzzzd.agent.sandbox import Sandbox
from bzzzd.errors import BadInput
from tests.agent.helpers import job

LIMITS = Limits(timeout_s=10.0, memory_mb=128, output_bytes=4096)


@pytest.fixture
async def sandbox() -> Sandbox:
    return await Sandbox.probe()


def external(sandbox: Sandbox, source: str) -> External:
    return External(sandbox, LIMITS, ["/usr/bin/python3", "-c", source], closed=[])


async def test_a_command_gives_its_output_and_exit_status(sandbox: Sandbox) -> None:
    notes: list[str] = []
    argv = ["sh", "-c", "cat; echo no >&2; exit 3"]
    product = await Command(sandbox, LIMITS).run(job(notes=notes, argv=argv, stdin="yes"))
    result = json.loads(product.content)
    assert (product.content_type, product.failure) == ("application/json", "")
    assert {**result, "seconds": 0} == {
        "argv": argv, "exit": 3, "ended": "exit", "stdout": "yes", "stderr": "no\n", "truncated": False, "seconds": 0,
    }  # fmt: skip
    assert notes == ["running sh"]


async def test_bytes_that_are_no_text_do_not_break_the_result(sandbox: Sandbox) -> None:
    product = await Command(sandbox, LIMITS).run(job(argv=["printf", r"a\377\001b"]))
    assert json.loads(product.content)["stdout"] == "a\ufffd\x01b"


async def test_a_command_at_its_time_limit_fails_with_what_it_had_written(sandbox: Sandbox) -> None:
    product = await Command(sandbox, LIMITS).run(job(argv=["sh", "-c", "echo begun; sleep 30"], timeout_s=0.5))
    result = json.loads(product.content)
    assert (product.failure, product.retryable) == ("time_limit", False)
    assert (result["stdout"], result["exit"], result["ended"]) == ("begun\n", None, "timeout")
    assert "time limit of 0.5 s" in result["error"]


async def test_output_over_the_limit_is_truncated_and_says_so(sandbox: Sandbox) -> None:
    product = await Command(sandbox, LIMITS).run(job(argv=["head", "-c", "9000", "/dev/zero"]))
    assert json.loads(product.content)["truncated"] is True


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"argv": "uname -a"},
        {"argv": []},
        {"argv": ["uname", 5]},
        {"argv": ["uname"], "stdin": 5},
        {"argv": ["uname"], "timeout_s": 0},
        {"argv": ["uname"], "timeout_s": True},
        {"argv": ["uname"], "shell": True},
        {"argv": ["a\0b"]},
    ],
)
async def test_a_brief_that_is_no_command_is_bad_input(sandbox: Sandbox, args: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        await Command(sandbox, LIMITS).run(job(**args))


async def test_a_brief_cannot_raise_its_time_limit(sandbox: Sandbox) -> None:
    command = Command(sandbox, Limits(timeout_s=0.5))
    assert (await command.run(job(argv=["sleep", "30"], timeout_s=1000))).failure == "time_limit"


async def test_an_external_program_gets_the_task_and_gives_text(sandbox: Sandbox) -> None:
    source = "import json, sys; d = json.load(sys.stdin); b = d['brief']; print('#', d['task']['id'], *b.values())"
    product = await external(sandbox, source).run(job("Do it", "Now", level=2, raw=b"x"))
    assert product.content == b"# t-1 Do it Now {'level': 2, 'raw': 'x'}\n"
    assert product.content_type == "text/markdown"


async def test_json_from_an_external_program_stays_json(sandbox: Sandbox) -> None:
    product = await external(sandbox, "print('{\"a\": [1]}')").run(job())
    assert (product.content, product.content_type) == (b'{"a": [1]}', "application/json")
    product = await external(sandbox, "print('{not json')").run(job())
    assert product.content_type == "text/markdown"


async def test_text_of_an_external_program_cannot_command_a_terminal(sandbox: Sandbox) -> None:
    product = await external(sandbox, r"print('a\x1b[2Jb')").run(job())
    assert product.content == b"a[2Jb\n"


@pytest.mark.parametrize(
    ("source", "failure", "retryable", "said"),
    [
        ("import sys; print('broken', file=sys.stderr); sys.exit(1)", "program_failed", False, "status 1\n\nbroken"),
        ("import sys; sys.exit(75)", "program_failed", True, "status 75"),
        ("pass", "empty_result", False, "no result"),
        ("print('x' * 5000)", "output_limit", False, "over 4096 bytes"),
        ("import os; os.kill(os.getpid(), 9)", "program_failed", False, "status 137"),
    ],
)
async def test_a_failing_external_program_is_a_failure_with_its_words(
    sandbox: Sandbox, source: str, failure: str, retryable: bool, said: str
) -> None:
    product = await external(sandbox, source).run(job())
    assert (product.failure, product.retryable) == (failure, retryable)
    assert said in product.content.decode()


async def test_arguments_that_are_no_json_fail_the_task_for_good(sandbox: Sandbox) -> None:
    with pytest.raises(BadInput, match="cannot be said in JSON"):
        await external(sandbox, "").run(job(deep={b"key": 1}))


def test_a_program_over_the_state_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no sandbox may see"):
        External(Sandbox.__new__(Sandbox), LIMITS, ["python3", str(tmp_path)], closed=[tmp_path / "state"])
