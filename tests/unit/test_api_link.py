from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from api_service.budget import SPARE
from api_service.circuit import FAILURES
from api_service.link import Link, Sent
from booking_queue.domain.errors import BackendUnavailable
from booking_queue.domain.job import Backend, State
from booking_queue.ledger.ledger import LegRef
from booking_queue.web.client import Rejected, ServiceClient, Unavailable

LEGS = [LegRef("a", 1), LegRef("b", 2)]


class Peer(ServiceClient):
    """A service that answers as the test says; 4xx and 5xx as the real client tells them."""

    def __init__(self, answer: Callable[[list[dict[str, Any]]], Any]):
        super().__init__("http://127.0.0.1:1")
        self.answer = answer
        self.bodies: list[Any] = []
        self.unready: Exception | None = None

    async def get(self, path: str, params: Mapping[str, Any] | None = None, *, deadline: float | None = None) -> Any:
        assert path == "/readyz"
        if self.unready:
            raise self.unready

    async def post(self, path: str, body: Any = None, *, deadline: float | None = None) -> Any:
        assert path == "/publish"
        self.bodies.append(body)
        found = self.answer(body["legs"])
        if isinstance(found, Exception):
            raise found
        return found


def link(answer: Callable[[list[dict[str, Any]]], Any]) -> tuple[Link, Peer]:
    peer = Peer(answer)
    return Link(Backend.KAFKA, peer), peer


def answering(*states: str) -> Callable[[list[dict[str, Any]]], Any]:
    def answer(legs: list[dict[str, Any]]) -> Any:
        rows = [
            {"id": leg["id"], "state": state, "receipt": {"offset": 7} if state == "queued" else None}
            for leg, state in zip(legs, states, strict=False)
        ]
        return {"legs": rows}

    return answer


async def test_legs_go_with_their_generation_and_answers_come_in_their_order() -> None:
    rows = [{"id": "b", "state": "delayed", "receipt": None}, {"id": "a", "state": "queued", "receipt": {"x": 1}}]
    there, peer = link(lambda _: {"legs": rows})
    assert await there.send(LEGS) == [Sent(State.QUEUED, {"x": 1}), Sent(State.DELAYED)]
    assert peer.bodies == [{"legs": [{"id": "a", "generation": 1}, {"id": "b", "generation": 2}]}]


async def test_a_leg_that_is_not_answered_for_counts_as_pending() -> None:
    there, _ = link(answering("queued"))
    assert await there.send(LEGS) == [Sent(State.QUEUED, {"offset": 7}), Sent(State.PENDING)]


@pytest.mark.parametrize(
    "answer",
    [[], 7, None, {}, {"legs": 7}, {"legs": [{"id": 1}]}, {"legs": [{"id": "a", "state": "?"}]}, {"legs": ["a"]}],
)
async def test_an_answer_that_cannot_be_read_is_a_failure(answer: Any) -> None:
    there, _ = link(lambda _: answer)
    with pytest.raises(BackendUnavailable):
        await there.send(LEGS)
    assert there.circuit.failing


@pytest.mark.parametrize("error", [Unavailable("gone", 503), Rejected("what?", 404, None)])
async def test_so_is_a_refusal(error: Exception) -> None:
    there, _ = link(lambda _: error)
    with pytest.raises(BackendUnavailable):
        await there.send(LEGS)
    assert there.circuit.failing


async def test_a_service_whose_broker_takes_nothing_fails_too_one_that_takes_some_does_not() -> None:
    away, _ = link(answering("pending", "pending"))
    assert await away.send(LEGS) == [Sent(State.PENDING)] * 2
    assert away.circuit.failing
    half, _ = link(answering("pending", "queued"))
    await half.send(LEGS)
    assert not half.circuit.failing


async def test_legs_that_wait_for_their_turn_or_time_say_nothing_about_the_broker() -> None:
    def waiting(legs: list[dict[str, Any]]) -> Any:
        return {"legs": [{"id": leg["id"], "state": "pending", "receipt": None, "waits": True} for leg in legs]}

    there, peer = link(waiting)
    for _ in range(FAILURES):
        assert await there.send_again(LEGS) == [Sent(State.PENDING, waits=True)] * 2
    assert not there.circuit.failing and there.budget.left == SPARE
    peer.answer = lambda legs: {"legs": [*waiting(legs[:1])["legs"], {"id": "b", "state": "pending", "receipt": None}]}
    await there.send_again(LEGS)
    assert there.circuit.failing and there.budget.left < SPARE, "the other one was to go"
    peer.answer = waiting
    await there.send(LEGS)
    assert there.circuit.failing, "nor do they prove that it works again"


async def test_where_no_leg_would_tell_its_service_is_asked() -> None:
    there, peer = link(lambda _: Unavailable("gone"))
    for _ in range(FAILURES):
        with pytest.raises(BackendUnavailable):
            await there.send(LEGS)
    peer.unready = Unavailable("its broker is away", 503)
    with pytest.raises(BackendUnavailable):
        await there.ask()
    assert there.circuit.open
    peer.unready = None
    await there.ask()
    assert not there.circuit.failing and there.recovered.is_set()


async def test_working_again_after_a_failure_is_told_once() -> None:
    there, peer = link(lambda _: Unavailable("gone"))
    with pytest.raises(BackendUnavailable):
        await there.send(LEGS)
    assert not there.recovered.is_set()
    peer.answer = answering("queued", "queued")
    await there.send(LEGS)
    assert there.recovered.is_set()
    there.recovered.clear()
    await there.send(LEGS)
    assert not there.recovered.is_set()


async def test_while_it_is_known_to_fail_nothing_is_submitted() -> None:
    there, peer = link(lambda _: Unavailable("gone"))
    for _ in range(5):
        with pytest.raises(BackendUnavailable):
            await there.submit(LEGS[0])
    with pytest.raises(BackendUnavailable):
        there.submit(LEGS[0])
    assert len(peer.bodies) == 5


async def test_legs_of_one_moment_share_a_request() -> None:
    there, peer = link(lambda legs: answering(*["queued"] * len(legs))(legs))
    await asyncio.gather(*(there.submit(LegRef(str(n), 1)) for n in range(250)))
    assert [len(body["legs"]) for body in peer.bodies] == [100, 100, 50]
