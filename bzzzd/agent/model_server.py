"""The embedded model's process: ``python -m bzzzd.agent.model_server``, started by the agent alone.

It loads a GGUF with llama.cpp and serves it on 127.0.0.1, on a port that the kernel chooses, to
whoever has the key. The model's memory lives and dies here, outside the agent.

    standard input    one JSON line ``{"model": PATH, "alias": NAME, "key": …}``; its end means "stop"
    standard output   one JSON line ``{"url": …}`` once the model is loaded
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Have the kernel end this process when the agent ends, even while the model loads."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def serve(spec: dict[str, Any]) -> Any:
    """Load the model and serve it, in threads of the server's own, for as long as the result is kept."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = spec["model"]
    params.model_alias = {spec["alias"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [spec["key"]]
    params.offline = True
    params.ui = False
    params.n_parallel = 1
    params.cache_ram_mib = 0
    params.verbosity = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = spec["threads"]
    return xllamacpp.Server(params)


def main() -> None:
    # A Ctrl-C in a terminal goes to the whole group; the agent decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    spec = json.loads(sys.stdin.buffer.readline())
    die_with_parent(spec["parent"])
    # The daemon and the agent must answer while this computes. A unit's system-call filter may refuse it.
    with contextlib.suppress(PermissionError):
        os.nice(5)
    # The native library may print; standard output is for the one line alone.
    answer = os.dup(1)
    os.dup2(2, 1)
    server = serve(spec)
    os.write(answer, json.dumps({"url": f"{server.listening_address}/v1"}).encode() + b"\n")
    os.close(answer)
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
