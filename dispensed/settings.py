"""The pydantic model of `dispensed.toml`: every key, its unit, its default, all faults at once.

Values come from, weakest first: the defaults here, the TOML file, files in `$CREDENTIALS_DIRECTORY`
named by dotted key (`database.url`), and the environment (`DISPENSED__HTTP__PORT=9000`). `load`
reports all faults together with file, line and key; it opens no device and makes no folder.
"""

import contextlib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, cast
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from dispensed import settings_text
from dispensed.errors import DispensedError
from dispensed.settings_sections import (
    ControlledSettings,
    CountSettings,
    DatabaseSettings,
    DispensingSettings,
    ExpirySettings,
    HttpSettings,
    LogSettings,
    RecallSettings,
    RepackSettings,
    Section,
    SiteSettings,
)
from dispensed.settings_text import comment, toml_scalar

ENV_PREFIX = "DISPENSED__"
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
DEFAULT_CRONS: Mapping[str, str] = {
    "reorder": "0 5 * * *",
    "expiry": "15 0 * * *",
    "containers": "20 0 * * *",
    "reconcile": "*/15 * * * *",
    "cycle-count": "0 4 * * *",
    "recalls": "40 * * * *",
    "verify": "30 3 * * *",
}
"""When each job runs, in the site's time zone, unless `[jobs]` says otherwise."""

DEVICE_ROLES = ("cabinet", "counter", "scale", "printer")
"""The keys of `[dispensing]` that name a device."""

_ANY_DAY = datetime(2026, 1, 1, tzinfo=UTC)

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the configuration; `line` is 0 for a whole file or an override."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class ConfigError(DispensedError):
    """The configuration cannot be used; `faults` holds everything that is wrong with it."""

    code = "bad_config"

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class DeviceSettings(Section):
    """One machine."""

    protocol: str = Field(min_length=1)
    """Name of the driver: mtsics, packml, wwks2, zpl, or one from an installed package."""
    address: str = Field(pattern=r"^[a-z][a-z0-9+.-]*:.+")
    """`tcp://host:port`, `serial:/dev/ttyS0?baud=9600&format=8N1` or `opc.tcp://host:port`."""
    location: str | None = Field(default=None, max_length=64)
    """Where in the pharmacy its stock is booked; without it the device's own name."""
    enabled: bool = True
    """Whether the daemon connects to it."""
    options: dict[str, Scalar] = Field(default_factory=dict)
    """The driver's own settings."""


class Settings(Section):
    """All of `dispensed.toml`."""

    state_dir: Annotated[Path, Field(strict=False)] = Path("/var/lib/dispensed")
    """Folder for files that dispensed keeps between runs."""
    site: SiteSettings = SiteSettings()
    """The pharmacy."""
    database: DatabaseSettings = DatabaseSettings()
    """Where the ledger is kept."""
    http: HttpSettings = HttpSettings()
    """The HTTP interface."""
    log: LogSettings = LogSettings()
    """The log on standard output."""
    dispensing: DispensingSettings = DispensingSettings()
    """How orders are carried out."""
    counts: CountSettings = CountSettings()
    """How often stock is counted, and when another person counts again."""
    recalls: RecallSettings = RecallSettings()
    """Recalls: where notices come from, and what closing a case takes."""
    expiry: ExpirySettings = ExpirySettings()
    """Flags before stock expires, and when it is pulled."""
    repack: RepackSettings = RepackSettings()
    """How long repacked and returned medicine may be used, and its lot numbers."""
    controlled: ControlledSettings = ControlledSettings()
    """Controlled substances: witness, inventories, order forms, who reports."""
    jobs: dict[str, str] = Field(default_factory=lambda: dict(DEFAULT_CRONS))
    """When each job runs: five cron fields in the site's time zone; an empty text is never."""
    devices: dict[str, DeviceSettings] = Field(default_factory=dict)
    """The machines, each under its name: lower-case letters, digits and dashes."""

    @field_validator("jobs", mode="before")
    @classmethod
    def _fill_in_jobs(cls, value: object) -> object:
        return {**DEFAULT_CRONS, **value} if isinstance(value, dict) else value

    @property
    def zone(self) -> ZoneInfo:
        """The site's time zone."""
        return ZoneInfo(self.site.timezone)


DeviceCheck = Callable[[str, DeviceSettings, Mapping[str, DeviceSettings]], list[str]]
"""Says what is wrong with one device among all (`dispensed.devices.registry.check`)."""


def load(
    path: Path, environ: Mapping[str, str], *, check_device: DeviceCheck | None = None
) -> Settings:
    """Read and check the configuration at `path`; raises ConfigError with every fault in it."""
    text, document = _read(path)
    source = _Source(path, settings_text.key_lines(text))
    overrides = _credentials(environ, source) | _environment(environ, document)
    data = dict(document)
    for keys, raw in overrides.items():
        _put(data, keys, settings_text.parse_scalar(raw))
        source.origins[keys] = _origin(keys, environ)
    settings, faults = _validate(data, overrides, source)
    faults += _cross_check(data, source)
    if check_device is not None:
        faults += _check_devices(data, source, check_device)
    if faults or settings is None:
        raise ConfigError(tuple(sorted(faults, key=lambda fault: (fault.line, fault.key))))
    return settings


