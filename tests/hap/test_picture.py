from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

SCRIPT = Path(__file__).parents[2] / "scripts" / "picture"


def test_the_picture_is_drawn_as_text_from_real_frames(tmp_path: Path) -> None:
    target = tmp_path / "portal.svg"
    subprocess.run([sys.executable, str(SCRIPT), "--output", str(target)], check=True, stdout=subprocess.DEVNULL)
    root = ElementTree.parse(target).getroot()
    words = " ".join(element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text"))
    assert "Summarise the opening of README.md" in words
    assert "Decision 2 of 2" in words
    assert "1 input_required" in words
