"""Checkpoints from a hub: a cache on disk, a server on loopback, and none at all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import save

from training.classifiers.hub import Published, download
from training.classifiers.pixels import Pixels
from training.classifiers.registry import CLASSIFIERS
from training.errors import WeightsError
from training.start import Weights

PUBLISHED = Published("owner/network", "0123456789abcdef0123456789abcdef01234567", Pixels.SYMMETRIC)
NOBODY = "http://127.0.0.1:9"
"""Nothing listens there."""
CONTENT = save({"weight": torch.arange(6.0)})


class Hub(BaseHTTPRequestHandler):
    """The answers of a hub that knows one file, or `status` for everything."""

    status = 200
    address = ""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        pass

    def _answer(self, *, with_body: bool) -> None:
        known = f"/{PUBLISHED.repository}/resolve/{PUBLISHED.revision}/model.safetensors"
        status = 404 if self.path != known else self.status
        body = CONTENT if status == 200 else b""
        self.send_response(status)
        self.send_header("ETag", '"1"')
        self.send_header("X-Repo-Commit", PUBLISHED.revision)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake here must not ask the real hub."""

    def resolve(host: str | bytes | None, *arguments: Any, **named: Any) -> Any:
        assert host in ("127.0.0.1", b"127.0.0.1"), f"{host} was looked up"
        return getaddrinfo(host, *arguments, **named)

    getaddrinfo = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no waiting between retries."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    return tmp_path


@pytest.fixture
def hub() -> Iterator[type[Hub]]:
    class OneHub(Hub):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), OneHub) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        OneHub.address = f"http://127.0.0.1:{server.server_port}"
        yield OneHub
        server.shutdown()
        thread.join()


def fill_cache(cache: Path, published: Published, content: bytes) -> None:
    folder = cache / f"models--{published.repository.replace('/', '--')}" / "snapshots"
    (folder / published.revision).mkdir(parents=True)
    (folder / published.revision / "model.safetensors").write_bytes(content)


def test_a_cached_checkpoint_needs_no_network(cache: Path) -> None:
    fill_cache(cache, PUBLISHED, CONTENT)
    assert download(PUBLISHED, endpoint=NOBODY).read_bytes() == CONTENT


def test_a_checkpoint_is_downloaded_at_its_revision(cache: Path, hub: type[Hub]) -> None:
    file = download(PUBLISHED, endpoint=hub.address)
    assert file.read_bytes() == CONTENT
    assert file.is_relative_to(cache)
    assert PUBLISHED.revision in file.parts


@pytest.mark.usefixtures("cache")
def test_a_hub_out_of_reach_is_one_clear_line() -> None:
    with pytest.raises(WeightsError) as caught:
        download(PUBLISHED, endpoint=NOBODY)
    assert str(caught.value) == (
        "weights owner/network at revision 0123456: not in the cache, and the hub cannot be "
        "reached; check the network, or download its model.safetensors elsewhere and give "
        "--weights that file"
    )


@pytest.mark.usefixtures("cache")
def test_a_hub_that_refuses_is_one_clear_line(hub: type[Hub]) -> None:
    hub.status = 403
    with pytest.raises(WeightsError, match="the hub answers 403; try again later"):
        download(PUBLISHED, endpoint=hub.address)
    other = Published("owner/other", PUBLISHED.revision, Pixels.UNIT)
    with pytest.raises(WeightsError, match="the hub answers 404"):
        download(other, endpoint=hub.address)


@pytest.mark.parametrize("name", ["mobilenetv2", "resnet50v2"])
def test_the_publisher_says_what_pixels_it_used(cache: Path, name: str) -> None:
    published = CLASSIFIERS[name].published
    assert published is not None
    fill_cache(cache, published, CONTENT)
    assert Weights.find("hub", name).pixels == published.pixels
    assert Weights.find("hub", name, Pixels.UNIT).pixels == Pixels.UNIT
