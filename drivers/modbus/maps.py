"""Map files: read from the package by name or from a path, and checked before anything is opened.

A map is TOML. Everything that is wrong with it is a ValueError that names the map, the key and the
numbers: an unknown or missing key, an unknown type, a missing status bit, two things in the same
bits, something outside of the block that is read in one request.
"""

import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from drivers.modbus.codec import READ_MAX, READS, UNIT_MAX, WRITE_MANY, WRITE_ONE, Framing
from drivers.modbus.regmap import (
    Commands,
    Field,
    Flag,
    Handshake,
    Identification,
    Kind,
    Order,
    RegisterMap,
    Reply,
    Scaling,
    Status,
    Units,
    Value,
)
from drivers.modbus.tables import Table

SIZE_MAX = 65536
"""Bytes of the longest map file."""
_WORD_BITS = 16
_ADDRESS_MAX = 0xFFFF
_COMMANDS = ("tare", "zero", "gross")
_DECIMALS_MAX = 9


def shipped() -> tuple[str, ...]:
    """Return the names of the maps that come with the package, sorted."""
    folder = resources.files(__package__).joinpath("maps")
    return tuple(
        sorted(each.name[: -len(".toml")] for each in folder.iterdir() if each.name[-5:] == ".toml")
    )


def load_map(name: str) -> RegisterMap:
    """Return a map by the name of a shipped one, or by the path of a file that ends in `.toml`."""
    if name.endswith(".toml"):
        try:
            with Path(name).open("rb") as file:
                data = file.read(SIZE_MAX + 1)
        except OSError as error:
            raise ValueError(f"map {name}: {error.strerror or error}") from error
        if len(data) > SIZE_MAX:
            raise ValueError(f"map {name}: longer than {SIZE_MAX} bytes")
        return parse_map(Path(name).stem, data)
    if name not in shipped():
        raise ValueError(
            f"map {name!r} is not one of {', '.join(shipped())}, nor a path that ends in .toml"
        )
    return parse_map(
        name, resources.files(__package__).joinpath("maps", f"{name}.toml").read_bytes()
    )


