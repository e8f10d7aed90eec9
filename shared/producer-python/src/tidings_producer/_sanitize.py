"""What a catalog's ``text`` and ``unknown`` make of a rendered message, exactly as the projector does before it checks the schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional, Union

#: What makes markup of a ``<`` before it, and that ``<``.
_BEGINS = re.compile(r"[A-Za-z/!?]")
_MARKUP = re.compile(r"<(?=[A-Za-z/!?])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
#: Where a browser goes instead of an address that it would run.
_NOWHERE = "about:blank"
_SCHEMES = {"http", "https", "mailto", "tel"}

Step = Optional[Union[str, int]]
_Rules = Sequence[tuple[Sequence[Step], str]]


def sanitized(sanitizer: Mapping[str, Any], message: Any) -> Any:
    """Returns the message as the catalog has it; what is given stays as it is."""
    kept = _keep(message, sanitizer["known"]) if "known" in sanitizer else message
    members = sanitizer.get("members", [])
    if "text" not in sanitizer and not members:
        return kept
    rules = [([path["root"], *path["steps"]], rule) for path, rule in members]
    return _clean(kept, sanitizer.get("text", "raw"), rules)


def _keep(value: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_keep(element, known["elements"]) for element in value] if "elements" in known else value
    if not isinstance(value, dict) or "members" not in known:
        return value
    members = known["members"]
    return {name: _keep(member, members[name]) for name, member in value.items() if name in members}


def _clean(value: Any, inherited: str, rules: _Rules) -> Any:
    """Cleans a value, and what is inside by the rules that lead there. Names of members count as text."""
    rule = next((rule for steps, rule in rules if not steps), inherited)

    def inside(is_next: Callable[[Step], bool]) -> _Rules:
        return [(steps[1:], next_rule) for steps, next_rule in rules if steps and is_next(steps[0])]

    if isinstance(value, str):
        return clean_text(value, rule)
    if isinstance(value, list):
        return [
            _clean(element, rule, inside(lambda step, index=index: step is None or step == index))  # type: ignore[misc]
            for index, element in enumerate(value)
        ]
    if not isinstance(value, dict):
        return value
    members: dict[str, Any] = {}
    for name, member in value.items():
        cleaned = clean_text(name, "plain" if rule == "url" else rule)
        # Where two names become the same, the first counts.
        if cleaned not in members:
            members[cleaned] = _clean(member, rule, inside(lambda step, name=name: step == name))  # type: ignore[misc]
    return members


def clean_text(text: str, rule: str) -> str:
    """Returns the text as the rule permits it."""
    if rule == "raw":
        return text
    plain = _without_markup(text)
    if rule == "plain":
        return plain
    found = _SCHEME.match(_CONTROL.sub("", plain).lstrip())
    return plain if found is None or found[1].lower() in _SCHEMES else _NOWHERE


def _without_markup(text: str) -> str:
    """Removes markup up to its ``>``. A ``<`` that nothing closes stays, with a space behind it, which makes it text."""
    last_end = text.rfind(">")
    pieces: list[str] = []
    start = 0

    def push(piece: str) -> None:
        if piece and pieces and pieces[-1].endswith("<") and _BEGINS.match(piece):
            pieces.append(" ")
        if piece:
            pieces.append(piece)

    while (found := _MARKUP.search(text, start)) is not None:
        at = found.start()
        push(text[start:at])
        if at < last_end:
            start = text.index(">", at) + 1
        else:
            pieces.append("< ")
            start = at + 1
    push(text[start:])
    return "".join(pieces)
