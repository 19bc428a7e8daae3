"""What the ledger should know, by the rules of ARCHITECTURE.md: no Redis, no Lua, no clock."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from booking_queue.domain.job import Backend, State

RESTING = {State.COMPLETED, State.DEAD, State.CANCELLED, State.CANCELLING}  # nobody starts these
TENANT = "acme"


@dataclass
class Leg:
    state: State = State.PENDING
    generation: int = 1
    owner: str | None = None  # the token that may change it
    live: bool = False  # its lease has not ended
    starts: int = 0
    attempts: int = 0
    redrives: int = 0
    unsent: bool = True  # in the outbox
    letter: bool = False  # in the inbox of dead letters
    completed_by: str | None = None  # who asks again is told that it worked

    @property
    def open(self) -> bool:
        return not self.state.terminal

    def may_start(self, generation: int) -> bool:
        return generation == self.generation and self.state not in RESTING and not self.live

    def start(self, token: str) -> None:
        self.state, self.owner, self.live, self.unsent = State.ACTIVE, token, True, False
        self.starts += 1

    def rest(self, state: State) -> None:
        self.state, self.owner, self.live = state, None, False

    def retry(self) -> None:
        self.rest(State.RETRYING)
        self.generation, self.attempts, self.starts, self.unsent = self.generation + 1, self.attempts + 1, 0, True

    def start_over(self) -> None:
        self.state, self.starts, self.attempts, self.unsent, self.letter = State.PENDING, 0, 0, True, False
        self.generation, self.redrives = self.generation + 1, self.redrives + 1


class Debt(Enum):
    """Of one round of effects: what was taken for a booking that is not to be."""

    NONE = auto()
    OWED = auto()
    PAID = auto()


@dataclass
class Job:
    id: str
    legs: dict[Backend, Leg]
    type: str = "booking"
    data: dict[str, Any] = field(default_factory=dict)
    cancel: str = ""
    round: int = 1
    tried: dict[str, tuple[Backend, str]] = field(default_factory=dict)  # effects, by who has them in hand
    done: set[str] = field(default_factory=set)
    debt: Debt = Debt.NONE
    untold: bool = False  # it is paid, and the guest does not know yet
    failures: int = 0  # to pay

    @property
    def over(self) -> bool:
        return all(leg.state.terminal for leg in self.legs.values())

    @property
    def confirmed(self) -> bool:
        return self.type == "booking" and "inventory" in self.done

    @property
    def owing(self) -> bool:
        """A compensator has still to do with it: it stands in one of two lines."""
        return self.debt is Debt.OWED or self.untold

    def owned(self, backend: Backend, token: str) -> Leg | None:
        leg = self.legs[backend]
        return leg if leg.state is State.ACTIVE and leg.owner == token else None

    def held_by_another(self, step: str, us: tuple[Backend, str]) -> bool:
        holder = self.tried.get(step)
        if holder is None or step in self.done or holder == us:
            return False
        leg = self.owned(*holder)
        return leg is not None and leg.live

    def end(self, leg: Leg, state: State) -> None:
        leg.rest(state)
        leg.letter = state is State.DEAD
        if self.over and not self.cancel and self.type == "booking" and "payment" in self.tried and not self.confirmed:
            self.debt = Debt.OWED

    def call_off(self) -> str:
        """-> how it is answered."""
        if self.cancel:
            return "over" if self.cancel == "cancelled" else "cancelling"
        if self.over and not self.confirmed:
            return "over"
        self.cancel = "cancelling"
        for leg in self.legs.values():
            if leg.state not in RESTING:
                leg.rest(State.CANCELLING)
                leg.unsent = False
        self.debt = Debt.OWED
        return self.cancel

    def _called_off(self) -> None:
        self.cancel = "cancelled"
        for leg in self.legs.values():
            if leg.state is State.CANCELLING:
                leg.rest(State.CANCELLED)

    def pay(self, round_: int, untold: bool) -> bool:
        if round_ != self.round or self.debt is not Debt.OWED:
            return False
        self.debt, self.untold = Debt.PAID, untold
        if self.cancel:
            self._called_off()
        return True

    def why_dead(self, backend: Backend, to: Backend, edited: bool) -> set[str]:
        """What speaks against a redrive; any of it may be what is told."""
        leg, there = self.legs[backend], self.legs.get(to)
        against = {leg.state.value} - {"dead"}
        if leg.state is State.DEAD and not leg.letter:
            against.add("moved or discarded")
        if self.cancel:
            against.add(self.cancel)
        if self.debt is Debt.OWED:
            against.add("compensating")
        if there and there.state is not State.DEAD:
            against.add(there.state.value if to is backend else f"{there.state.value} on {to}")
        if edited and any(each.state is not State.DEAD for each in self.legs.values()):
            against.add("not to be edited")
        return against

    def redrive(self, backend: Backend, to: Backend) -> int:
        """-> the generation that is to be published."""
        if self.debt is Debt.PAID:  # what was given back is done anew
            self.round, self.debt, self.untold, self.failures = self.round + 1, Debt.NONE, False, 0
            self.tried.clear()
            self.done.clear()
        self.legs[backend].letter = False
        leg = self.legs.setdefault(to, Leg(generation=0))
        leg.start_over()
        return leg.generation

    def told(self) -> dict[str, Any]:
        """`kept`: a record ends once nothing is left to do."""
        return {
            "type": self.type,
            "data": self.data,
            "round": self.round,
            "cancel": self.cancel,
            "done": self.done | ({"compensation"} if self.debt is Debt.PAID else set()),
            "kept": not self.over or self.owing,
            "legs": {
                backend: (leg.state, leg.generation, leg.starts, leg.attempts, leg.redrives)
                for backend, leg in self.legs.items()
            },
        }


def lists(jobs: Collection[Job]) -> dict[str, set[str]]:
    """The ledger's sets, with the jobs in each."""

    def where(backend: Backend, holds: Callable[[Leg], bool]) -> set[str]:
        return {job.id for job in jobs if backend in job.legs and holds(job.legs[backend])}

    found = {
        f"outstanding:{TENANT}": {job.id for job in jobs if not job.over},
        "compensations": {job.id for job in jobs if job.debt is Debt.OWED},
        "untold": {job.id for job in jobs if job.untold},
    }
    for backend in Backend:
        dead = where(backend, lambda leg: leg.letter)
        found |= {f"index:dead:{backend}": dead, f"index:tenant:{TENANT}:dead:{backend}": dead}
        found[f"open:{backend}"] = where(backend, lambda leg: leg.open)
        found[f"outbox:{backend}"] = where(backend, lambda leg: leg.unsent)
    return found
