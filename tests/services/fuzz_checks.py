"""What Schemathesis, which loads this, holds every answer to beyond the service's own document."""

from __future__ import annotations

from typing import Any

import schemathesis

UNREADY = ("/readyz", "/health")  # 503 is what they are for


@schemathesis.check
def refusals_are_problems(ctx: Any, response: Any, case: Any) -> None:
    """A 4xx says what is wrong, by field where it is a field; of 5xx only 503 is honest, and it says when to return."""
    status, kind = response.status_code, (response.headers.get("content-type") or [""])[0]
    if status < 400 or (status == 503 and case.operation.path in UNREADY):
        return
    assert kind == "application/problem+json", f"{status} as {kind}"
    problem = response.json()
    assert problem["error"], "no `error` for those who read the older answers"
    assert problem["status"] == status
    if status >= 500:
        assert status == 503 and response.headers.get("retry-after"), f"{status}: {problem['detail']}"
    if problem["code"] == "invalid_request":
        assert problem.get("errors"), f"no field is named: {problem['detail']}"
        assert all(each["message"] and each["code"] for each in problem["errors"])
