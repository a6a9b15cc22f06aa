"""Where npm and pip of this machine look: variables, config files, defaults."""

from __future__ import annotations

import sys

from turnaround.pipeline.packages import indexes


def test_npm_s_registry_is_the_machine_s(monkeypatch, tmp_path):
    monkeypatch.delenv("npm_config_registry", raising=False)
    monkeypatch.delenv("NPM_CONFIG_REGISTRY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert indexes.npm_registry() == "https://registry.npmjs.org"
    (tmp_path / ".npmrc").write_text("audit=false\nregistry = https://npm.example/mirror/\n")
    assert indexes.npm_registry() == "https://npm.example/mirror"
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "https://upper.example")
    monkeypatch.setenv("npm_config_registry", "https://other.example/")
    assert indexes.npm_registry() == "https://other.example"


def test_pip_s_index_is_the_machine_s(monkeypatch, tmp_path):
    for variable in ("PIP_INDEX_URL", "PIP_CONFIG_FILE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "xdg"))
    own = tmp_path / ".config/pip/pip.conf"
    own.parent.mkdir(parents=True)
    own.write_text("[global]\ntimeout = 5\nindex_url = https://pypi.example/simple/\n")
    assert indexes.pip_index() == "https://pypi.example/simple"
    own.write_text("no section\n")
    (tmp_path / "named").write_text("[global]\nindex-url = https://named.example\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "named"))
    assert indexes.pip_index() == "https://named.example"
    monkeypatch.setenv("PIP_INDEX_URL", "https://other.example/simple/")
    assert indexes.pip_index() == "https://other.example/simple"
