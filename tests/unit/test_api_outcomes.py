"""What becomes of a booking whose backends do strange things."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from api_service.fanout import Fanout
from api_service.link import Link, Sent
from booking_queue.domain.errors import BackendUnavailable
from booking_queue.domain.job import Backend, NewJob, State
from booking_queue.ledger.ledger import Ledger, LegRef
from booking_queue.web.client import ServiceClient

JOB = NewJob(id="a", type="booking", data={}, backends=list(Backend))


class Accepting(Ledger):
    def __init__(self) -> None:
        self.accepted: list[tuple[str, Sequence[str]]] = []

    async def accept(self, job: NewJob, indices: Sequence[str] = ()) -> int:
        self.accepted.append((job.id, indices))
        return 1


class Strange(Link):
    """Answers with what it is given: an error, an answer, or nothing ever."""

    def __init__(self, backend: Backend, answer: Exception | Sent | None):
        super().__init__(backend, ServiceClient("http://127.0.0.1:1"))
        self.answer = answer
        self.futures: list[asyncio.Future[Sent]] = []

    def submit(self, leg: LegRef) -> asyncio.Future[Sent]:
        if isinstance(self.answer, BackendUnavailable):
            raise self.answer
        future: asyncio.Future[Sent] = asyncio.get_running_loop().create_future()
        if isinstance(self.answer, Sent):
            future.set_result(self.answer)
        elif self.answer:
            future.set_exception(self.answer)
        self.futures.append(future)
        return future


async def outcome(
    answers: dict[Backend, Exception | Sent | None],
) -> tuple[dict[Backend, State], dict[Backend, Strange]]:
    links = {backend: Strange(backend, answer) for backend, answer in answers.items()}
    async with asyncio.timeout(5):
        _, sent = await Fanout(Accepting(), links, 0.05).submit(JOB, ())
    return {backend: answer.state for backend, answer in sent.items()}, links


async def test_one_that_never_answers_is_given_up_at_the_deadline() -> None:
    queued = Sent(State.QUEUED)
    states, links = await outcome({Backend.RQ: queued, Backend.STREAMS: None, Backend.KAFKA: queued})
    assert states == {Backend.RQ: State.QUEUED, Backend.STREAMS: State.PENDING, Backend.KAFKA: State.QUEUED}
    assert links[Backend.STREAMS].futures[0].cancelled(), "so that it is not sent later for nobody"


async def test_no_error_of_a_backend_fails_what_is_accepted() -> None:
    states, _ = await outcome(
        {Backend.RQ: BackendUnavailable("open"), Backend.STREAMS: RuntimeError("a bug"), Backend.KAFKA: KeyError("a")}
    )
    assert set(states.values()) == {State.PENDING}


async def test_all_given_up_at_once_waits_for_nothing() -> None:
    down = BackendUnavailable("open")
    states, _ = await outcome({Backend.RQ: down, Backend.STREAMS: down, Backend.KAFKA: down})
    assert set(states.values()) == {State.PENDING}
