"""Commands that ask nobody: config check and ucxl parse."""

import json
from pathlib import Path

ETC = Path(__file__).parents[2] / "etc"


def test_an_address_is_printed_in_parts(bzzz):
    found = bzzz("ucxl", "parse", "ucxl://atlas:worker@site:plan/~~1/brief")
    page = (Path(__file__).parents[2] / "docs" / "ucxl.md").read_text("utf-8")
    shown = page.split("    $ bzzz ucxl parse", 1)[1].split("\n", 1)[1].split("\n\n", 1)[0]
    assert found.status == 0
    assert found.out == "".join(line.removeprefix("    ") + "\n" for line in shown.splitlines())


def test_a_wrong_address_exits_two_with_code_and_position(bzzz):
    found = bzzz("ucxl", "parse", "ucxl://a:b@c:d/*^/x y")
    assert (found.status, found.out) == (2, "")
    assert "at position 19" in found.err
    assert found.err.endswith("(INVALID_ADDRESS)\n")


def test_the_shipped_configuration_has_no_fault(bzzz):
    found = bzzz("config", "check", str(ETC))
    assert (found.status, found.out) == (0, "17 files read, no fault\n")
    assert json.loads(bzzz("config", "check", str(ETC), "--json").out)["faults"] == []


def test_every_fault_is_printed_and_the_status_is_two(bzzz, tmp_path):
    (tmp_path / "bzzzd.yaml").write_text("agent: {}\nai: {model: m}\nnetwork: {}\nsecurity: {}\nstroage: {}\n")
    found = bzzz("config", "check", str(tmp_path))
    assert found.status == 2
    assert [line.split(": ")[1] for line in found.out.splitlines()] == ["stroage"]
    assert found.err == "bzzz: 1 fault in 1 file; mend what is listed, and check again (CONFIG_INVALID)\n"
    answer = json.loads(bzzz("config", "check", str(tmp_path), "--json").out)
    assert answer["faults"][0]["fix"] == "did you mean `storage`?"


def test_a_folder_without_files_means_the_defaults(bzzz, tmp_path):
    found = bzzz("config", "check")
    assert (found.status, "every default" in found.out) == (0, True)


def test_forms_and_texts_that_a_file_names_are_checked_wherever_they_lie(bzzz, tmp_path):
    texts, folder = tmp_path / "texts", tmp_path / "etc"
    texts.mkdir()
    folder.mkdir()
    (texts / "plan.yaml").write_text("nope: [\n")
    for kind, key in (("agent", "prompt_library_path"), ("hap", "message_templates_path")):
        interface = f"interface: {{{key}: {texts}}}\n"
        sections = "agent: {}\nai: {}\nnetwork: {}\nsecurity: {}\n"
        (folder / f"{kind}.yaml").write_text(f"binary_type: {kind}\n{sections}{interface}")
    found = bzzz("config", "check", str(folder))
    assert found.status == 2
    assert {line.split(": ")[0] for line in found.out.splitlines()} == {f"{texts}/plan.yaml:2:1"}
