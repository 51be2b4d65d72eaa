import io

import pytest
from steps import Step, Steps


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_than_on_a_terminal_a_step_is_one_line_with_its_time() -> None:
    out = io.StringIO()
    with Steps(out).step("starting bzzzd") as step:
        step.note("phase mesh")
        step.note("ready")
    assert out.getvalue().startswith("✓ starting bzzzd ")
    assert out.getvalue().endswith(" s  ready\n")
    assert out.getvalue().count("\n") == 1
    assert step.took_s >= 0


def test_a_step_that_fails_says_so() -> None:
    out = io.StringIO()
    with pytest.raises(OSError, match="no room"), Steps(out).step("copying"):
        raise OSError("no room")
    assert out.getvalue().startswith("✗ copying")


def test_on_a_terminal_the_line_is_rewritten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    steps = Steps(out)
    assert steps.live
    with steps.step("starting"):
        pass
    assert "\r\x1b[K✓ starting" in out.getvalue()
    steps.heading("decision")
    assert "\x1b[1mdecision\x1b[0m" in out.getvalue()


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert not Steps(Terminal()).live


def test_a_long_step_gives_signs_of_life_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steps.FIRST_SIGN_S", 0.001)
    monkeypatch.setattr("steps.HEARTBEAT_S", 0.001)
    out = io.StringIO()
    step = Step(out, "waiting", live=False)
    with step:
        step._over.wait(0.05)
    assert "… waiting" in out.getvalue()
