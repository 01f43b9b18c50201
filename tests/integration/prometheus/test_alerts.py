"""The alerts of examples/prometheus: tested by promtool, with the names that the real exporter writes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fetch_promtool import promtool
from otel_keyaudit import names
from otel_keyaudit.testing import Recorder
from support.environment.installed import need_package
from support.environment.modules import LoadModule

EXAMPLE = Path(__file__).parents[3] / "examples" / "prometheus"
ALERTS = (EXAMPLE / "alerts.yaml").read_text(encoding="utf-8")
SHOP = """
class Key:
    def __init__(self, id): self.id, self.name, self.scopes, self.allow_list = id, "ci", ["a:read"], []
def verify(raw):
    if raw == "wrong": raise PermissionError
    return Key(raw)
def record(action, additional_fields=None): return additional_fields
"""

APT = """
from pathlib import Path
Path("prometheus_1_amd64.deb").touch()
"""
DPKG = """
import sys
from pathlib import Path
program = Path(sys.argv[3], "usr", "bin", "promtool")
program.parent.mkdir(parents=True)
program.write_text("promtool")
program.chmod(0o755)
"""


@pytest.mark.parametrize("arguments", [["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml"]])
def test_promtool_accepts_the_alerts(arguments: list[str]) -> None:
    """The tool accepts their syntax and finds that each alert fires when it should."""
    program = promtool()
    if program is None:
        pytest.skip("promtool is missing: make promtool, or install the package prometheus")
    command = [program, *arguments]
    done = subprocess.run(command, cwd=EXAMPLE, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_every_alert_is_tested() -> None:
    """Each alert is named in the test file for promtool."""
    alerts = [rule["alert"] for group in yaml.safe_load(ALERTS)["groups"] for rule in group["rules"]]
    tests = (EXAMPLE / "alerts_test.yaml").read_text(encoding="utf-8")
    assert len(alerts) > 5
    assert [alert for alert in alerts if alert not in tests] == []


def test_every_alert_says_what_to_do() -> None:
    """Each alert has a summary, a description and a severity."""
    for group in yaml.safe_load(ALERTS)["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("warning", "critical")
            assert {*rule["annotations"]} == {"summary", "description"}


def test_names_are_those_of_the_real_exporter(load_module: LoadModule) -> None:
    """Each metric, label and value in the alerts is spelled as the real exporter spells it."""
    need_package("opentelemetry.exporter.prometheus")
    from opentelemetry.exporter.prometheus import PrometheusMetricReader  # noqa: PLC0415 - not everywhere
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415

    registry = CollectorRegistry()
    reader = PrometheusMetricReader(registry=registry)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    recorder = Recorder(strict=False, keep_rows=False)
    shop = load_module(SHOP, "prometheus_shop")
    recorder.instrument(
        auth_targets=["prometheus_shop:verify"], audit_targets=["prometheus_shop:record"], meter_provider=provider
    )
    with recorder.request():
        shop.verify("k_1")
        shop.record("create", {1, 2})
        shop.verify("k_2")
        shop.record("create")
        with pytest.raises(PermissionError):
            shop.verify("wrong")
    text = generate_latest(registry).decode()
    provider.shutdown()
    for metric in ("keyaudit_audit_writes_total", "keyaudit_degraded_total", "keyaudit_authentications_total"):
        assert metric in ALERTS
        assert f"\n{metric}{{" in text
    for label in (
        'keyaudit_attribution="failed"', 'keyaudit_attribution="ambiguous"', 'keyaudit_outcome="denied"',
    ):  # fmt: skip
        assert label in ALERTS
        assert label in text
    for label in ("keyaudit_stage", "error_type"):
        assert label in ALERTS
        assert f'{label}="' in text


def test_alerts_name_no_other_metrics() -> None:
    """Every metric in an expression is one of the library's, in the exporter's spelling."""
    named = {*re.findall(r"\bkeyaudit_\w+_total\b", ALERTS)}
    metrics = (names.METRIC_WRITES, names.METRIC_DECISIONS, names.METRIC_DEGRADED, names.METRIC_AUTHENTICATIONS)
    assert named == {metric.replace(".", "_") + "_total" for metric in metrics}


def test_promtool_is_unpacked_once_into_the_cache(tmp_path: Path) -> None:
    """The script behind `make promtool`, with stand-ins for apt and dpkg, because a download needs a network."""
    (tmp_path / "bin").mkdir()
    for name, program in (("apt-get", APT), ("dpkg-deb", DPKG)):
        stand_in = tmp_path / "bin" / name
        stand_in.write_text(f"#!{sys.executable}\n{program}")
        stand_in.chmod(0o755)
    environment = {**os.environ, "PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, str(EXAMPLE / "fetch_promtool.py")]
    path = tmp_path
    for _ in range(2):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        path = Path(done.stdout.strip())
        assert (done.returncode, path.read_text()) == (0, "promtool")
        assert [found.name for found in path.parent.iterdir()] == ["promtool"]
        (tmp_path / "bin" / "apt-get").unlink(missing_ok=True)
    path.unlink()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert "https://prometheus.io/download/" in line
