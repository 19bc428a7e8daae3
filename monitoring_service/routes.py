"""What the monitoring service answers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from booking_queue.clock import now_ms
from booking_queue.web.replies import JsonResponse
from monitoring_service import snapshot, views
from monitoring_service.answers import (
    DashboardAnswer,
    HistoryAnswer,
)
from monitoring_service.board import Board
from monitoring_service.chart import chart
from monitoring_service.view_answers import KafkaAnswer, RqAnswer, ServicesAnswer, StreamsAnswer
from monitoring_service.views import Views

DAY_SECONDS = 86_400
MOST_POINTS = 1000  # bounds how long one answer keeps the process busy
FARTHEST_MS = 2**53


def board_of(request: Request) -> Board:
    board: Board = request.state.board
    return board


def views_of(request: Request) -> Views:
    found: Views = request.state.views
    return found


TheBoard = Annotated[Board, Depends(board_of)]
TheViews = Annotated[Views, Depends(views_of)]

router = APIRouter(tags=["monitoring"])


@router.get("/dashboard", response_model=DashboardAnswer)
async def dashboard(request: Request, board: TheBoard, accept: Annotated[str, Header()] = "") -> Response:
    """Everything at a glance. A browser is sent on to the pages."""
    if "text/html" in accept and "application/json" not in accept:
        pages = board.settings.frontend_url.rstrip("/") + "/"
        if request.url.hostname == "localhost":  # where a session that it has is: a cookie is of one name
            pages = pages.replace("//127.0.0.1", "//localhost", 1)
        return RedirectResponse(pages, 307)
    return JsonResponse(snapshot.dashboard(board))


@router.get("/history", response_model=HistoryAnswer)
async def history(
    board: TheBoard,
    since: Annotated[int | None, Query(alias="from", ge=0, le=FARTHEST_MS, description="ms since 1970")] = None,
    step: Annotated[float, Query(ge=0, le=DAY_SECONDS, description="seconds a point; 0: as fine as there is")] = 0,
    seconds: Annotated[int, Query(ge=1, le=DAY_SECONDS, description="without `from`")] = 600,
    points: Annotated[int, Query(ge=2, le=MOST_POINTS)] = 300,
) -> Response:
    """A day in columns: `times` (ms) and a list of values a series. Kept: each second for 15 minutes, each ten seconds
    for 24 hours. Longer steps are taken where more than `points` would come of it (1,000 if `step` is given).
    Percentiles are of all that ended in a step; null is what is not known."""
    since_ms = now_ms() - seconds * 1000 if since is None else since
    return JsonResponse(chart(board.tiers, since_ms, step, MOST_POINTS if step else points))


@router.get("/queue/rq", response_model=RqAnswer)
@router.get("/queue/bullmq", name="queue_bullmq", response_model=RqAnswer)
async def queue_rq(of: TheViews) -> Response:
    """The first ten jobs in each state. `/queue/bullmq` is its older name."""
    return JsonResponse(await views.rq(of))


@router.get("/queue/streams", response_model=StreamsAnswer)
async def queue_streams(of: TheViews) -> Response:
    """The newest entries, and those delivered and not finished: [id, consumer, idle ms, deliveries]."""
    return JsonResponse(await views.streams(of))


@router.get("/queue/kafka", response_model=KafkaAnswer)
async def queue_kafka(of: TheViews) -> Response:
    """Partitions with their offsets and lag."""
    return JsonResponse(await views.kafka(of))


@router.get("/services/health", response_model=ServicesAnswer)
async def services_health(of: TheViews) -> Response:
    """Whether each service and each worker replica answers within two seconds."""
    return JsonResponse(await views.services(of))
