"""`sipf doctor` looks at the machine and says what to do."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from typing import Any

import pytest

from evals.errors import SandboxError
from evals.sandbox import probes
from stages import doctor


def test_every_dependency_is_compared_with_its_pin() -> None:
    found = {finding.name: finding for finding in doctor.versions()}
    assert found["trl"].found == f"{metadata.version('trl')}, wanted ==1.16.0"
    assert all(finding.works for finding in found.values() if finding.needed)


def test_a_wrong_version_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version
    monkeypatch.setattr(doctor.metadata, "version", lambda name: "0.1" if name == "trl" else real(name))
    (trl,) = [finding for finding in doctor.versions() if finding.name == "trl"]
    assert not trl.works
    assert trl.advice == "pip install 'trl==1.16.0'"


def test_what_works_needs_no_advice_and_what_does_not_has_some() -> None:
    for finding in doctor.examine():
        assert bool(finding.advice) != finding.works, finding


def test_the_report_is_one_json_object_and_agrees_with_the_exit_code(sipf: Any) -> None:
    result = sipf("doctor", "--json")
    report = json.loads(result.stdout)
    assert result.returncode == (0 if report["works"] else 4)
    areas = {finding["area"] for finding in report["findings"]}
    assert areas == {"version", "machine", "device", "engine", "sandbox", "security", "privacy"}


def test_a_broken_core_ends_with_4(sipf: Any, tmp_path: Any) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libtorch is gone')\n", encoding="utf-8")
    result = sipf("doctor", "--json", env={"PYTHONPATH": str(tmp_path)}, cold=True)
    assert result.returncode == 4
    assert "cpu" in json.loads(result.stdout)["broken"]
    assert "libtorch is gone" in result.stdout


def test_the_table_says_what_to_do(sipf: Any) -> None:
    result = sipf("doctor")
    assert "telemetry off" in result.stdout
    assert "do this" in result.stdout


def test_sandboxes_are_attacked_and_the_first_that_holds_is_named() -> None:
    found = {finding.name: finding for finding in doctor.sandboxes()}
    assert list(found) == ["bubblewrap", "landlock", "code tasks"]
    holding = [name for name in ("bubblewrap", "landlock") if found[name].works]
    for name in holding:
        assert found[name].found.startswith("held against 13 hostile programs")
    assert found["code tasks"].works == bool(holding)
    assert found["code tasks"].found == f"run in {holding[0]}"


def test_without_a_sandbox_the_doctor_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(layer: str) -> list[str]:
        raise SandboxError(f"{layer}: not here")

    monkeypatch.setattr(probes, "attack", missing)
    found = list(doctor.sandboxes())
    assert [finding.works for finding in found] == [False, False, False]
    assert found[0].found == "not here"
    assert all("Install bubblewrap" in finding.advice for finding in found)
    assert "exit code 5" in found[2].found


def test_a_sandbox_that_leaks_is_said_to_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "attack", lambda layer: ["fork"] if layer == "bubblewrap" else [])
    found = list(doctor.sandboxes())
    assert not found[0].works
    assert found[0].found == "let through: fork"
    assert found[2].found == "run in landlock"


def test_the_engines_that_can_be_had_are_named(sipf: Any) -> None:
    said = json.loads(sipf("doctor", "--json", env={"SIPF_API_KEY": "secret-key"}).stdout)
    engines = {finding["name"]: finding for finding in said["findings"] if finding["area"] == "engine"}
    assert {"hf", "vllm", "server", "scripted", "ray"} <= set(engines)
    assert "a key is set" in engines["server"]["found"]
    assert "secret-key" not in json.dumps(said)
    assert engines["vllm"]["works"] or "make setup-vllm" in engines["vllm"]["advice"]


def test_what_opens_foreign_files_is_named_with_its_version_and_where_to_look_for_holes() -> None:
    found = {finding.name: finding.found for finding in doctor.security()}
    assert f"torch {metadata.version('torch')}" in found["opens foreign files"]
    assert f"jinja2 {metadata.version('jinja2')}" in found["opens foreign files"]
    assert "pip-audit" in found["known holes"]
    assert platform.release() in found["guards"]


def test_a_key_that_cannot_be_sent_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIPF_API_KEY", "sk-\u00e9")
    (server,) = [finding for finding in doctor.engines() if finding.name == "server"]
    assert not server.works
    assert "\u00e9" not in server.found
