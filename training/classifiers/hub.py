"""Published checkpoints from the Hugging Face hub, each at one pinned revision."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (  # type: ignore[attr-defined]
    HfHubHTTPError,
    HTTPError,  # of the HTTP client that the library uses, whichever that is
    LocalEntryNotFoundError,
)

from training.classifiers.pixels import Pixels
from training.errors import WeightsError

FILE_NAME: Final = "model.safetensors"


@dataclass(frozen=True)
class Published:
    """A checkpoint on the hub.

    repository: "owner/name". revision: the commit, so that it can never become another one.
    pixels: what its publisher fed the network with.
    """

    repository: str
    revision: str
    pixels: Pixels


def download(published: Published, *, endpoint: str | None = None) -> Path:
    """The checkpoint's file, from the hub's cache or downloaded into it. Raises WeightsError.

    endpoint: the hub's address; HF_ENDPOINT by default. HF_HOME and HF_HUB_OFFLINE have the
    meaning that huggingface_hub gives them.
    """
    what = f"weights {published.repository} at revision {published.revision[:7]}"
    cure = f"or download its {FILE_NAME} elsewhere and give --weights that file"
    try:
        file = hf_hub_download(
            published.repository,
            FILE_NAME,
            revision=published.revision,
            endpoint=endpoint,
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, HTTPError) as error:
        # The library wraps some answers of the hub into "not in the cache".
        cause = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else error
        if isinstance(cause, HfHubHTTPError):
            fault = f"the hub answers {cause.response.status_code}; try again later"
        else:
            fault = "not in the cache, and the hub cannot be reached; check the network"
        raise WeightsError(f"{what}: {fault}, {cure}") from error
    except OSError as error:
        raise WeightsError(
            f"{what}: cannot be stored ({error}); check HF_HOME and the disk, {cure}"
        ) from error
    return Path(file)