class _Source:
    """Where each key came from, for messages."""

    def __init__(self, path: Path, lines: Mapping[tuple[str, ...], int]) -> None:
        self.path = path
        self.lines = lines
        self.origins: dict[tuple[str, ...], str] = {}

    def fault(self, keys: tuple[str, ...], message: str) -> Fault:
        """Build the fault of `keys`, at its own line or that of the nearest table around it."""
        if keys in self.origins:
            return Fault(self.origins[keys], 0, ".".join(keys), message)
        line = 0
        for length in range(len(keys), 0, -1):
            line = self.lines.get(keys[:length], 0)
            if line:
                break
        return Fault(str(self.path), line, ".".join(keys), message)


def _read(path: Path) -> tuple[str, dict[str, object]]:
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except FileNotFoundError as error:
        raise ConfigError(
            (Fault(str(path), 0, "", "the file does not exist; copy dispensed.example.toml"),)
        ) from error
    except OSError as error:
        message = f"the file cannot be read: {error.strerror}"
        raise ConfigError((Fault(str(path), 0, "", message),)) from error
    except UnicodeDecodeError as error:
        message = f"byte {error.start} is not UTF-8"
        raise ConfigError((Fault(str(path), 0, "", message),)) from error
    except tomllib.TOMLDecodeError as error:
        line, message = settings_text.syntax_fault(str(error), text)
        raise ConfigError((Fault(str(path), line, "", message),)) from error


def _environment(
    environ: Mapping[str, str], document: Mapping[str, object]
) -> dict[tuple[str, ...], str]:
    """Return the overrides of the environment; device names match without regard to case."""
    found = {}
    for variable, raw in environ.items():
        if variable.upper().startswith(ENV_PREFIX):
            keys = tuple(part.lower() for part in variable[len(ENV_PREFIX) :].split("__"))
            found[_as_written(keys, document)] = raw
    return found


def _as_written(keys: tuple[str, ...], document: Mapping[str, object]) -> tuple[str, ...]:
    devices = document.get("devices")
    if len(keys) > 1 and keys[0] == "devices" and isinstance(devices, dict):
        for name in devices:
            if name.lower().replace("-", "_") == keys[1].replace("-", "_"):
                return (keys[0], name, *keys[2:])
    return keys


def _credentials(environ: Mapping[str, str], source: _Source) -> dict[tuple[str, ...], str]:
    """Return the values kept as files in the credentials folder, named by dotted key."""
    folder = environ.get(CREDENTIALS_VARIABLE)
    if not folder or not Path(folder).is_dir():
        return {}
    found: dict[tuple[str, ...], str] = {}
    for file in sorted(Path(folder).iterdir()):
        keys = tuple(file.name.split("."))
        if keys[0] not in Settings.model_fields:
            continue
        try:
            found[keys] = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            source.origins[keys] = str(file)
            raise ConfigError((source.fault(keys, f"cannot be read: {error}"),)) from error
    return found


def _origin(keys: tuple[str, ...], environ: Mapping[str, str]) -> str:
    wanted = "__".join(keys).replace("-", "_").lower()
    for variable in environ:
        if (
            variable.upper().startswith(ENV_PREFIX)
            and variable[len(ENV_PREFIX) :].replace("-", "_").lower() == wanted
        ):
            return f"environment {variable}"
    return f"credential {'.'.join(keys)}"


def _put(data: dict[str, object], keys: tuple[str, ...], value: object) -> None:
    """Set a nested key; a scalar in the way is replaced by a table."""
    table = data
    for key in keys[:-1]:
        below = table.get(key)
        if not isinstance(below, dict):
            below = {}
            table[key] = below
        table = below
    table[keys[-1]] = value


def _validate(
    data: dict[str, object], overrides: Mapping[tuple[str, ...], str], source: _Source
) -> tuple[Settings | None, list[Fault]]:
    """Validate; an override that was read as a number where text is wanted is taken as text."""
    try:
        return Settings.model_validate(data), []
    except ValidationError as error:
        details = error.errors()
    as_text = [keys for keys in map(_keys_of, details) if keys in overrides]
    if as_text:
        for keys in as_text:
            _put(data, keys, overrides[keys])
        try:
            return Settings.model_validate(data), []
        except ValidationError as error:
            details = error.errors()
    faults: dict[tuple[str, ...], Fault] = {}
    for detail in details:
        keys = _keys_of(detail)
        faults.setdefault(keys, source.fault(keys, _message(keys, detail)))
    return None, list(faults.values())


def _keys_of(detail: ErrorDetails) -> tuple[str, ...]:
    """Return the TOML key of a fault, without pydantic's own steps into a union."""
    keys = tuple(str(part) for part in detail["loc"])
    if keys[:1] == ("devices",) and keys[2:3] == ("options",):
        return keys[:4]
    return keys


