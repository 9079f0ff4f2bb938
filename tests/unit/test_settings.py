"""The configuration: every fault at once, each with file, line and key."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispensed.settings import ConfigError, DeviceSettings, Settings, example_toml, load
from dispensed.settings_text import key_lines, parse_scalar

EXAMPLE = Path(__file__).parents[2] / "config" / "dispensed.example.toml"

GOOD = """\
state_dir = "/tmp/dispensed"

[site]
name = "Corner Pharmacy"
timezone = "America/New_York"

[devices.robot1]
protocol = "wwks2"
address = "tcp://10.0.0.5:6050"
options = { subscriber = 7 }
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "dispensed.toml"
    path.write_text(text, encoding="utf-8")
    return path


def faults(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(written(folder, text), environ or {})
    return [str(fault).replace(str(folder), "") for fault in caught.value.faults]


def test_a_good_file_gives_its_values_and_the_defaults_for_the_rest(tmp_path: Path) -> None:
    settings = load(written(tmp_path, GOOD), {})
    assert settings.site.name == "Corner Pharmacy"
    assert settings.zone.key == "America/New_York"
    assert settings.state_dir == Path("/tmp/dispensed")  # noqa: S108 - a value, not a file
    assert settings.http.port == 8480
    assert settings.http.url == "http://127.0.0.1:8480"
    assert settings.jobs["reorder"] == "0 5 * * *"
    assert settings.devices["robot1"] == DeviceSettings(
        protocol="wwks2", address="tcp://10.0.0.5:6050", options={"subscriber": 7}
    )


def test_every_fault_is_reported_at_once_with_its_line_and_key(tmp_path: Path) -> None:
    text = """\
[site]
timezone = "America/New_Yrok"

[htpp]
port = 1

[http]
prot = 8480
port = 70000

[log]
level = "loud"

[dispensing]
scale = "scale9"
weigh_check = "yes"

[jobs]
reorder = "61 5 * * *"
expirey = "0 0 * * *"

[devices.robot1]
adress = "tcp://10.0.0.5:6050"
address = "10.0.0.5"
"""
    assert faults(tmp_path, text) == [
        (
            "/dispensed.toml:2: site.timezone: no time zone is called 'America/New_Yrok'; "
            "use a name such as 'America/New_York'"
        ),
        "/dispensed.toml:4: htpp: unknown key 'htpp'; did you mean 'http'?",
        "/dispensed.toml:8: http.prot: unknown key 'prot'; did you mean 'port'?",
        "/dispensed.toml:9: http.port: Input should be less than or equal to 65535, not 70000",
        (
            "/dispensed.toml:12: log.level: Input should be 'debug', 'info', 'warning' or 'error', "
            "not 'loud'"
        ),
        "/dispensed.toml:15: dispensing.scale: no device is called 'scale9'; configured: robot1",
        "/dispensed.toml:16: dispensing.weigh_check: Input should be a valid boolean, not 'yes'",
        (
            "/dispensed.toml:19: jobs.reorder: '61 5 * * *' is not a cron expression of five "
            "fields: Bad minute"
        ),
        "/dispensed.toml:20: jobs.expirey: unknown job 'expirey'; did you mean 'expiry'?",
        "/dispensed.toml:22: devices.robot1.protocol: 'protocol' is missing",
        "/dispensed.toml:23: devices.robot1.adress: unknown key 'adress'; did you mean 'address'?",
        (
            "/dispensed.toml:24: devices.robot1.address: String should match pattern "
            "'^[a-z][a-z0-9+.-]*:.+', not '10.0.0.5'"
        ),
    ]


def test_one_address_serves_one_enabled_device(
    tmp_path: Path,
) -> None:
    pair = """\
[devices.scale1]
protocol = "mtsics"
address = "serial:/dev/ttyS0?baud=9600"
[devices.scale2]
protocol = "mtsics"
address = "serial:/dev/ttyS0?baud=2400"
"""
    assert faults(tmp_path, pair) == [
        (
            "/dispensed.toml:6: devices.scale2.address: serial:/dev/ttyS0?baud=2400 is already the "
            "address of device 'scale1'"
        )
    ]
    assert len(load(written(tmp_path, pair + "enabled = false\n"), {}).devices) == 2


def test_device_names_outside_the_allowed_form_are_refused(tmp_path: Path) -> None:
    text = '[devices."Robot 1"]\nprotocol = "wwks2"\naddress = "tcp://h:1"\n'
    assert faults(tmp_path, text) == [
        (
            "/dispensed.toml:1: devices.Robot 1: a device name is 1 to 32 lower-case letters, "
            "digits and dashes, not 'Robot 1'"
        )
    ]


def test_what_the_driver_says_is_placed_at_the_option_it_names(tmp_path: Path) -> None:
    seen = []

    def check(
        name: str, device: DeviceSettings, devices: Mapping[str, DeviceSettings]
    ) -> list[str]:
        assert devices[name] is device
        seen.append((name, device.protocol))
        return ["option 'subscriber' must be 1 to 9", "address has no path"]

    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, GOOD), {}, check_device=check)
    assert seen == [("robot1", "wwks2")]
    assert [(fault.line, fault.key) for fault in caught.value.faults] == [
        (9, "devices.robot1.address"),
        (10, "devices.robot1.options.subscriber"),
    ]


def test_a_syntax_error_is_named_with_its_line(tmp_path: Path) -> None:
    assert faults(tmp_path, "[site]\nname = \n") == ["/dispensed.toml:2: not TOML: Invalid value"]
    assert faults(tmp_path, "[site]\nname = [1,\n") == [
        "/dispensed.toml:3: not TOML: Invalid value"
    ]


