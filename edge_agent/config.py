"""station.yaml: the one file that describes a station, read into frozen models.

Unknown keys are errors. Passwords stand in a file or an environment variable, never in the YAML.
docs/settings.md lists every key for IT; tests/unit/test_config.py compares it with this file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import quote, urlsplit, urlunsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from edge_agent import yaml_file
from edge_agent.camera_url import without_password
from edge_agent.errors import ConfigError

Intent = Literal["shadow", "activate", "hold"]
"""What a new model does once it has passed the gate: grade unseen, grade, or only lie ready."""

CAMERA_IDS: Final = ("C101", "C201", "C301", "C401")

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Milliseconds = Annotated[float, Field(ge=0)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StationSection(_Section):
    """Who this station is."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")
    name: str = Field(min_length=1, max_length=80)
    timezone: str = "Asia/Bangkok"
    language: Literal["th", "en"] = "th"

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(
                f"unknown time zone {value!r}, use a name like Asia/Bangkok"
            ) from error
        return value


class HttpSection(_Section):
    """Where the console and the API listen. Loopback unless IT decides otherwise."""

    host: str = "127.0.0.1"
    port: Port = 8080
    names: tuple[str, ...] = ()
    """Further names under which browsers reach this PC; its own name and addresses always do."""


class CredentialsSection(_Section):
    """How to log in at the NVR: the password comes from a file or the environment."""

    username: str = Field(min_length=1)
    password_file: Path | None = None
    password_env: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.password_file is None) == (self.password_env is None):
            raise ValueError("give exactly one of password_file and password_env")
        return self

    def password(self) -> SecretStr:
        """The password. Raises ConfigError if its source is missing or empty."""
        if self.password_file is not None:
            try:
                # Windows' editor puts a mark before UTF-8, which is no part of the password.
                value = self.password_file.read_text(encoding="utf-8-sig").strip()
            except UnicodeDecodeError as error:
                raise ConfigError(
                    f"cameras.credentials.password_file {self.password_file}: is not UTF-8; save "
                    "it so"
                ) from error
            except OSError as error:
                raise ConfigError(
                    f"cameras.credentials.password_file {self.password_file}: "
                    f"{error.strerror}; create it, readable for the agent only"
                ) from error
        else:
            value = os.environ.get(str(self.password_env), "")
        if not value:
            raise ConfigError(
                "cameras.credentials: the password is empty; "
                "fill the file of password_file or the variable of password_env"
            )
        return SecretStr(value)


class CameraSection(_Section):
    """One camera's stream."""

    url: str
    latency_ms: Milliseconds = 0.0
    """From capture to arrival; used only where the camera sends no clock of its own."""

    @field_validator("url")
    @classmethod
    def _rtsp_without_password(cls, value: str) -> str:
        return without_password(value)


class CamerasSection(_Section):
    """The four cameras and how frames are taken from them; width and height are in pixels."""

    credentials: CredentialsSection | None = None
    C101: CameraSection
    C201: CameraSection
    C301: CameraSection
    C401: CameraSection
    width: int = Field(default=2272, ge=64)
    height: int = Field(default=1704, ge=64)
    max_skew_ms: Milliseconds = 250.0
    """Frames taken farther apart than this refuse the truck."""
    max_error_ms: Milliseconds = 500.0
    """A frame farther than this from the instant asked for is stale."""
    max_clock_error_ms: Milliseconds = 1000.0
    """A camera whose delay is farther than this from the cameras' median has a wrong clock."""
    wait_s: Seconds = 2.0
    """How long to wait for the frames of an instant."""
    open_timeout_s: Seconds = 5.0
    """How long connecting may take."""
    read_timeout_s: Seconds = 2.0
    """A connection that brings no data for so long is closed and opened anew."""
    stall_s: Seconds = 1.5
    """A camera without a packet for so long has stalled."""

    def camera(self, camera_id: str) -> CameraSection:
        """The section of C101, C201, C301 or C401."""
        section = getattr(self, camera_id)
        assert isinstance(section, CameraSection)  # noqa: S101 - narrows the type
        return section

    def account(self, camera_id: str) -> tuple[str, str | None]:
        """Host and user name: cameras with the same ones are locked out together."""
        host = str(urlsplit(self.camera(camera_id).url).hostname)
        return host, self.credentials.username if self.credentials else None

    def url_with_credentials(self, camera_id: str) -> SecretStr:
        """The URL to open; secret, because it may hold the password."""
        parts = urlsplit(self.camera(camera_id).url)
        if self.credentials is None:
            return SecretStr(urlunsplit(parts))
        user = quote(self.credentials.username, safe="")
        password = quote(self.credentials.password().get_secret_value(), safe="")
        return SecretStr(urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.netloc}")))


class ChecksSection(_Section):
    """Limits of the content checks; grey levels are 0 to 255 of a 568 x 426 luma image."""

    black_mean: float = Field(default=12.0, ge=0, le=255)
    """A mean grey level below this is black."""
    bright_share: float = Field(default=0.6, gt=0, le=1)
    """A larger share than this of grey levels from 250 on is over-exposed."""
    blur_min: float = Field(default=2.0, ge=0)
    """A variance of the smoothed picture's Laplacian below this is blurred."""
    covered_min_std: float = Field(default=6.0, ge=0)
    """Grey levels with a smaller standard deviation than this show a covered camera."""


