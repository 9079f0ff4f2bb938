"""What the linters cannot check: sizes, log events, floats, the parts of a driver, generated files.

Every check is a function over source text that returns what is wrong; each is tried on a sample
that it must refuse before it is believed about the repository.
"""

import ast
import importlib
import pkgutil
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

import dispensed
from dispensed import settings
from dispensed.devices import registry
from dispensed.errors import DispensedError
from dispensed.ledger.tables import METADATA
from dispensed.web.problems import STATUS
from tests.arch import openapi

ROOT = Path(__file__).parents[2]
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
EVENT = re.compile(r"[a-z]+\.[a-z]+(_[a-z]+)*")
PAST = {"lost", "held", "taken", "built", "unread", "stuck", "sent", "found", "left", "begun"}
"""Past participles that do not end in -ed."""
CATCH_ALL = {"dispensed/jobs.py", "dispensed/devices/supervisor.py", "dispensed/web/problems.py"}
HOSTS = [host + ".org" for host in ("pypi", "python" + "hosted", "npmjs")]
PATHS = ["/" + "work/", "/" + "root/", ".." + "/shared"]
NO_CODE = re.compile(r"#\s*(type:\s*ignore(?!\[)|noqa(?!:)|ruff:\s*noqa|mypy:\s*ignore)")


def tracked(*patterns: str) -> list[Path]:
    """Return the files of the repository that are, or may be, committed."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in done.stdout.splitlines() if (path := ROOT / name).is_file()]


def shipped() -> list[Path]:
    return [
        path
        for path in tracked("dispensed/*.py", "drivers/*.py", "simulators/*.py")
        if "versions" not in path.parts
    ]


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def everywhere(check: Callable[[str], list[str]], files: list[Path]) -> list[str]:
    """Return what a check finds in the files, each with the place."""
    return [f"{named(path)}: {fault}" for path in files for fault in check(path.read_text())]


# ---------------------------------------------------------------- the checks


def long_file(source: str) -> list[str]:
    lines = source.count("\n")
    return [f"{lines} lines"] if lines > FILE_LINES_MAX else []


def long_functions(source: str) -> list[str]:
    return [
        f"{node.lineno}: {node.name} has {length} lines"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (length := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]


def odd_log_events(source: str) -> list[str]:
    """Events that are not a literal `noun.verb_past`."""
    return [
        f"{call.lineno}: {ast.unparse(call.args[0]) if call.args else 'no event'}"
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call) and _is_log(call.func) and not _is_event(call.args)
    ]


def _is_log(func: ast.expr) -> bool:
    if not isinstance(func, ast.Attribute) or func.attr not in LEVELS:
        return False
    on = func.value
    return (isinstance(on, ast.Name) and on.id in {"log", "_log", "logger"}) or (
        isinstance(on, ast.Attribute) and on.attr in {"log", "_log", "logger"}
    )


def _is_event(args: list[ast.expr]) -> bool:
    if len(args) != 1 or not isinstance(args[0], ast.Constant):
        return False
    event = args[0].value
    if not isinstance(event, str) or not EVENT.fullmatch(event):
        return False
    words = event.partition(".")[2].split("_")
    return any(word.endswith("ed") or word in PAST for word in words)


def floats(source: str) -> list[str]:
    return [
        f"{node.lineno}: {node.value}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, float)
    ]


def catch_alls(source: str) -> list[str]:
    return [
        f"{node.lineno}: except {ast.unparse(node.type) if node.type else ''}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or re.search(r"\bException\b", ast.unparse(node.type)))
    ]


def blanket_ignores(source: str) -> list[str]:
    return [
        f"{number}: {line.strip()}"
        for number, line in enumerate(source.splitlines(), start=1)
        if NO_CODE.search(line)
    ]


def foreign_names(source: str) -> list[str]:
    """Hosts of package registries and paths of one machine."""
    return [name for name in (*HOSTS, *PATHS) if name in source]


@pytest.mark.parametrize(
    ("check", "bad", "good"),
    [
        (long_file, "x = 1\n" * 501, "x = 1\n" * 500),
        (long_functions, "def f():\n" + "    x = 1\n" * 70, "def f():\n" + "    x = 1\n" * 69),
        (odd_log_events, "log.info('fill settled')", "log.info('fill.settled', qty_milli=3)"),
        (odd_log_events, "log.info('fill.settling')", "log.warning('device.lost')"),
        (odd_log_events, "self._log.error(f'fill.{x}')", "self._log.error('fill.not_built')"),
        (odd_log_events, "log.info('Fill.settled')", "math.log(10)"),
        (odd_log_events, "log.info()", "parser.error('no such file')"),
        (floats, "x = 0.5", "x = 5"),
        (floats, "x = 1e3", "x = '0.5'"),
        (catch_alls, "try: f()\nexcept Exception: g()", "try: f()\nexcept OSError: g()"),
        (catch_alls, "try: f()\nexcept: g()", "try: f()\nexcept* DriverError: g()"),
        (catch_alls, "try: f()\nexcept (OSError, Exception): g()", "f(Exception)"),
        (blanket_ignores, "f()  # type: " + "ignore", "f()  # type: " + "ignore[arg-type]"),
        (blanket_ignores, "f()  # " + "noqa", "f()  # " + "noqa: S101"),
        (foreign_names, "see https://" + HOSTS[0], "see the registry"),
        (foreign_names, "cd " + PATHS[0] + "main", "cd work"),
    ],
)
def test_every_check_refuses_a_bad_sample(
    check: Callable[[str], list[str]], bad: str, good: str
) -> None:
    assert check(bad)
    assert not check(good)


# ---------------------------------------------------------------- the repository


def test_no_module_has_more_than_500_lines() -> None:
    assert everywhere(long_file, shipped()) == []


def test_no_function_has_more_than_70_lines() -> None:
    assert everywhere(long_functions, shipped()) == []


def test_every_log_event_is_a_literal_noun_and_past_verb() -> None:
    assert everywhere(odd_log_events, shipped()) == []


def test_model_and_ledger_hold_no_float() -> None:
    files = tracked("dispensed/model/*.py", "dispensed/ledger/*.py")
    assert files
    assert everywhere(floats, files) == []


def test_everything_is_caught_in_three_places_only() -> None:
    files = [path for path in shipped() if named(path) not in CATCH_ALL]
    assert everywhere(catch_alls, files) == []


def test_no_warning_is_silenced_without_naming_it() -> None:
    assert everywhere(blanket_ignores, [path for path in tracked("*.py") if path != _here()]) == []


def _here() -> Path:
    return Path(__file__).resolve()


def test_no_registry_host_and_no_path_of_one_machine_is_committed() -> None:
    texts = []
    for path in tracked():
        try:
            path.read_text()
        except UnicodeDecodeError:
            continue
        texts.append(path)
    assert everywhere(foreign_names, texts) == []


# ---------------------------------------------------------------- drivers

DRIVERS = sorted(path.parent.name for path in ROOT.glob("drivers/*/__init__.py"))


def protocol(folder: str) -> str:
    """Return the protocol of a driver's folder; one that is a word of Python has a `_` more."""
    return folder.rstrip("_")


