"""The pages keep their own rules: types as the OpenAPI documents are, the compiler, the linter, and Vitest."""

from __future__ import annotations

import re

import pytest

from local.node import PagesMissing, find_node, run_script
from monitoring_service.alarms import INCIDENTS
from monitoring_service.remedies import REMEDIES
from tests.brokers import missing
from tests.house.tree import read

ALARMS = "frontend/src/live/alarms.ts"


def test_the_pages_pass_their_own_checks() -> None:
    try:
        find_node()
    except PagesMissing as error:
        missing(str(error))
    try:
        run_script("check")
    except PagesMissing as error:
        pytest.fail(str(error))


def in_braces(name: str) -> str:
    """What stands between the brackets of a constant there."""
    found = re.search(rf"const {name}\b[^\n]* = (?:new Set\()?[{{\[](.*?)[}}\]]\)?;\n", read(ALARMS), re.DOTALL)
    assert found, name
    return found.group(1)


def test_the_pages_have_a_title_for_each_alarm_and_for_nothing_else() -> None:
    titles = re.findall(r"^  (\w+): \(", in_braces("TITLES"), re.MULTILINE)
    assert sorted(titles) == sorted(REMEDIES)
    over = {alarm for alarm, _ in INCIDENTS.values()}
    mild, lasting = (set(re.findall(r'"(\w+)"', in_braces(name))) for name in ("MILD", "LASTING"))
    assert mild < set(REMEDIES) - over
    assert lasting < over
