"""The pages keep their own rules: types as the OpenAPI documents are, the compiler, the linter, and Vitest."""

from __future__ import annotations

import pytest

from local.node import PagesMissing, find_node, run_script
from tests.brokers import missing


def test_the_pages_pass_their_own_checks() -> None:
    try:
        find_node()
    except PagesMissing as error:
        missing(str(error))
    try:
        run_script("check")
    except PagesMissing as error:
        pytest.fail(str(error))
