"""publish and subscribe: a message from one command line to another."""

import json
import threading
import time

from bzzzd.cli.main import main


def test_a_message_comes_out_where_it_is_subscribed(node, bzzz, capsys):
    def send():
        end = time.monotonic() + 10
        while not node.topics and time.monotonic() < end:
            time.sleep(0.005)
        for body in ("hello \x1b[31mworld", "again"):
            assert main(["publish", "alerts", body, "--json"]) == 0

    sender = threading.Thread(target=send)
    sender.start()
    found = bzzz("subscribe", "alerts", "--count", "2", "--json")
    sender.join()
    items = [json.loads(line) for line in found.out.splitlines() if line.startswith('{"author"')]
    assert found.status == 0
    assert [item["payload"]["body"] for item in items] == ["hello \x1b[31mworld", "again"]
    assert "\x1b" not in found.out
    assert "listening to alerts" in found.err


def test_a_message_comes_from_standard_input(node, bzzz):
    assert bzzz("publish", "alerts", given=b"from a pipe").out == "sent as number 1\n"
    (entry,) = node.topic("topic:alerts").after(0, 10)
    assert entry.value["payload"]["body"] == "from a pipe"


def test_what_is_no_topic_is_refused_in_words(node, bzzz):
    for argv in (("publish", "a b", "x"), ("publish", "", "x"), ("subscribe", "a/b")):
        found = bzzz(*argv)
        assert (found.status, "is no topic: a name has 1 to 64 of" in found.err) == (2, True)


def test_messages_that_do_not_come_in_time_are_a_failure(node, bzzz):
    found = bzzz("subscribe", "alerts", "--count", "1", "--timeout", "0.1")
    assert (found.status, "1 of 1 messages had not come" in found.err) == (1, True)
    assert bzzz("subscribe", "alerts", "--timeout", "0.1").status == 0
