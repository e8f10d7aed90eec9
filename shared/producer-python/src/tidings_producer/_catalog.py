"""A catalog's checks: what the projector would reject is refused before it is sent, with the same reason and place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NoReturn

import jsonschema_rs

from ._event import PublishedEvent
from ._sanitize import sanitized
from ._template import ABSENT, Scope, Unresolved, attribute_use, find, is_same, render, texts

#: The longest message, key, id of an address, attribute's value and all of them, in bytes, and the most values of one.
_MAX_MESSAGE, _MAX_KEY, _MAX_ID, _MAX_VALUE, _MAX_ATTRIBUTES, _MAX_VALUES = 128 * 1024, 512, 512, 256, 16 * 256, 64


@dataclass(frozen=True)
class Rejection:
    """Why the projector would reject an event."""

    reason: str
    text: str
    pointer: str | None = None


class _Rejected(Exception):
    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.text)
        self.rejection = rejection


def _reject(reason: str, text: str, pointer: str | None = None) -> NoReturn:
    raise _Rejected(Rejection(reason, text, pointer))


class Catalog:
    """The checks of a tenant's catalog, which ``tidings types --lang python`` writes."""

    def __init__(self, checks: dict[str, Any]) -> None:
        self.tenant: str = checks["tenant"]
        self._by_event: dict[str, list[_Message]] = {}
        for check in checks["messages"]:
            message = _Message(check)
            for event in check["events"]:
                self._by_event.setdefault(event, []).append(message)

    @classmethod
    def parse(cls, text: str) -> Catalog:
        """Reads what is generated."""
        return cls(json.loads(text))

    def check(self, event: PublishedEvent) -> Rejection | None:
        """Returns why the projector would reject the event, if it would."""
        messages = self._by_event.get(event.name)
        if messages is None:
            text = f"the catalog of tenant {self.tenant} has no message for event {event.name}"
            return Rejection("unknown-event", text)
        entity, _, action = event.name.partition(".")
        known = {"id": event.id, "source": event.source, "entity": entity, "action": action, "time": event.time}
        scope: dict[str, Any] = {**known, "data": event.data}
        if event.subject is not None:
            scope["subject"] = event.subject
        try:
            for message in messages:
                message.check(scope)
        except _Rejected as rejected:
            return rejected.rejection
        except Unresolved as unresolved:
            return Rejection("missing-value", str(unresolved), unresolved.pointer)
        return None


class _Message:
    def __init__(self, check: dict[str, Any]) -> None:
        self._name: str = check["name"]
        self._check = check
        self._validator: Any = None

    def check(self, scope: Scope) -> None:
        """In the projector's order, which decides what is found first."""
        body = render(self._check["body"], scope)
        body = None if body is ABSENT else body
        if "sanitize" in self._check:
            body = sanitized(self._check["sanitize"], body)
        self._check_schema(body)
        self._check_length("the message", json.dumps(body, ensure_ascii=False, separators=(",", ":")), _MAX_MESSAGE)
        self._check_addresses(scope)
        key = texts(self._check["key"], scope, "name") if "key" in self._check else []
        if key:
            self._check_length("`key`", key[0], _MAX_KEY)
        self._check_attributes(scope)

    def _check_schema(self, body: Any) -> None:
        if self._validator is None:
            self._validator = jsonschema_rs.validator_for(self._check["schema"])
        try:
            self._validator.validate(body)
        except jsonschema_rs.ValidationError as error:
            pointer = "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in error.instance_path)
            text = f"message `{self._name}` at {json.dumps(pointer)}: {error.message}"
            _reject("schema-violation", text, pointer)

    def _check_addresses(self, scope: Scope) -> None:
        is_reached = False
        for to in self._check["to"]:
            if not all(_leads_to(path, scope, expected) for path, expected in to.get("when", [])):
                continue
            for one in texts(to["id"], scope, "name") if "id" in to else ["all"]:
                is_reached = True
                if not one:
                    _reject("no-address", f"the address {to['kind']}: has no id")
                if len(one.encode()) > _MAX_ID:
                    _reject("no-address", f"the id of an address {to['kind']}: has more than {_MAX_ID} bytes")
        if not is_reached:
            _reject("no-address", f"no destination of message `{self._name}` applies to this event")

    def _check_attributes(self, scope: Scope) -> None:
        total = 0
        for name, template in self._check.get("attributes", []):
            values = texts(template, scope, attribute_use(template))
            if len(values) > _MAX_VALUES:
                _reject("too-large", f"attribute `{name}` has more than {_MAX_VALUES} values")
            for value in values:
                self._check_length(f"`{name}`", value, _MAX_VALUE)
                total += len(value.encode())
        if total > _MAX_ATTRIBUTES:
            _reject("too-large", f"the attributes of message `{self._name}` are too large")

    def _check_length(self, what: str, text: str, longest: int) -> None:
        length = len(text.encode())
        if length > longest:
            _reject("too-large", f"{what} of message `{self._name}` has {length} bytes, more than {longest}")


def _leads_to(path: Any, scope: Scope, expected: Any) -> bool:
    found = find(path, scope)
    return bool(found) and is_same(found[0], expected)
