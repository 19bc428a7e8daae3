"""What the monitoring service answers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from booking_queue.web.replies import JsonResponse
from monitoring_service import snapshot
from monitoring_service.board import Board
from monitoring_service.history import HISTORY_SECONDS
from monitoring_service.views import EMPTY_KAFKA, EMPTY_RQ, EMPTY_STREAMS, Views, shown


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
    seconds: Annotated[int, Query(ge=1, le=HISTORY_SECONDS)] = 600,
    points: Annotated[int, Query(ge=2, le=2000)] = 300,
) -> Response:
    """The last minutes in columns: `times` (ms) and one list of values a series."""
    return JsonResponse(board.history.columns(seconds, points))


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
    return JsonResponse(views.services.value or {"services": [], **views.services.staleness()})