@pytest.mark.parametrize("name", DRIVERS)
def test_a_driver_has_all_its_parts(name: str) -> None:
    folder = ROOT / "drivers" / name
    source = ast.get_docstring(ast.parse((folder / "codec.py").read_text())) or ""
    assert re.search(r"^Source: \S+", source, re.MULTILINE), "codec.py does not tell its source"
    for part in (folder / "driver.py", ROOT / "simulators" / f"{name}.py"):
        assert part.is_file(), f"{named(part)} is missing"
    sample = tomllib.loads((ROOT / "config" / "devices" / f"{protocol(name)}.toml").read_text())
    assert {device["protocol"] for device in sample["devices"].values()} == {protocol(name)}


def test_every_driver_can_be_configured_and_is_protected() -> None:
    tables = (
        registry.SCALES,
        registry.COUNTERS,
        registry.COMPOSED,
        registry.CABINETS,
        registry.PRINTERS,
        registry.DRAWERS,
        registry.SCANNERS,
    )
    assert sorted(name for table in tables for name in table) == sorted(map(protocol, DRIVERS))
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (protected,) = (
        contract["protected_modules"]
        for contract in contracts["contracts"]
        if contract["name"] == "only the registry names concrete drivers"
    )
    assert sorted(protected) == [f"drivers.{name}" for name in DRIVERS]


# ---------------------------------------------------------------- settings


def sections() -> list[type[BaseModel]]:
    found = [
        value
        for value in vars(settings).values()
        if isinstance(value, type)
        and issubclass(value, BaseModel)
        and value.__module__.startswith(settings.__name__)
    ]
    assert settings.Settings in found
    return found


def test_every_setting_is_described() -> None:
    bare = [
        f"{section.__name__}.{name}"
        for section in sections()
        for name, field in section.model_fields.items()
        if not (field.description or "").strip()
    ]
    assert bare == []


def test_the_example_configuration_is_the_generated_one() -> None:
    example = ROOT / "config" / "dispensed.example.toml"
    assert example.read_text() == settings.example_toml(), (
        "write it anew from settings.example_toml()"
    )
    assert settings.load(example, {}) == settings.Settings()


# ---------------------------------------------------------------- ledger, errors, interface


def test_every_table_tells_when_a_row_was_recorded() -> None:
    assert len(METADATA.tables) > 10
    assert [name for name, table in METADATA.tables.items() if "recorded_at" not in table.c] == []


def errors() -> Iterator[type[DispensedError]]:
    """Yield every error of the pharmacy's side, the base included."""
    for module in pkgutil.walk_packages(dispensed.__path__, "dispensed."):
        if not module.name.endswith(".__main__") and ".migrations" not in module.name:
            importlib.import_module(module.name)
    waiting: list[type[DispensedError]] = [DispensedError]
    while waiting:
        error = waiting.pop(0)
        if error.__module__.partition(".")[0] == "dispensed":
            yield error
        waiting += error.__subclasses__()


def test_every_error_code_has_one_meaning_and_a_status() -> None:
    """A code may be shared only with the error that it specialises."""
    meaning: dict[str, type[DispensedError]] = {}
    shared: list[str] = []
    for error in errors():  # base classes come first
        first = meaning.setdefault(error.code, error)
        if not issubclass(error, first):
            shared.append(f"{error.code}: {first.__name__} and {error.__name__}")
    assert shared == []
    assert sorted(meaning) == sorted(STATUS)


def test_the_described_interface_is_the_committed_one() -> None:
    assert openapi.SNAPSHOT.read_text() == openapi.document(), (
        "the HTTP interface changed: if it was meant, write it anew with"
        " `python -m tests.arch.openapi` and tell it in CHANGELOG.md"
    )
