"""Write man pages and completions into a folder:   python -m manual FOLDER DATE   (with scripts/ on the path)."""

from __future__ import annotations

import sys
from pathlib import Path

from manual.pages import pages
from manual.shells import scripts


def main(arguments: list[str]) -> int:
    folder, date = Path(arguments[0]), arguments[1]
    for name, text in (*pages(date), *scripts()):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
