"""Reads the settings; what is wrong with them is told in one line a setting, never as a traceback.

`python -m booking_queue.settings_read` only checks them.
"""

from __future__ import annotations

import os
import sys
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError

from booking_queue.settings import SecretUnreadable, Settings

Kind = TypeVar("Kind", bound=Settings)
KINDS = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}
BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
}
LONGEST = 80


def read(kind: type[Kind]) -> Kind:
    """For a process's entry: ends it where a setting cannot be used."""
    if wrong := problems(kind):
        raise SystemExit("\n".join(wrong))
    return kind()


def problems(kind: type[Settings] = Settings) -> list[str]:
    try:
        kind()
    except SecretUnreadable as error:
        return [str(error)]
    except SettingsError as error:  # its cause says where the JSON breaks off
        name = next((name.upper() for name in kind.model_fields if f'"{name}"' in str(error)), "")
        return [f"{name}={_short(os.environ.get(name))} cannot be used: it must be JSON ({error.__cause__})"]
    except ValidationError as error:
        fields = kind.model_json_schema()["properties"]
        return [_line(found, fields) for found in error.errors()]
    return []


def _line(found: ErrorDetails, fields: dict[str, Any]) -> str:
    name, *inside = map(str, found["loc"] or [""])
    own = found.get("ctx", {}).get("error")  # what a validator of ours said
    allowed = own or (not inside and _allowed(fields.get(name, {}))) or found["msg"]
    value = "" if name == "api_key" else f"={_short(found['input'])}"
    return f"{' '.join([name.upper(), *inside])}{value} cannot be used: {allowed}"


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= LONGEST else shown[:LONGEST] + "…"


def _allowed(field: dict[str, Any]) -> str:
    if choices := field.get("enum"):
        return f"it must be one of {', '.join(map(str, choices))}"
    kind = KINDS.get(str(field.get("type")))
    bounds = " and ".join(text.format(f"{field[key]:g}") for key, text in BOUNDS.items() if key in field)
    return f"it must be {kind}{', ' if bounds else ''}{bounds}" if kind else ""


if __name__ == "__main__":
    read(Settings)
    sys.exit(0)
