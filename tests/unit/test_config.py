"""station.yaml: every fault is one line that says where and what to do."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_agent.config import StationConfig
from edge_agent.errors import ConfigError


def minimal() -> dict[str, Any]:
    return {
        "station": {"id": "KK1", "name": "Gate 1"},
        "data_dir": "data",
        "cameras": {
            c: {"url": f"rtsp://10.0.0.9:554/Streaming/Channels/{c[1]}01"}
            for c in ("C101", "C201", "C301", "C401")
        },
        "model": {"bundle": "model.bundle"},
    }


def read(tmp_path: Path, data: object) -> StationConfig:
    file = tmp_path / "station.yaml"
    file.write_text(data if isinstance(data, str) else yaml.safe_dump(data), encoding="utf-8")
    return StationConfig.read(file)


def test_relative_paths_count_from_the_files_folder(tmp_path: Path) -> None:
    config = read(tmp_path, minimal())
    assert config.data_dir == tmp_path / "data"
    assert config.model.bundle == tmp_path / "model.bundle"


def test_the_example_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    config = StationConfig.read(Path(__file__).parents[2] / "deploy" / "station.example.yaml")
    assert config.cameras.credentials is not None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"speed": 3}, "speed: unknown key"),
        ({"station": {"id": "KK1"}}, "station.name: required key is missing"),
        ({"station": {"id": "K K", "name": "x"}}, "station.id"),
        ({"station": {"id": "K", "name": "x", "timezone": "Mars"}}, "unknown time zone"),
        ({"http": {"port": 70000}}, "http.port"),
        ({"cameras": {"C101": {"url": "http://x/"}}}, "rtsp://HOST"),
        ({"cameras": {"C101": {"url": "rtsp://a:topsecret@x/1"}}}, "must not hold a user name"),
    ],
)
def test_faults_name_the_key(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, minimal() | change)
    text = str(caught.value)
    assert said in text
    assert "\n" not in text
    assert "topsecret" not in text


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2", ""])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"station\.yaml"):
        read(tmp_path, text)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"copy deploy/station\.example\.yaml"):
        StationConfig.read(tmp_path / "none.yaml")


def test_password_is_quoted_in_the_url_and_hidden_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NVR_PASSWORD", "p@ss/w:rd")
    data = minimal()
    data["cameras"]["credentials"] = {"username": "viewer", "password_env": "NVR_PASSWORD"}
    config = read(tmp_path, data)
    url = config.cameras.url_with_credentials("C301")
    assert url.get_secret_value().startswith("rtsp://viewer:p%40ss%2Fw%3Ard@10.0.0.9:554/")
    assert "p@ss" not in repr(config)
    assert "p%40ss" not in repr(url)


def test_empty_password_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NVR_PASSWORD", raising=False)
    data = minimal()
    data["cameras"]["credentials"] = {"username": "viewer", "password_env": "NVR_PASSWORD"}
    config = read(tmp_path, data)
    with pytest.raises(ConfigError, match="password is empty"):
        config.cameras.url_with_credentials("C301")
