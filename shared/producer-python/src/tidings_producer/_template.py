"""Templates of a catalog: they look for values in an event, exactly as the projector does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Optional

#: A path to values: ``path``, ``root``, ``steps`` (``None`` stands for every element of a list), and what is optional.
Path = Mapping[str, Any]
Scope = Mapping[str, Any]
#: What a text is for: a name makes nothing of empty text, and an attribute has a value for each element of a list.
Use = Literal["name", "attribute", "body"]


class _Absent:
    """What an optional place that finds nothing leaves."""


ABSENT = _Absent()


class Unresolved(Exception):
    """A place without a value."""

    def __init__(self, what: str, path: Path) -> None:
        super().__init__(f"{what} at {path['path']}")
        self.pointer: Optional[str] = path.get("pointer")


def _step(value: Any, step: str | int | None) -> list[Any]:
    if step is None:
        return value if isinstance(value, list) else []
    if isinstance(step, int):
        return [value[step]] if isinstance(value, list) and step < len(value) else []
    return [value[step]] if isinstance(value, dict) and step in value else []


def _may_find_nothing(path: Path) -> bool:
    return bool(path.get("optional")) or None in path["steps"]


def find(path: Path, scope: Scope) -> list[Any]:
    """Returns all values at the path: at most one, unless it goes through every element of a list."""
    found = [scope[path["root"]]] if path["root"] in scope else []
    for step in path["steps"]:
        found = [inside for value in found for inside in _step(value, step)]
    return [value for value in found if value is not None] if _may_find_nothing(path) else found


def _as_text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, (int, float)) else None


def texts(template: list[Any], scope: Scope, use: Use) -> list[str]:
    """Returns the texts that the values make: several if a path finds several, none if an optional one finds nothing."""
    made = [""]
    for piece in template:
        if isinstance(piece, str):
            made = [text + piece for text in made]
            continue
        made = [text + fill for text in made for fill in _fills(piece, scope, use)]
    return made


def _fills(path: Path, scope: Scope, use: Use) -> list[str]:
    values: list[Any] = []
    for value in find(path, scope):
        is_list = use == "attribute" and isinstance(value, list)
        values.extend([element for element in value if element is not None] if is_list else [value])
    if not values and not _may_find_nothing(path):
        raise Unresolved("there is nothing", path)
    fills = []
    for value in values:
        text = _as_text(value)
        if text is None:
            raise Unresolved("there is no text, number or boolean", path)
        fills.append(text)
    return [fill for fill in fills if fill] if _may_find_nothing(path) and use != "body" else fills


def attribute_use(template: list[Any]) -> Use:
    """Returns the use of an attribute's text: only where it has one place, each element of a list counts."""
    return "attribute" if sum(not isinstance(piece, str) for piece in template) == 1 else "name"


def render(template: Mapping[str, Any], scope: Scope) -> Any:
    """Fills every place; ``ABSENT`` if the whole is an optional one that finds nothing."""
    if "value" in template:
        return template["value"]
    if "text" in template:
        made = texts(template["text"], scope, "body")
        return made[0] if made else ABSENT
    if "place" in template:
        return _place(template["place"], scope)
    if "array" in template:
        rendered = [render(element, scope) for element in template["array"]]
        return [element for element in rendered if element is not ABSENT]
    members = {name: render(member, scope) for name, member in template["object"]}
    return {name: member for name, member in members.items() if member is not ABSENT}


def _place(path: Path, scope: Scope) -> Any:
    found = find(path, scope)
    if not found:
        if path.get("optional"):
            return ABSENT
        raise Unresolved("there is nothing", path)
    value = found[0]
    if path.get("without_nulls") and isinstance(value, dict):
        return {name: member for name, member in value.items() if member is not None}
    return value


def is_same(one: Any, other: Any) -> bool:
    """Returns whether two JSON values are the same: true is not 1, and 1.0 is."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(value, other[name]) for name, value in one.items())
    return bool(one == other)
