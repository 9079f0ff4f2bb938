"""Reads the tables of a map file key by key; every mistake is a ValueError with map and key."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TypeVar

_E = TypeVar("_E", bound=StrEnum)


class Table:
    """One table of a map file. `end` refuses keys that nobody asked for."""

    def __init__(self, name: str, path: str, content: Mapping[str, object]) -> None:
        self._name = name
        self._path = path
        self._content = content
        self._asked: set[str] = set()

    def wrong(self, key: str, text: str) -> ValueError:
        """Return the error about a key."""
        return ValueError(f"map {self._name}: {self._path}{key}: {text}")

    def has(self, key: str) -> bool:
        """Whether the key is there."""
        return key in self._content

    def names(self) -> tuple[str, ...]:
        """Return all keys."""
        return tuple(self._content)

    def end(self) -> None:
        """Refuse what was not asked for."""
        unknown = [key for key in self._content if key not in self._asked]
        if unknown:
            raise self.wrong(unknown[0], f"is not known; known here are {sorted(self._asked)}")

    def _get(self, key: str) -> object:
        self._asked.add(key)
        if key not in self._content:
            raise self.wrong(key, "is missing")
        return self._content[key]

    def table(self, key: str) -> "Table":
        """Return a table inside this one."""
        value = self._get(key)
        if not isinstance(value, dict):
            raise self.wrong(key, f"a table was expected, not {value!r}")
        return Table(self._name, f"{self._path}{key}.", value)

    def number(self, key: str, least: int, most: int, *, default: int | None = None) -> int:
        """Return a whole number between two bounds."""
        self._asked.add(key)
        if default is not None and key not in self._content:
            return default
        return self._whole(key, self._get(key), least, most)

    def _whole(self, key: str, value: object, least: int, most: int) -> int:
        if type(value) is not int or not least <= value <= most:
            raise self.wrong(key, f"a whole number {least} to {most} was expected, not {value!r}")
        return value

    def one_of(self, key: str, numbers: tuple[int, ...]) -> int:
        """Return one of some numbers."""
        value = self._get(key)
        if type(value) is not int or value not in numbers:
            raise self.wrong(key, f"one of {list(numbers)} was expected, not {value!r}")
        return value

    def numbers(
        self, key: str, least: int, most: int, *, default: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Return whole numbers between two bounds, at least one."""
        self._asked.add(key)
        if key not in self._content:
            return default
        return tuple(self._whole(key, each, least, most) for each in self._list(key))

    def _list(self, key: str) -> list[object]:
        value = self._get(key)
        if not isinstance(value, list) or not value:
            raise self.wrong(key, f"a list was expected, not {value!r}")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text."""
        self._asked.add(key)
        if default is not None and key not in self._content:
            return default
        value = self._get(key)
        if not isinstance(value, str):
            raise self.wrong(key, f"a text was expected, not {value!r}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return texts, at least one, none of them empty."""
        texts = []
        for each in self._list(key):
            if not isinstance(each, str) or not each:
                raise self.wrong(key, f"a text was expected, not {each!r}")
            texts.append(each)
        return tuple(texts)

    def truth(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        self._asked.add(key)
        value = self._content.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, f"true or false was expected, not {value!r}")
        return value

    def choice(self, key: str, names: type[_E], default: _E | None = None) -> _E:
        """Return a name out of several."""
        text = self.text(key, None if default is None else default.value)
        try:
            return names(text)
        except ValueError as error:
            known = ", ".join(names)
            raise self.wrong(key, f"{text!r} is not one of {known}") from error

    def steps(self, key: str) -> tuple[Decimal, ...]:
        """Return numbers above 0 that were written as texts; none when the key is absent."""
        self._asked.add(key)
        if key not in self._content:
            return ()
        steps = []
        for text in self.texts(key):
            try:
                step = Decimal(text)
            except InvalidOperation:
                step = Decimal(0)
            if not step.is_finite() or step <= 0:
                raise self.wrong(key, f"a number above 0 was expected, not {text!r}")
            steps.append(step)
        return tuple(steps)
