"""`make openapi`: the OpenAPI document of every service of ours, with API.md and the pages' types told from them.

`--check` writes nothing and fails where a file is not what the code says.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from typing import Any

from booking_queue.settings import Settings
from local.env import FOLDERS, PORTS
from local.node import run_script
from local.paths import ROOT

FOLDER = ROOT / "docs" / "openapi"
SERVICES = ("api", "queue", "stream", "kafka-service", "monitoring")
METHODS = ("get", "post", "put", "patch", "delete")
Document = dict[str, Any]


def documents() -> dict[str, Document]:
    """By service, what its app says of itself; nothing is connected to."""
    settings = Settings()
    return {name: importlib.import_module(f"{FOLDERS[name]}.app").build(settings).openapi() for name in SERVICES}


def api_md(found: dict[str, Document]) -> str:
    lines = [
        "# The HTTP interfaces",
        "",
        "Written by `make openapi` from the code. Each service serves the same at `/docs` and `/openapi.json`;",
        "the documents are in [openapi/](openapi/). Every error is `application/problem+json`.",
        "",
        "With `AUTH=required` a request needs a key with the scope that is named. With `*` it may be a tenant's, which",
        "is shown its own. What has no scope needs no key.",
    ]
    for name, document in found.items():
        lines += ["", f"## {name}: port {PORTS[name][1]}", ""]
        lines += ["| Request | What it does | Body | Answers | Scope |", "|---|---|---|---|---|", *_rows(document)]
    return "\n".join(lines) + "\n"


def _rows(document: Document) -> Iterator[str]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                told = item[method]
                about = (
                    (told.get("description") or told.get("summary") or "")
                    .split("\n\n")[0]
                    .replace("\n", " ")
                    .replace("|", "\\|")
                )
                answers = ", ".join(code for code in told.get("responses", {}) if code.isdecimal())
                request = f"`{method.upper()} {path}`{_query(told)}"
                yield f"| {request} | {about} | {_body(told)} | {answers} | {_scope(told)} |".replace("  ", " ")


def _scope(told: Document) -> str:
    (scope,) = told["security"][0]["apiKey"] if "security" in told else ("",)
    return f"{scope} *" if told.get("x-tenants") else scope


def _query(told: Document) -> str:
    names = [parameter["name"] for parameter in told.get("parameters", []) if parameter["in"] == "query"]
    return f" ?{', '.join(names)}" if names else ""


def _body(told: Document) -> str:
    content = told.get("requestBody", {}).get("content", {})
    names = {_schema(kind.get("schema", {})) for kind in content.values()}
    return ", ".join(sorted(filter(None, names)))


def _schema(schema: Document) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[-1])
    if schema.get("type") == "array":
        return f"list of {_schema(schema.get('items', {})) or 'objects'}"
    return str(schema.get("title") or schema.get("type") or "")


def files() -> dict[str, str]:
    """By path from the root, the text that belongs there."""
    found = documents()
    texts = {f"docs/openapi/{name}.json": json.dumps(document, indent=1) + "\n" for name, document in found.items()}
    return {**texts, "docs/API.md": api_md(found)}


def main() -> None:
    wanted = files()
    if "--check" in sys.argv[1:]:
        stale = [path for path, text in wanted.items() if not _same(path, text)]
        sys.exit(f"not what the code says, `make openapi` writes them: {', '.join(stale)}" if stale else 0)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path, text in wanted.items():
        (ROOT / path).write_text(text)
        print(path)
    run_script("types")


def _same(path: str, text: str) -> bool:
    file = ROOT / path
    return file.exists() and file.read_text() == text


if __name__ == "__main__":
    main()
