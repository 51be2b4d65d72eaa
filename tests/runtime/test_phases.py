from bzzzd.errors import ConfigInvalid, P2PInitFailed, ServiceStartFailed
from bzzzd.runtime.phases import Phase, PhaseLog


def test_the_five_phases_have_their_order_names_and_errors() -> None:
    assert [(phase.number, phase.label, phase.error) for phase in Phase] == [
        (1, "configuration", ConfigInvalid),
        (2, "mesh", P2PInitFailed),
        (3, "core", ServiceStartFailed),
        (4, "process", ServiceStartFailed),
        (5, "monitoring", ServiceStartFailed),
    ]


def test_every_phase_has_a_time_limit() -> None:
    assert all(phase.limit_s > 0 for phase in Phase)


def test_the_log_tells_the_phase_reached_and_the_time_each_took() -> None:
    now = 100.0
    log = PhaseLog(lambda: now)
    assert log.reached == "starting"
    log.begin(Phase.CONFIGURATION)
    assert log.reached == "configuration"
    now = 100.5
    assert log.end().to_map() == {"phase": "configuration", "began": 100.0, "took_s": 0.5}
    log.begin(Phase.MESH)
    assert (log.reached, log.times[-1].took_s) == ("mesh", None)
    log.settle(PhaseLog.READY)
    assert log.reached == "ready"