def _message(keys: tuple[str, ...], detail: ErrorDetails) -> str:
    match detail["type"]:
        case "extra_forbidden":
            known = _known_keys(keys[:-1])
            near = get_close_matches(keys[-1], known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
            return f"unknown key {keys[-1]!r}; {hint}"
        case "missing":
            return f"{keys[-1]!r} is missing"
        case "value_error":
            return str(detail["msg"]).removeprefix("Value error, ")
        case _:
            shown = repr(detail["input"]) if "url" not in keys else "the value"
            return f"{detail['msg']}, not {shown[:80]}"


def _known_keys(keys: tuple[str, ...]) -> list[str]:
    model: type[BaseModel] = Settings
    if keys[:1] == ("devices",):
        model = DeviceSettings
    elif keys:
        annotation = Settings.model_fields[keys[0]].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return sorted(model.model_fields)


def _cross_check(data: Mapping[str, object], source: _Source) -> list[Fault]:
    """Return the faults that need more than one key to see; `data` may be wrong in other ways."""
    faults = []
    for name, cron in _table(data, "jobs").items():
        message = _cron_fault(name, cron)
        if message:
            faults.append(source.fault(("jobs", name), message))
    devices = _table(data, "devices")
    faults += _device_faults(devices, source)
    for role in DEVICE_ROLES:
        wanted = _table(data, "dispensing").get(role)
        if isinstance(wanted, str) and wanted not in devices:
            known = ", ".join(sorted(devices)) or "none"
            message = f"no device is called {wanted!r}; configured: {known}"
            faults.append(source.fault(("dispensing", role), message))
    return faults


def _table(data: Mapping[str, object], key: str) -> dict[str, object]:
    value = data.get(key)
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _device_faults(devices: Mapping[str, object], source: _Source) -> list[Fault]:
    faults = []
    taken: dict[str, str] = {}
    for name in devices:
        if not settings_text.DEVICE_NAME.fullmatch(name):
            message = (
                f"a device name is 1 to 32 lower-case letters, digits and dashes, not {name!r}"
            )
            faults.append(source.fault(("devices", name), message))
        device = _table(devices, name)
        address = device.get("address")
        if not isinstance(address, str) or device.get("enabled") is False:
            continue
        line = address.partition("?")[0].rstrip("/").lower()
        other = taken.setdefault(line, name)
        if other != name:
            message = f"{address} is already the address of device {other!r}"
            faults.append(source.fault(("devices", name, "address"), message))
    return faults


def _cron_fault(name: str, cron: object) -> str:
    if name not in DEFAULT_CRONS:
        near = get_close_matches(name, DEFAULT_CRONS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"jobs: {', '.join(DEFAULT_CRONS)}"
        return f"unknown job {name!r}; {hint}"
    if not isinstance(cron, str) or not cron:
        return ""
    try:
        CronSim(cron, _ANY_DAY)
    except CronSimError as error:
        return f"{cron!r} is not a cron expression of five fields: {error}"
    return ""


def _check_devices(data: Mapping[str, object], source: _Source, check: DeviceCheck) -> list[Fault]:
    """Let the drivers judge every device that is well formed in itself."""
    devices: dict[str, DeviceSettings] = {}
    for name, raw in _table(data, "devices").items():
        # What is not well formed is named by the validation of the whole.
        with contextlib.suppress(ValidationError):
            devices[name] = DeviceSettings.model_validate(raw)
    return [
        source.fault(_blamed_key(name, device, message), message)
        for name, device in devices.items()
        for message in check(name, device, devices)
    ]


def _blamed_key(name: str, device: DeviceSettings, message: str) -> tuple[str, ...]:
    """Guess from its text which key of a device a driver complains about."""
    named = [key for key in device.options if key in message]
    if named:
        return ("devices", name, "options", max(named, key=len))
    for key in ("protocol", "address"):
        if key in message:
            return ("devices", name, key)
    return ("devices", name)


def example_toml() -> str:
    """Return the commented example configuration; it loads and equals the defaults."""
    parts = [settings_text.EXAMPLE_HEAD, ""]
    sections: list[tuple[str, BaseModel]] = []
    defaults = Settings()
    for key, field in Settings.model_fields.items():
        value = cast("object", dict(defaults)[key])
        if isinstance(value, BaseModel):
            sections.append((key, value))
        elif not isinstance(value, dict):
            parts += [*comment(field.description or ""), f"{key} = {toml_scalar(value)}"]
    for key, section in sections:
        parts += ["", *comment(type(section).__doc__ or ""), f"[{key}]"]
        for name, field in type(section).model_fields.items():
            value = cast("object", dict(section)[name])
            setting = f'# {name} = ""' if value is None else f"{name} = {toml_scalar(value)}"
            parts += [*comment(field.description or ""), setting]
    parts += ["", *comment(Settings.model_fields["jobs"].description or ""), "[jobs]"]
    parts += [f"{name} = {toml_scalar(cron)}" for name, cron in DEFAULT_CRONS.items()]
    parts += ["", *comment(Settings.model_fields["devices"].description or "")]
    for name, field in DeviceSettings.model_fields.items():
        parts += comment(f"  {name}: {field.description}")
    return "\n".join([*parts, "", settings_text.EXAMPLE_DEVICES])
