"""A wrong clock is news once, and once when it is right again."""

from bzzzd.daemon.peers.skew import Clocks


def test_a_wrong_clock_is_told_once_and_so_is_its_end() -> None:
    clocks, turns = Clocks(), []
    for there in (100.0, 160.0, 161.0, 100.5, 100.0, 40.0):
        clocks.measured("p", 100.0, there, 0.0)
        turns.append(clocks.turned("p"))
    assert turns == [None, "wrong", None, "right", None, "wrong"]


def test_a_slow_answer_neither_accuses_nor_acquits() -> None:
    clocks = Clocks()
    clocks.measured("p", 100.0, 110.0, 30.0)
    assert clocks.turned("p") is None
    clocks.measured("p", 100.0, 160.0, 0.0)
    assert clocks.turned("p") == "wrong"
    clocks.measured("p", 100.0, 220.0, 120.0)
    assert clocks.turned("p") is None
    clocks.forget("p")
    clocks.measured("p", 100.0, 160.0, 0.0)
    assert clocks.turned("p") is None
