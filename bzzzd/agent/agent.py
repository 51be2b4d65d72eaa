"""The agent as a set of services: made from its settings, started phase by phase, stopped in reverse.

core         model      the provider; the embedded model loads in the background
process      bzzzd      the session: attach, offers, grant
runner     claims, works, reports
monitoring   health-http
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

import structlog

from bzzzd import __version__
from bzzzd.agent.counters import Counters
from bzzzd.agent.daemon_link import DaemonLink
from bzzzd.agent.handlers.base import Handler
from bzzzd.agent.handlers.registry import Handlers, Parts, build, needs_sandbox
from bzzzd.agent.people.approval import Approvals
from bzzzd.agent.providers.choose import Chosen, choose
from bzzzd.agent.runner import Runner
from bzzzd.agent.sandbox import Sandbox
from bzzzd.agent.signer import Signer, chain_from
from bzzzd.agent.talk.discussion import Discussion
from bzzzd.agent.talk.ears import Ears
from bzzzd.agent.talk.voice import Voice
from bzzzd.config.settings import Settings, Surroundings, expand
from bzzzd.crypto.keys import load_or_create_key
from bzzzd.errors import SandboxUnavailable, Unavailable
from bzzzd.hmmm.folders import library_folder, read_library
from bzzzd.hmmm.library import Library
from bzzzd.runtime.health_http import HealthHttp
from bzzzd.runtime.limits import MemoryWatch
from bzzzd.runtime.locks import InstanceLock
from bzzzd.runtime.logs import report
from bzzzd.runtime.metrics import Metrics
from bzzzd.runtime.phases import Phase
from bzzzd.runtime.services import Health, ServiceManager

# Unfinished tasks get their time first; the unit's TimeoutStopSec is longer.
_STOP_S: Final = 20.0

log = structlog.get_logger()


class Identity:
    """The first service: one instance in one state folder, with one key."""

    name = "identity"
    depends: tuple[str, ...] = ()

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = InstanceLock(settings.state_dir, "agent", settings.config.agent.id)
        self.signer: Signer | None = None

    async def start(self) -> None:
        self._lock.acquire()
        settings = self._settings
        key = load_or_create_key(settings.key_file)
        self.signer = Signer(
            key, settings.config.agent.id, settings.config.agent.role, wall=time.time, version=__version__,
            chain=chain_from(settings.grants_dir, key.public),
        )  # fmt: skip

    async def stop(self) -> None:
        self._lock.release()

    def health(self) -> Health:
        return Health(detail=f"agent {self._settings.config.agent.id} in {self._settings.state_dir}")


class Agent:
    """All of one agent. ``handlers`` replaces those of the configuration, for programs that bring their own."""

    def __init__(self, settings: Settings, *, handlers: Mapping[str, Handler] | None = None) -> None:
        self._settings = settings
        self._own = handlers
        self.manager = ServiceManager("bzzz-agent", report=report, stop_limit_s=_STOP_S)
        self.counters = Counters()
        self.memory = MemoryWatch(settings.memory_mb, report=lambda event, size: log.warning(event, bytes=size))
        self._fence = ""

    async def start(self) -> None:
        """All phases, in order. Raises the error of the first that fails; what was started is stopped again."""
        manager, config = self.manager, self._settings.config
        identity = Identity(self._settings)
        manager.add(identity, Phase.CONFIGURATION)
        await manager.start_phase(Phase.CONFIGURATION)
        assert identity.signer is not None
        await manager.start_phase(Phase.MESH)
        handlers, chosen = await self._handlers()
        if chosen.provider is not None:
            manager.add(chosen.provider, Phase.CORE)
        await manager.start_phase(Phase.CORE)
        link, runner = self._workers(identity.signer, handlers, ("model",) if chosen.provider else ())
        manager.add(link, Phase.PROCESS)
        manager.add(runner, Phase.PROCESS)
        await manager.start_phase(Phase.PROCESS)
        manager.add(self._health(runner), Phase.MONITORING)
        await manager.start_phase(Phase.MONITORING)
        manager.spawn("bzzzd", "threads", self._ears.follow())
        manager.spawn("runner", "memory watch", self.memory.watch())
        log.info("agent started", agent=config.agent.id, capabilities=list(handlers.capabilities))

    async def stop(self) -> None:
        await self.manager.stop()

    async def _handlers(self) -> tuple[Handlers, Chosen]:
        """The handlers that can run here, and the provider that they ask."""
        settings, config = self._settings, self._settings.config
        if self._own is not None:
            return Handlers(self._own, labels=config.capabilities), Chosen(None, "")
        sections = config.agent.handlers
        asks_model = not sections or any(section.kind == "answer" for section in sections)
        key_file = expand(config.ai.api_key_file, Surroundings.here()) if config.ai.api_key_file else None
        chosen = choose(config.ai, key_file) if asks_model else Chosen(None, "no handler asks it")
        sandbox, why = await self._sandbox() if needs_sandbox(sections) else (None, "")
        closed = [settings.state_dir, settings.key_file, settings.grants_dir, *([key_file] if key_file else [])]
        parts = Parts(
            provider=chosen.provider, no_model=chosen.why, sandbox=sandbox, no_sandbox=why, closed=closed,
            counters=self.counters, max_tokens=config.ai.max_tokens,
        )  # fmt: skip
        handlers = build(sections, config.capabilities, parts)
        for capability, reason in handlers.missing.items():
            log.warning("capability is not offered", capability=capability, why=reason, error_code=Unavailable.code)
        return handlers, chosen

    async def _sandbox(self) -> tuple[Sandbox | None, str]:
        try:
            sandbox = await Sandbox.probe()
        except SandboxUnavailable as error:
            return None, error.message
        self._fence = str(sandbox.fence)
        log.info("sandbox works", nested_namespaces_denied_by=self._fence)
        return sandbox, ""

    def _workers(self, signer: Signer, handlers: Handlers, depends: tuple[str, ...]) -> tuple[DaemonLink, Runner]:
        manager = self.manager
        link = DaemonLink(
            self._settings.socket, signer, background=lambda name, work: manager.spawn("bzzzd", name, work)
        )
        me = self._settings.config.agent
        voice, ears = Voice(link, signer, time.time), Ears(lambda: link.subscribe("hmmm"))
        runner = Runner(
            link, signer, handlers, self.counters, slots=me.slots,
            people=Approvals(link, signer, self._library(), time.time),
            discuss=lambda claim: Discussion(
                voice, ears, claim, plan_s=me.plan_s, ask_s=me.ask_s, wall=time.time
            ),
            depends=("bzzzd", *depends), background=lambda name, work: manager.spawn("runner", name, work),
        )  # fmt: skip
        link.serve(handlers.capabilities, runner.slots, runner.offered)
        self._ears = ears
        return link, runner

    def _library(self) -> Library:
        """The words with which people are asked; a file that is faulty is left out, and said in the log."""
        folder = library_folder(self._settings, Surroundings.here())
        library, faults = read_library(folder)
        for fault in faults:
            log.warning("a text for people is left out", why=str(fault))
        return library

    def _health(self, runner: Runner) -> HealthHttp:
        config = self._settings.config
        metrics = Metrics("bzzz-agent", __version__)
        metrics.contribute(lambda: self.counters.families(lambda: runner.in_flight))
        return HealthHttp(
            config.network.bind, self._settings.health_port, probe=self.manager, metrics=metrics,
            info=lambda: {
                "process": "bzzz-agent", "version": __version__, "id": config.agent.id, "sandbox": self._fence,
                "memory": self.memory.detail,
            },
        )  # fmt: skip