def test_a_file_that_is_missing_or_unreadable_is_one_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"does not exist; copy dispensed\.example\.toml"):
        load(tmp_path / "absent.toml", {})
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, {})
    (tmp_path / "latin.toml").write_bytes(b'[site]\nname = "Caf\xe9"\n')
    with pytest.raises(ConfigError, match="byte 18 is not UTF-8"):
        load(tmp_path / "latin.toml", {})


def test_the_environment_wins_over_the_file_and_credentials_stand_between(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "database.url").write_text("postgresql+psycopg://db/secret\n")
    (credentials / "unrelated").write_text("x")
    path = written(tmp_path, GOOD + '[database]\nurl = "sqlite:////a.db"\nreaders = 2\n')
    environ = {
        "CREDENTIALS_DIRECTORY": str(credentials),
        "DISPENSED__HTTP__PORT": "9000",
        "DISPENSED__SITE__NAME": "12",
        "DISPENSED__DISPENSING__WEIGH_CHECK": "false",
        "DISPENSED__DEVICES__ROBOT1__ADDRESS": "tcp://127.0.0.1:1",
        "PATH": "/bin",
    }
    settings = load(path, environ)
    assert settings.database.url == "postgresql+psycopg://db/secret"
    assert settings.database.readers == 2
    assert settings.http.port == 9000
    assert settings.site.name == "12"
    assert settings.dispensing.weigh_check is False
    assert settings.devices["robot1"].address == "tcp://127.0.0.1:1"
    environ["DISPENSED__DATABASE__URL"] = "sqlite:////b.db"
    assert load(path, environ).database.url == "sqlite:////b.db"


def test_a_bad_override_is_named_by_its_variable_or_credential(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "database.url").write_text("mysql://root:hunter2@db/x")
    environ = {
        "CREDENTIALS_DIRECTORY": str(credentials),
        "DISPENSED__HTTP__PORT": "many",
        "DISPENSED__HTTP__PROT": "1",
        "DISPENSED__LOG": "info",
    }
    messages = faults(tmp_path, GOOD, environ)
    assert messages == [
        (
            "credential database.url: database.url: a database URL starts with sqlite:/// or "
            "postgresql+psycopg://, not 'mysql'"
        ),
        "environment DISPENSED__HTTP__PORT: http.port: Input should be a valid integer, not 'many'",
        "environment DISPENSED__HTTP__PROT: http.prot: unknown key 'prot'; did you mean 'port'?",
        (
            "environment DISPENSED__LOG: log: Input should be a valid dictionary or instance of "
            "LogSettings, not 'info'"
        ),
    ]
    assert "hunter2" not in "".join(messages)


def test_the_example_file_is_the_generated_one_and_loads_as_the_defaults() -> None:
    assert EXAMPLE.read_text(encoding="utf-8") == example_toml()
    assert load(EXAMPLE, {}) == Settings()


def test_the_example_devices_load_when_they_are_uncommented(tmp_path: Path) -> None:
    text = "".join(
        line.removeprefix("# ") if line.startswith(("# [", "# protocol =", "# address =")) else line
        for line in example_toml().splitlines(keepends=True)
    )
    settings = load(written(tmp_path, text), {})
    assert {name: device.protocol for name, device in settings.devices.items()} == {
        "robot1": "wwks2",
        "counter1": "packml",
        "scale1": "mtsics",
        "printer1": "zpl",
    }


def test_every_setting_has_a_description() -> None:
    for model in [Settings, DeviceSettings, *map(type, dict(Settings()).values())]:
        for name, field in getattr(model, "model_fields", {}).items():
            assert field.description, f"{model.__name__}.{name}"


def test_the_line_of_every_key_is_found_in_every_way_toml_can_write_it() -> None:
    text = '''\
# a = 1
top = 1
a.b . "c.d" = "x # = [not]"
text = """
[fake]
fake = 1 \\"""
"""
raw = \'\'\'
fake2 = 1\'\'\'
list = [
  1, # [comment]
  { inner = 2 },
]
table = { one = 1, "two" = { three = "3 } = " } }

[x.y]
key = 2026-01-01T00:00:00Z
[[many]]
n = 1
[[many]]
n = 2'''
    tomllib.loads(text)
    assert key_lines(text) == {
        ("top",): 2,
        ("a",): 3,
        ("a", "b"): 3,
        ("a", "b", "c.d"): 3,
        ("text",): 4,
        ("raw",): 8,
        ("list",): 10,
        ("list", "inner"): 12,
        ("table",): 14,
        ("table", "one"): 14,
        ("table", "two"): 14,
        ("table", "two", "three"): 14,
        ("x",): 16,
        ("x", "y"): 16,
        ("x", "y", "key"): 17,
        ("many",): 18,
        ("many", "n"): 19,
    }


@given(st.text(max_size=60))
def test_an_override_is_never_an_error(raw: str) -> None:
    parse_scalar(raw)


@given(st.text(alphabet="ab=[]{}\"'#\n\\., 1", max_size=40))
def test_the_scan_ends_on_every_text_and_knows_each_top_key_of_valid_ones(text: str) -> None:
    lines = key_lines(text)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert {(key,) for key in document} <= set(lines)


@pytest.mark.parametrize("text", ["a=[}", "a={]}", "a=[{]", "a=[#\n}", "a=}"])
def test_the_scan_gets_past_a_stray_bracket(text: str) -> None:
    assert ("a",) in key_lines(text)
