"""From a protocol name to a driver, built in or from an installed package."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dispensed.devices import registry
from dispensed.devices.registry import Capability, UnknownProtocol
from drivers.base import DeviceSpec, RawMessage, Sink
from drivers.facts import StockReported


@dataclass(frozen=True)
class Config:
    """One configured device."""

    protocol: str
    address: str
    location: str | None = None
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    enabled: bool = True


async def nowhere(message: RawMessage) -> None:
    del message


OPC_UA: dict[str, str | int | float | bool] = {"security": "none", "user": "anonymous"}
BUILT_IN = [
    "and",
    "ipp",
    "lockboard",
    "modbus",
    "mtsics",
    "nci",
    "ohaus",
    "opcua40200",
    "opcua_cabinet",
    "packml",
    "pdf",
    "sbi",
    "scanner",
    "toledo8217",
    "weighcount",
    "wwks2",
    "zpl",
]
"""Every protocol that comes with the package."""
CAPACITY: dict[str, str | int | float | bool] = {"plausible_max": "15.000"}
LINE_SCALES = ["and", "nci", "ohaus", "sbi", "toledo8217"]
GOOD = [
    *(
        (Capability.SCALE, Config(name, "serial:/dev/ttyS0?format=7E1", options=CAPACITY))
        for name in LINE_SCALES
    ),
    (Capability.SCALE, Config("mtsics", "serial:/dev/ttyS0?baud=9600&format=8N1")),
    (Capability.SCALE, Config("mtsics", "tcp://127.0.0.1:4305", options={"unit": "g"})),
    (Capability.SCALE, Config("modbus", "tcp://127.0.0.1:502", options={"map": "wtx120"})),
    (Capability.SCALE, Config("modbus", "serial:/dev/ttyS0", options={"map": "laumas"})),
    (Capability.SCALE, Config("opcua40200", "opc.tcp://127.0.0.1:4840", options=OPC_UA)),
    (
        Capability.COUNTER,
        Config("packml", "opc.tcp://127.0.0.1:4840", options=OPC_UA),
    ),
    (Capability.COUNTER, Config("weighcount", "device:scale1", options={"settle_s": 2})),
    (Capability.CABINET, Config("wwks2", "tcp://127.0.0.1:6050")),
    (Capability.PRINTER, Config("zpl", "tcp://127.0.0.1:9100")),
    (Capability.PRINTER, Config("ipp", "ipp://127.0.0.1/ipp/print")),
    (Capability.PRINTER, Config("pdf", "file:///var/lib/dispensed/labels")),
    (Capability.SCANNER, Config("scanner", "serial:/dev/ttyACM0?format=7E1")),
    (Capability.SCANNER, Config("scanner", "wedge:/run/dispensed/scanner.fifo")),
    (
        Capability.DRAWERS,
        Config(
            "lockboard",
            "tcp://127.0.0.1:5000",
            options={"dialect": "kr-cu16", "drawers": "0.1-16"},
        ),
    ),
    (
        Capability.DRAWERS,
        Config("opcua_cabinet", "opc.tcp://127.0.0.1:4840", options=OPC_UA),
    ),
]


@pytest.mark.parametrize(("capability", "config"), GOOD)
def test_every_built_in_driver_is_built_and_touches_nothing(
    capability: Capability, config: Config
) -> None:
    assert registry.check("device1", config) == []
    assert registry.capability_of(config.protocol) is capability
    spec = DeviceSpec("device1", config.address, config.options)
    driver = registry.build(config.protocol, spec, nowhere)
    folder = {"and": "and_"}.get(config.protocol, config.protocol)
    assert type(driver).__module__ == f"drivers.{folder}.driver"


def test_every_built_in_protocol_has_one_capability_and_an_interpreter() -> None:
    built_in = [
        *registry.SCALES,
        *registry.COUNTERS,
        *registry.COMPOSED,
        *registry.CABINETS,
        *registry.PRINTERS,
        *registry.SCANNERS,
        *registry.DRAWERS,
    ]
    assert sorted(built_in) == BUILT_IN
    assert sorted(registry.INTERPRETERS) == BUILT_IN
    assert registry.interpreter_of("mtsics")(b"S S 100.00 g") == ()
    assert registry.interpreter_of("zpl")(b"anything") == ()
    assert registry.interpreter_of("ipp")(b"anything") == ()
    assert registry.interpreter_of("pdf")(b"anything") == ()
    assert registry.interpreter_of("scanner").__module__ == "drivers.scanner.codec"
    assert registry.interpreter_of("wwks2").__module__ == "drivers.wwks2.codec"
    assert registry.interpreter_of("packml").__module__ == "drivers.packml.codec"


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (Config("mtsics", "tcp://127.0.0.1"), "tcp://HOST:PORT expected"),
        (Config("mtsics", "http://127.0.0.1:1"), "scheme must be one of"),
        (Config("mtsics", "tcp://127.0.0.1:1", options={"unti": "g"}), "unti"),
        (Config("wwks2", "tcp://127.0.0.1:1", options={"priority": "Soon"}), "priority"),
        (
            Config("packml", "opc.tcp://127.0.0.1:1", options=OPC_UA | {"poll_ms": 0}),
            "poll_ms",
        ),
        (Config("weighcount", "tcp://127.0.0.1:1"), "device:NAME"),
        (Config("weighcount", "device:scale1", options={"settle_s": 31}), "settle_s"),
        (Config("zpl", "tcp://127.0.0.1:1", options={"dots": "many"}), "dots"),
        (Config("ipp", "tcp://127.0.0.1:1"), "ipp://HOST"),
        (Config("ipp", "ipp://user:word@127.0.0.1"), "ipp://HOST"),
        (Config("ipp", "ipp://127.0.0.1", options={"media": "a b"}), "media"),
        (Config("ipp", "ipp://127.0.0.1", options={"font": "/no/such.ttf"}), "/no/such.ttf"),
        (Config("pdf", "file://host/labels"), "file:///absolute/folder"),
        (Config("pdf", "file:///labels?x=1"), "without ? # %"),
        (Config("scanner", "wedge:fifo"), "wedge:/path"),
        (Config("scanner", "tcp://127.0.0.1:1", options={"aim": "no"}), "aim"),
        (Config("scanner", "tcp://127.0.0.1:1", options={"prefix": "\r"}), "prefix"),
    ],
)
def test_a_bad_address_or_option_is_named(config: Config, text: str) -> None:
    (fault,) = registry.check("device1", config)
    assert text in fault


def test_a_counter_made_of_a_scale_needs_one_that_is_configured_and_enabled() -> None:
    counter = Config("weighcount", "device:scale1")
    devices = {
        "counter1": counter,
        "fax1": Config("fax", "tcp://127.0.0.1:2"),
        "robot1": Config("wwks2", "tcp://127.0.0.1:3"),
        "scale1": Config("mtsics", "tcp://127.0.0.1:1"),
        "scale2": Config("mtsics", "tcp://127.0.0.1:4", enabled=False),
    }
    assert registry.check("counter1", counter, devices) == []
    for name in ("scale2", "scale3", "robot1", "fax1", "counter1"):
        faulty = Config("weighcount", f"device:{name}")
        assert registry.check("counter1", faulty, devices) == [
            f"address 'device:{name}' names no scale that is configured and enabled: scale1"
        ]


def test_an_unknown_protocol_is_refused_with_those_that_are_known() -> None:
    assert registry.check("device1", Config("fax", "tcp://127.0.0.1:1")) == [
        f"protocol 'fax' is not known; known: {', '.join(BUILT_IN)}"
    ]
    with pytest.raises(UnknownProtocol):
        registry.capability_of("fax")
    with pytest.raises(UnknownProtocol):
        registry.interpreter_of("fax")


BUILDERS: dict[Capability, Callable[[str, DeviceSpec, Sink], object]] = {
    Capability.SCALE: registry.build_scale,
    Capability.COUNTER: registry.build_counter,
    Capability.CABINET: registry.build_cabinet,
    Capability.PRINTER: registry.build_printer,
    Capability.DRAWERS: registry.build_drawers,
    Capability.SCANNER: registry.build_scanner,
}


@pytest.mark.parametrize("protocol", [f"acme-{each}" for each in Capability])
def test_a_driver_is_not_built_as_something_that_it_is_not(protocol: str, plugins: None) -> None:
    del plugins
    spec = DeviceSpec("device1", "tcp://127.0.0.1:1")
    for capability, build in BUILDERS.items():
        if not protocol.endswith(capability):
            with pytest.raises(UnknownProtocol, match=f"'{protocol}' is not one of a "):
                build(protocol, spec, nowhere)


def test_nothing_of_opc_ua_or_serial_lines_is_loaded_before_a_device_needs_it() -> None:
    program = (
        "import sys, dispensed.devices.fleet\n"
        "print(sorted({'asyncua', 'serial', 'lxml'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"


# ---------------------------------------------------------------- installed packages

PLUGIN = """
from dispensed.devices.registry import (
    CabinetPlugin, CounterPlugin, DrawersPlugin, PrinterPlugin, ScalePlugin, ScannerPlugin,
)
from drivers.facts import StockReported


