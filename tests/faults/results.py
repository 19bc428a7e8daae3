"""What the trials of a run showed, for the report."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.faults.checker import Verdict


@dataclass(frozen=True)
class Trial:
    """`fault` as a reader is told of it; `notes` are figures that only this trial has. What was not `promised` is told
    as it was found."""

    fault: str
    verdict: Verdict
    notes: str = ""
    promised: bool = True


@dataclass(frozen=True)
class Caught:
    """A planted bug, and the checks that turned red for it."""

    bug: str
    checks: tuple[str, ...]
    example: str


@dataclass
class Results:
    trials: list[Trial] = field(default_factory=list)
    caught: list[Caught] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what no table has a place for

    def add(self, fault: str, verdict: Verdict, notes: str = "") -> None:
        """Noted whatever it is, so that a report can show a promise that was not kept; then held to its promises."""
        self.trials.append(Trial(fault, verdict, notes))
        assert not verdict.wrong, f"{fault}\n{verdict}"

    def tell(self, fault: str, verdict: Verdict, notes: str = "") -> None:
        """Of what nobody promised."""
        self.trials.append(Trial(fault, verdict, notes, promised=False))
