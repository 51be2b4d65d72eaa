"""ucxl parse: the parts of an address; nothing is asked of bzzzd."""

from __future__ import annotations

from bzzzd.cli.output import to_json
from bzzzd.cli.run import Run
from bzzzd.ucxl.address import parse as parse_address


def parse(run: Run) -> int:
    text = run.args["address"]
    run.print(to_json(parse_address(text).to_map(text)))
    return 0