class IndicatorSection(_Section):
    """A scale indicator that sends Toledo continuous output over TCP."""

    host: str
    port: Port
    checksum: bool = True
    min_weight_kg: float = Field(default=3000.0, gt=0)
    """A stable weight from here on means a truck is on the scale."""
    arm_weight_kg: float = Field(default=300.0, gt=0)
    """From here on a truck is driving onto the scale and the cameras are armed."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.arm_weight_kg > self.min_weight_kg:
            raise ValueError("arm_weight_kg must not be above min_weight_kg")
        return self


class WeighbridgeSection(_Section):
    """What announces trucks besides POST /api/v1/arrivals and the console's button."""

    indicator: IndicatorSection | None = None
    ticket_grace_s: float = Field(default=3.0, ge=0)
    """After a stable weight, wait this long for the weighbridge program's ticket."""


class ShadowSection(_Section):
    """How long a candidate grades unseen, and what then happens to it."""

    trucks: int = Field(default=200, ge=1)
    """After so many trucks it has been watched long enough."""
    days: float = Field(default=7.0, gt=0)
    """After so many days too."""
    promote_at: float | None = Field(default=None, gt=0.5, le=1)
    """With at least this share of equal grades among `trucks` trucks it becomes active by itself;
    without this key a person decides."""


class UpdatesSection(_Section):
    """How new models come to the station, and what they must show before they grade."""

    root: Path
    """The repository's root.json, which all trust begins with."""
    repository: str | None = Field(default=None, pattern=r"^https?://")
    """Where to look for new models; without it they come by push or upload alone."""

    @field_validator("repository")
    @classmethod
    def _without_password(cls, value: str | None) -> str | None:
        if value is not None and "@" in urlsplit(value).netloc:
            raise ValueError(
                "must not hold a user name or password: every page shows it; let the station's "
                "address in instead"
            )
        return value

    poll_minutes: float = Field(default=10.0, gt=0)
    new_models: Intent = "shadow"
    """What a model from the repository does once it has passed the gate."""
    latency_ms: float = Field(default=300.0, gt=0)
    """A model that takes longer a truck on this PC is refused."""
    timeout_s: Seconds = 120.0
    """So long may the trial of a model take."""
    memory_mb: int = Field(default=1500, ge=256)
    """So much memory may its process use."""
    keep: int = Field(default=5, ge=2)
    """Models kept on disk to roll back to, the active one among them."""
    shadow: ShadowSection = ShadowSection()


class ModelSection(_Section):
    """The model that grades: one file that IT has put here, or signed ones that can change."""

    bundle: Path | None = None
    updates: UpdatesSection | None = None
    threads: int = Field(default=1, ge=1, le=16)
    """Cores that one grading may use."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.bundle is None) == (self.updates is None):
            raise ValueError("give exactly one of bundle and updates")
        return self


class UserSection(_Section):
    """Somebody who may do more than watch."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$")
    role: Literal["engineer"]
    """engineer: may push, promote and roll back models."""
    password_hash: str = Field(pattern=r"^\$argon2id\$")
    """From `edge-agent password`."""

    @field_validator("name")
    @classmethod
    def _not_the_station(cls, value: str) -> str:
        if value == "station":
            raise ValueError("'station' is what records call the agent itself; take another name")
        return value


class AccessSection(_Section):
    """Who may do what."""

    users: tuple[UserSection, ...] = ()

    @field_validator("users")
    @classmethod
    def _named_once(cls, value: tuple[UserSection, ...]) -> tuple[UserSection, ...]:
        names = [user.name for user in value]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"user {min(twice)} stands there twice")
        return value


class StationConfig(_Section):
    """A whole station.yaml."""

    station: StationSection
    data_dir: Path
    http: HttpSection = HttpSection()
    cameras: CamerasSection
    checks: ChecksSection = ChecksSection()
    weighbridge: WeighbridgeSection = WeighbridgeSection()
    model: ModelSection
    access: AccessSection = AccessSection()

    @classmethod
    def read(cls, path: Path) -> StationConfig:
        """Reads station.yaml; relative paths in it count from its folder.

        Raises ConfigError with one line that names the file, the key, the fault and the cure.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            fault = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise ConfigError(
                f"{path}: {fault}; copy deploy/station.example.yaml there and adapt it"
            ) from error
        try:
            data = yaml_file.load(text)
        except yaml_file.YamlFileError as error:
            raise ConfigError(f"{path}: {error}") from None
        if not isinstance(data, dict):
            raise ConfigError(f"{path}: must be a mapping; start from deploy/station.example.yaml")
        try:
            config = cls.model_validate(data)
        except ValidationError as error:
            raise ConfigError(_first_fault(path, error)) from None
        return config._resolved(path.resolve().parent)

    def _resolved(self, base: Path) -> StationConfig:
        credentials = self.cameras.credentials
        if credentials is not None and credentials.password_file is not None:
            credentials = credentials.model_copy(
                update={"password_file": base / credentials.password_file.expanduser()}
            )
        return self.model_copy(
            update={
                "data_dir": base / self.data_dir.expanduser(),
                "model": self._resolved_model(base),
                "cameras": self.cameras.model_copy(update={"credentials": credentials}),
            }
        )

    def _resolved_model(self, base: Path) -> ModelSection:
        model = self.model
        if model.bundle is not None:
            return model.model_copy(update={"bundle": base / model.bundle.expanduser()})
        assert model.updates is not None  # noqa: S101 - narrows the type; one of them is given
        updates = model.updates.model_copy(update={"root": base / model.updates.root.expanduser()})
        return model.model_copy(update={"updates": updates})


def _first_fault(path: Path, error: ValidationError) -> str:
    faults = error.errors(include_input=False, include_url=False)
    first = faults[0]
    key = ".".join(str(part) for part in first["loc"])
    cure = {
        "extra_forbidden": "unknown key; remove it or mend its spelling",
        "missing": "required key is missing; see deploy/station.example.yaml",
    }.get(first["type"], first["msg"].removeprefix("Value error, "))
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{path}: {key}: {cure}{more}"
