"""context: putting, getting and comparing versions."""

import json

import pytest

ADDRESS = "ucxl://alice:operator@site:plan/*^/notes"


def test_a_put_signs_a_version_after_the_latest_ones(node, bzzz):
    first = bzzz("context", "put", ADDRESS, given=b"one")
    assert first.status == 0, first.err
    second = bzzz("context", "put", ADDRESS, "--body", "two", "--type", "text/markdown")
    (id, header, content), (_, next_header, next_content) = node.versions
    assert first.out == f"{ADDRESS}\nversion {id}\n"
    assert (content, next_content) == (b"one", b"two")
    assert (header.parents, next_header.parents) == ((), (id,))
    assert next_header.content_type == "text/markdown"
    assert second.status == 0


def test_a_put_reads_a_file(node, bzzz, tmp_path):
    (tmp_path / "in").write_bytes(b"\xff\x00")
    assert bzzz("context", "put", ADDRESS, "--file", str(tmp_path / "in")).status == 0
    assert node.versions[0][2] == b"\xff\x00"


@pytest.mark.parametrize(
    ("argv", "status", "part"),
    [
        (["ucxl://any:b@c:d/*^"], 2, "finds many things"),
        (["ucxl://a:b@c:d/*~3"], 2, "always the latest: write to ucxl://a:b@c:d/*^/"),
        (["ucxl://a:b@c"], 2, "INVALID_ADDRESS"),
        (["ucxl://a:b@c:d/x"], 2, "TEMPORAL_INVALID"),
        ([ADDRESS, "--file", "/nonexistent"], 4, "there is no file /nonexistent"),
        ([ADDRESS, "--file", "/"], 2, "cannot read /: Is a directory"),
        ([ADDRESS, "--file", "/x", "--body", "x"], 2, "either from --body or from --file"),
    ],
)
def test_what_cannot_be_put_is_refused_with_the_reason(node, bzzz, argv, status, part):
    found = bzzz("context", "put", *argv)
    assert found.status == status
    assert part in found.err


def test_a_get_prints_the_content_alone(node, bzzz):
    bzzz("context", "put", ADDRESS, "--body", "one\x1b[31m\n")
    found = bzzz("context", "get", ADDRESS)
    assert found.out.startswith("one")
    assert "several latest versions" in found.err
    answer = json.loads(bzzz("context", "get", ADDRESS, "--json").out)
    assert (answer["content"], answer["number"]) == ("one\x1b[31m\n", 1)


def test_a_get_writes_a_new_file_and_never_over_another(node, bzzz, tmp_path):
    bzzz("context", "put", ADDRESS, "--body", "one")
    out = tmp_path / "out"
    assert bzzz("context", "get", ADDRESS, "--output", str(out)).status == 0
    assert out.read_bytes() == b"one"
    found = bzzz("context", "get", ADDRESS, "--output", str(out))
    assert (found.status, "exists already" in found.err) == (1, True)


def test_history_list_and_diff(node, bzzz):
    bzzz("context", "put", ADDRESS, "--body", "one")
    bzzz("context", "put", ADDRESS, "--body", "two")
    history = bzzz("context", "history", ADDRESS).out.splitlines()
    assert [line.split()[0] for line in history] == ["N", "1", "2"]
    assert history[1].split()[-2:] == ["*", node.versions[0][0]]
    assert ADDRESS in bzzz("context", "list").out
    assert bzzz("context", "diff", ADDRESS).out == "--- ~~1\n+++ *^\n-old\n+new\n"
    assert bzzz("context", "diff", ADDRESS, "1", "2").out.startswith("--- 1\n+++ 2\n")


def test_a_missing_address_is_not_found(node, bzzz):
    assert bzzz("context", "get", ADDRESS).status == 4


def test_nothing_is_exported_into_a_place_that_is_no_new_folder(node, bzzz, tmp_path):
    (tmp_path / "file").write_text("mine")
    found = bzzz("mesh", "export", str(tmp_path))
    assert (found.status, "is not empty" in found.err) == (1, True)
    found = bzzz("mesh", "export", str(tmp_path / "file"))
    assert (found.status, "is no folder to write in" in found.err) == (2, True)


def test_an_empty_summary_closes_nothing_and_keeps_nothing(node, bzzz):
    found = bzzz("hmmm", "post", "x-1", " ", "--kind", "summary")
    assert (found.status, "an empty one closes nothing" in found.err) == (2, True)
    assert node.versions == []
