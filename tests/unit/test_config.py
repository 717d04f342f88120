"""station.yaml: every fault is one line that says where and what to do."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from edge_agent import yaml_file
from edge_agent.config import StationConfig
from edge_agent.errors import ConfigError

ROOT = Path(__file__).parents[2]
REQUIRED = "required"


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


def test_the_example_is_valid() -> None:
    config = StationConfig.read(ROOT / "deploy" / "station.example.yaml")
    assert config.cameras.credentials is not None


def real_settings(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, object]]:
    """Every key with its default as it would stand in YAML; REQUIRED if it has none."""
    for name, field in model.model_fields.items():
        key = f"{above}{name}"
        kinds = (field.annotation, *get_args(field.annotation))
        section = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)
        if section is not None and get_origin(field.annotation) is tuple:
            yield key, list(field.default)
            yield from real_settings(section, f"{key}.")
        elif section is None:
            value = REQUIRED if field.is_required() else field.default
            yield key, list(value) if isinstance(value, tuple) else value
        else:
            if type(None) in kinds:
                yield key, field.default
            elif not field.is_required():
                assert field.default == section(), f"{key} differs from the defaults of its keys"
            yield from real_settings(section, f"{key}.")


def documented_settings() -> Iterator[tuple[str, object]]:
    """Every key of docs/settings.md with the default it names."""
    for line in (ROOT / "docs" / "settings.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            keys, unit, default, meaning = line.strip("| ").split(" | ")
            assert unit.strip(), line
            assert meaning.strip(), line
            value = default if default == REQUIRED else yaml.safe_load(default.strip("`"))
            for key in re.findall(r"`([\w.]+)`", keys):
                yield key, None if value == "none" else value


def test_every_setting_is_documented_with_its_default() -> None:
    documented = list(documented_settings())
    assert len(documented) == len(dict(documented)), "a key is documented twice"
    assert dict(documented) == dict(real_settings(StationConfig))


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
        ({"cameras": {"C101": {"url": "rtsp://a:top/topsecret@x/1"}}}, "rtsp://HOST"),
        ({"cameras": {"C101": {"url": "rtsp://x:99999/301"}}}, "port of 1 to 65535"),
        ({"cameras": {"C101": {"url": "rtsp://x:0/301"}}}, "port of 1 to 65535"),
        ({"cameras": {"C101": {"url": "rtsp://[::1/301"}}}, "rtsp://HOST"),
        ({"checks": {"black_mean": float("nan")}}, "checks.black_mean"),
        ({"cameras": {"wait_s": float("inf")}}, "cameras"),
    ],
)
def test_faults_name_the_key(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, minimal() | change)
    text = str(caught.value)
    assert said in text
    assert "\n" not in text
    assert "topsecret" not in text


@pytest.mark.parametrize(
    "rest",
    [
        "301?user=admin&password=topsecret",
        "301?channel=1&PWD=topsecret",
        "301?a=1&pass%77ord=topsecret",
        "user=admin_password=topsecret_channel=1",
        "user=admin&psw=topsecret&stream=0.sdp",
        "admin:topsecret@301",
        "live;token=topsecret",
        "301#secret=topsecret",
    ],
)
def test_passwords_in_path_or_query_are_refused(tmp_path: Path, rest: str) -> None:
    data = minimal()
    data["cameras"]["C301"] = {"url": f"rtsp://10.0.0.9/{rest}"}
    with pytest.raises(ConfigError, match=r"cameras\.C301\.url: must not hold") as caught:
        read(tmp_path, data)
    assert "topsecret" not in str(caught.value)


@pytest.mark.parametrize(
    "rest", ["cam/realmonitor?channel=1&subtype=0", "h264Preview_01_main", "bypass/1?keyframe=1"]
)
def test_other_makes_addresses_are_taken(tmp_path: Path, rest: str) -> None:
    data = minimal()
    data["cameras"]["C301"] = {"url": f"rtsp://10.0.0.9/{rest}"}
    assert read(tmp_path, data).cameras.C301.url.endswith(rest)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("station:\n  id: topsecret: x\n", "line 2, column 16"),
        ("station: {id: %topsecret}\n", "line 1, column 15"),
        ("station: *topsecret\n", "line 1, column 10"),
        ("station: !topsecret x\n", "line 1, column 10"),
        ('station: "\\qtopsecret"\n', "line 1"),
        ("? [topsecret]\n: b\n", "line 1, column 3"),
        ("a: 1\nbc: topsecret\x01\n", "line 2, column 14"),
        ("model: 1\nstation:\n  topsecret: 1\n  topsecret: 2\n", "line 4, column 3: the same key"),
        ("model: 1\nhttp: 2\nmodel: topsecret\n", "line 3, column 1: the same key as in line 1"),
    ],
)
def test_faulty_yaml_is_told_by_its_place_only(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert f"station.yaml: {said}" in str(caught.value)
    assert "topsecret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


@given(st.text(max_size=200))
@settings(deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(yaml_file.YamlFileError):
        yaml_file.load(text)


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


@pytest.mark.parametrize(
    ("encoding", "said"), [("utf-8", None), ("utf-8-sig", None), ("utf-16", "is not UTF-8; save")]
)
def test_a_password_file_of_windows_is_read_or_refused(
    tmp_path: Path, encoding: str, said: str | None
) -> None:
    (tmp_path / "password").write_text("s3cr\u00e9t\n", encoding=encoding)
    data = minimal()
    data["cameras"]["credentials"] = {"username": "viewer", "password_file": "password"}
    credentials = read(tmp_path, data).cameras.credentials
    assert credentials is not None
    if said is None:
        assert credentials.password().get_secret_value() == "s3cr\u00e9t"
    else:
        with pytest.raises(ConfigError, match=said):
            credentials.password()


def test_a_repository_with_a_password_is_refused(tmp_path: Path) -> None:
    data = minimal()
    data["model"] = {"updates": {"root": "root.json", "repository": "http://a:s3cret@models"}}
    with pytest.raises(ConfigError, match="must not hold a user name or password") as caught:
        read(tmp_path, data)
    assert "s3cret" not in str(caught.value)
