"""What the monitoring service answers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from booking_queue.clock import iso, now_ms
from booking_queue.web.replies import JsonResponse
from monitoring_service import snapshot
from monitoring_service.board import Board
from monitoring_service.chart import chart
from monitoring_service.views import EMPTY_KAFKA, EMPTY_RQ, EMPTY_STREAMS, Views, shown

DAY_SECONDS = 86_400
MOST_POINTS = 1000  # bounds how long one answer keeps the process busy
FARTHEST_MS = 2**53


def board_of(request: Request) -> Board:
    board: Board = request.state.board
    return board


def views_of(request: Request) -> Views:
    views: Views = request.state.views
    return views


TheBoard = Annotated[Board, Depends(board_of)]
TheViews = Annotated[Views, Depends(views_of)]

router = APIRouter(tags=["monitoring"])


@router.get("/dashboard")
async def dashboard(board: TheBoard, accept: Annotated[str, Header()] = "") -> Response:
    """Everything at a glance. A browser is sent on to the pages."""
    if "text/html" in accept and "application/json" not in accept:
        return RedirectResponse(board.settings.frontend_url.rstrip("/") + "/", 307)
    return JsonResponse(snapshot.dashboard(board))


@router.get("/history")
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


@router.get("/queue/rq")
@router.get("/queue/bullmq", name="queue_bullmq")
async def queue_rq(views: TheViews) -> dict[str, Any]:
    """The first ten jobs in each state."""
    return await shown(views.rq, EMPTY_RQ)


@router.get("/queue/streams")
async def queue_streams(views: TheViews) -> dict[str, Any]:
    """The newest entries, and those delivered and not finished: [id, consumer, idle ms, deliveries]."""
    return await shown(views.streams, EMPTY_STREAMS)


@router.get("/queue/kafka")
async def queue_kafka(views: TheViews) -> dict[str, Any]:
    """Partitions with their offsets and lag."""
    return await shown(views.kafka, EMPTY_KAFKA)


@router.get("/services/health")
async def services_health(views: TheViews) -> Response:
    """Whether each service and each worker replica answers within two seconds."""
    await views.services.recent()
    unknown = {"timestamp": iso(now_ms()), "services": [], **views.services.staleness()}
    return JsonResponse(views.services.value or unknown)
