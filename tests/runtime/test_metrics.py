import shutil
import subprocess

import pytest

from bzzzd.runtime.metrics import MAX_SERIES, Family, Metrics


@pytest.fixture
def metrics() -> Metrics:
    made = Metrics("bzzzd", "0.1.0")
    made.contribute(
        lambda: [
            Family.one("bzzz_rpc_requests_total", "counter", "Requests answered.", 12),
            Family.by("bzzz_tasks", "gauge", "Tasks by state.", "state", {"submitted": 2, "working": 1}),
        ]
    )
    return made


def test_contributed_functions_are_read_at_each_scrape() -> None:
    metrics, count = Metrics("bzzzd", "0.1.0"), 0
    metrics.contribute(lambda: [Family.one("bzzz_things_total", "counter", "Things.", count)])
    for count in (3, 4):
        assert f"bzzz_things_total {count}.0\n".encode() in metrics.render()


def test_labels_counters_and_process_metrics_are_rendered(metrics: Metrics) -> None:
    text = metrics.render().decode()
    for line in (
        "bzzz_rpc_requests_total 12.0",
        'bzzz_tasks{state="submitted"} 2.0',
        'bzzz_build_info{program="bzzzd",version="0.1.0"} 1.0',
        "# TYPE process_resident_memory_bytes gauge",
        "# TYPE bzzz_rpc_requests_total counter",
    ):
        assert f"{line}\n" in text


def test_two_processes_in_one_interpreter_do_not_share_a_registry(metrics: Metrics) -> None:
    assert b"bzzz_tasks" not in Metrics("bzzz-agent", "0.1.0").render()
    assert b"bzzz_tasks" in metrics.render()


def test_a_family_with_too_many_rows_is_cut_and_counted() -> None:
    metrics = Metrics("bzzzd", "0.1.0")
    many = {str(number): 1.0 for number in range(MAX_SERIES + 50)}
    metrics.contribute(lambda: [Family.by("bzzz_many", "gauge", "Too many.", "which", many)])
    assert metrics.render().count(b"bzzz_many{") == MAX_SERIES
    assert b"bzzz_metrics_cut_rows_total 50.0" in metrics.render()


def test_a_label_value_cannot_break_the_format() -> None:
    metrics = Metrics("bzzzd", "0.1.0")
    metrics.contribute(lambda: [Family.by("bzzz_odd", "gauge", "Odd.", "which", {'a"\n\\b': 1.0})])
    assert b'bzzz_odd{which="a\\"\\n\\\\b"} 1.0\n' in metrics.render()


def test_promtool_accepts_the_page(metrics: Metrics) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.fail("promtool is missing: apt-get install prometheus")
    checked = subprocess.run([promtool, "check", "metrics"], input=metrics.render(), capture_output=True, check=False)
    assert (checked.returncode, checked.stderr, checked.stdout) == (0, b"", b"")