class Machine:
    def __init__(self, spec, sink):
        if spec.options:
            raise ValueError(f"option {sorted(spec.options)[0]!r} is not known")


def interpret(raw):
    return (StockReported(()),)


scale = ScalePlugin(Machine, interpret)
counter = CounterPlugin(Machine, interpret)
cabinet = CabinetPlugin(Machine, interpret)
printer = PrinterPlugin(Machine, interpret)
drawers = DrawersPlugin(Machine, interpret)
scanner = ScannerPlugin(Machine, interpret)
nothing = Machine
"""
ENTRIES = """[dispensed.drivers]
acme-scale = acme_machines:scale
acme-counter = acme_machines:counter
acme-cabinet = acme_machines:cabinet
acme-printer = acme_machines:printer
acme-drawers = acme_machines:drawers
acme-scanner = acme_machines:scanner
acme-missing = acme_machines:gone
acme-absent = acme_absent:scale
acme-wrong = acme_machines:nothing
"""


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a package of drivers for the time of a test."""
    (tmp_path / "acme_machines.py").write_text(PLUGIN)
    info = tmp_path / "acme_machines-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-machines\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.forget_plugins()
    yield
    registry.forget_plugins()
    sys.modules.pop("acme_machines", None)


@pytest.mark.parametrize("capability", list(Capability))
def test_an_installed_package_adds_drivers_of_every_capability(
    capability: Capability, plugins: None
) -> None:
    del plugins
    protocol = f"acme-{capability}"
    assert protocol in registry.protocols()
    assert registry.capability_of(protocol) is capability
    assert registry.interpreter_of(protocol)(b"") == (StockReported(()),)
    device = registry.build(protocol, DeviceSpec("device1", "acme://1"), nowhere)
    assert type(device).__name__ == "Machine"
    assert registry.check("device1", Config(protocol, "acme://1", options={"speed": 3})) == [
        "option 'speed' is not known"
    ]


@pytest.mark.parametrize(
    ("protocol", "text"),
    [
        ("acme-missing", "driver acme_machines:gone does not load"),
        ("acme-absent", "driver acme_absent:scale does not load: No module named 'acme_absent'"),
        ("acme-wrong", "acme_machines:nothing is type, not a driver plugin"),
    ],
)
def test_a_package_whose_driver_cannot_be_used_is_told(
    protocol: str, text: str, plugins: None
) -> None:
    del plugins
    (fault,) = registry.check("device1", Config(protocol, "acme://1"))
    assert text in fault
