import json
from pathlib import Path

import pytest
from benchmark import __main__ as driver

PART = """
def run(quick):
    return [
        {"name": "hello", "asked": "0.3 x a bare host", "measured": 0.05, "baseline": 0.5, "ratio": 0.1,
         "unit": "s", "ok": True},
        {"name": "calls", "asked": "0.8 x a bare echo", "measured": 31000, "baseline": 49000.0, "ratio": 0.63,
         "unit": "1/s", "ok": quick},
    ]
"""


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(driver, "PARTS", tmp_path)
    (tmp_path / "rpc.py").write_text(PART)
    return tmp_path


def _main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["bench", *arguments])
    return driver.main()


@pytest.mark.usefixtures("parts")
def test_the_table_names_what_falls_short(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert _main(monkeypatch) == 0
    out = capsys.readouterr().out
    assert "calls  0.8 x a bare echo    31,000    49,000   0.63  1/s   ✗ short" in out
    assert "1 of 2 figures are as asked, 1 fall short.\n  calls: 31,000 1/s, asked: 0.8 x a bare echo" in out


@pytest.mark.usefixtures("parts")
def test_json_has_the_rows_and_the_machine(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert _main(monkeypatch, "--json", "--quick") == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["ok"] for row in told["rows"]] == [True, True]
    assert told["machine"]["cores"] >= 1
    assert told["parts"][0]["name"] == "rpc"


def test_a_part_that_crashes_is_named_and_does_not_stop_the_others(
    parts: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (parts / "broken.py").write_text("def run(quick):\n    raise OSError('no node')\n")
    assert _main(monkeypatch) == 1
    out, err = capfd.readouterr()
    assert "part broken failed: exit status 1" in out
    assert "no node" in err
    assert "31,000" in out


@pytest.mark.usefixtures("parts")
def test_an_unknown_part_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        _main(monkeypatch, "nosuch")
    assert stopped.value.code == 2
    assert "there are rpc" in capsys.readouterr().err
