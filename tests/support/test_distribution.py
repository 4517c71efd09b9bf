from __future__ import annotations

import os

import pytest

from .distribution import measured_as_marked


@pytest.mark.parametrize(("marks", "within"), [(["no_cover"], None), ([], "given")])
def test_coverage_leaves_out_the_processes_of_a_test_that_it_leaves_out(
    marks: list[str], within: str | None, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COVERAGE_PROCESS_CONFIG", "given")
    for mark in marks:
        request.node.add_marker(mark)
    with measured_as_marked(request.node):
        assert os.environ.get("COVERAGE_PROCESS_CONFIG") == within
    assert os.environ["COVERAGE_PROCESS_CONFIG"] == "given"