def parse_map(name: str, data: bytes) -> RegisterMap:
    """Return the map in a file; raises ValueError naming map, key and numbers."""
    try:
        root = Table(name, "", tomllib.loads(data.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"map {name}: not TOML: {error}") from error
    order = root.choice("word_order", Order, Order.HIGH_FIRST)
    block = root.table("block")
    address = block.number("address", 0, _ADDRESS_MAX)
    count = block.number("count", 1, READ_MAX)
    longest = block.number("longest", count, READ_MAX, default=count)
    block.end()
    values = root.table("values")
    parsed = RegisterMap(
        name=name,
        maker=root.text("maker", ""),
        model=root.text("model", ""),
        framing=root.choice("framing", Framing),
        unit_id=root.number("unit_id", 0, UNIT_MAX, default=1),
        read_function=root.number("read_function", READS[0], READS[1]),
        address=address,
        count=count,
        longest=longest,
        net=_value(values.table("net"), order),
        gross=_value(values.table("gross"), order),
        scaling=_scaling(root.table("scale")),
        units=_units(root.table("unit")),
        status=_status(root.table("status")),
        commands=_commands(root.table("command")) if root.has("command") else None,
        identification=_identification(root.table("identity")) if root.has("identity") else None,
    )
    root.text("source")
    values.end()
    root.end()
    _check_places(parsed)
    return parsed


# ---------------------------------------------------------------- the parts


def _field(table: Table) -> Field:
    bit = table.number("bit", 0, _WORD_BITS - 1)
    return Field(
        address=table.number("address", 0, _ADDRESS_MAX),
        bit=bit,
        width=table.number("width", 1, _WORD_BITS - bit, default=1),
    )


def _flag(table: Table) -> Flag:
    field = _field(table)
    most = (1 << field.width) - 1
    flag = Flag(field, table.numbers("equals", 0, most, default=(1,)))
    table.end()
    return flag


def _value(table: Table, order: Order) -> Value:
    kind = table.choice("type", Kind)
    value = Value(
        address=table.number("address", 0, _ADDRESS_MAX),
        kind=kind,
        order=table.choice("word_order", Order, order),
        limit=table.number("limit", 1, 1 << 31, default=0) or None,
        negative=_flag(table.table("negative")) if kind is Kind.SIGN_FLAG else None,
    )
    table.end()
    return value


def _scaling(table: Table) -> Scaling:
    if table.has("decimals"):
        scaling = Scaling(fixed=table.number("decimals", 0, _DECIMALS_MAX))
    else:
        field = table.table("field")
        scaling = Scaling(field=_field(field), steps=table.steps("steps"))
        field.end()
    table.end()
    return scaling


def _units(table: Table) -> Units:
    names = table.texts("names")
    units = Units(names)
    if table.has("field"):
        field = table.table("field")
        units = Units(names, _field(field))
        field.end()
    elif len(names) != 1:
        raise table.wrong("names", f"{len(names)} names and no field that tells which")
    table.end()
    return units


def _status(table: Table) -> Status:
    missing = [name for name in ("net", "overload", "fault") if not table.has(name)]
    if not table.has("stable") and not table.has("moving"):
        missing.insert(0, "stable or moving")
    if missing:
        raise table.wrong(", ".join(missing), "status bit is missing")
    faults = table.table("fault")
    status = Status(
        moving=_optional(table, "moving"),
        stable=_optional(table, "stable"),
        net=_flag(table.table("net")),
        overload=_flag(table.table("overload")),
        underload=_optional(table, "underload"),
        faults=tuple((name, _flag(faults.table(name))) for name in faults.names()),
    )
    if not status.faults:
        raise table.wrong("fault", "status bit is missing")
    faults.end()
    table.end()
    return status


def _optional(table: Table, key: str) -> Flag | None:
    return _flag(table.table(key)) if table.has(key) else None


def _commands(table: Table) -> Commands:
    handshake = table.choice("handshake", Handshake)
    address = table.number("address", 0, _ADDRESS_MAX)
    codes = table.table("codes")
    toggle = handshake is Handshake.TOGGLE_BIT
    register = handshake is Handshake.COMMAND_REGISTER
    commands = Commands(
        function=table.one_of("write_function", (WRITE_ONE, WRITE_MANY)),
        address=address,
        handshake=handshake,
        codes={name: codes.number(name, 1, _ADDRESS_MAX) for name in _COMMANDS if codes.has(name)},
        idle=table.number("idle", 0, _ADDRESS_MAX, default=0),
        done=_flag(table.table("done")) if toggle else None,
        accepted=_flag(table.table("accepted")) if toggle and table.has("accepted") else None,
        reply_address=table.number("reply_address", 0, _ADDRESS_MAX, default=address)
        if register
        else address,
        reply=table.choice("reply", Reply) if register else Reply.IDLE,
        gross_toggles=table.truth("gross_toggles", default=False),
    )
    codes.end()
    table.end()
    return commands


def _identification(table: Table) -> Identification:
    address = table.number("address", 0, _ADDRESS_MAX)
    count = table.number("count", 1, READ_MAX)
    last = address + count - 1
    places = {
        key: table.number(key, address, last) if table.has(key) else None
        for key in ("model", "serial", "firmware")
    }
    table.end()
    return Identification(address, count, **places)


# ---------------------------------------------------------------- the whole


def _bits(address: int, bit: int, width: int) -> set[tuple[int, int]]:
    return {(address, each) for each in range(bit, bit + width)}


def _flags(it: RegisterMap) -> Iterator[tuple[str, Flag]]:
    """Yield every flag that is read in the block, by its key."""
    status = it.status
    for name, flag in (
        ("moving", status.moving),
        ("stable", status.stable),
        ("net", status.net),
        ("overload", status.overload),
        ("underload", status.underload),
    ):
        if flag is not None:
            yield f"status.{name}", flag
    for name, fault in status.faults:
        yield f"status.fault.{name}", fault
    for name, value in (("net", it.net), ("gross", it.gross)):
        if value.negative is not None:
            yield f"values.{name}.negative", value.negative
    if it.commands is not None:
        for name, flag in (("done", it.commands.done), ("accepted", it.commands.accepted)):
            if flag is not None:
                yield f"command.{name}", flag


def _spans(it: RegisterMap) -> Iterator[tuple[str, str, set[tuple[int, int]]]]:
    """Yield the key, the place in words and the bits of everything that is no flag."""
    for name, value in (("net", it.net), ("gross", it.gross)):
        last = value.address + value.kind.registers - 1
        words = f"registers {value.address} to {last}"
        yield f"values.{name}", words, _bits(value.address, 0, _WORD_BITS) | _bits(last, 0, 16)
    for key, field in (("scale.field", it.scaling.field), ("unit.field", it.units.field)):
        if field is not None:
            yield key, str(field), _bits(field.address, field.bit, field.width)


def _check_places(it: RegisterMap) -> None:
    """Refuse what lies outside of the block, and two things in the same bits."""
    block = f"registers {it.address} to {it.address + it.count - 1}"
    inside = set().union(*(_bits(it.address + n, 0, _WORD_BITS) for n in range(it.count)))
    taken: list[tuple[str, str, set[tuple[int, int]], Flag | None]] = []
    places = [(key, words, bits, None) for key, words, bits in _spans(it)]
    flags = [(key, str(flag.field), _span(flag), flag) for key, flag in _flags(it)]
    for key, words, bits, flag in (*places, *flags):
        if not bits <= inside:
            raise ValueError(f"map {it.name}: {key}: {words} is outside of the block, {block}")
        for other, there, others, rival in taken:
            if bits & others and not _share(flag, rival):
                raise ValueError(f"map {it.name}: {key}: {words} overlaps {other}, {there}")
        taken.append((key, words, bits, flag))
    if it.framing is Framing.RTU and len(it.counts) < 3:  # noqa: PLR2004 - see drivers.modbus.link
        raise ValueError(
            f"map {it.name}: block.longest: {it.longest} leaves {len(it.counts)} lengths of a"
            f" read, RTU needs 3 to tell a late answer from the awaited one"
        )


def _span(flag: Flag) -> set[tuple[int, int]]:
    return _bits(flag.field.address, flag.field.bit, flag.field.width)


def _share(one: Flag | None, other: Flag | None) -> bool:
    """Whether two flags are different numbers of one and the same field."""
    if one is None or other is None:
        return False
    return one.field == other.field and not set(one.equals) & set(other.equals)
