"""Errors as RFC 9457 problem documents: the one table from domain errors to HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from uuid import UUID

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import Send
from msgspec import UNSET, UnsetType
from structlog.contextvars import get_contextvars

from shared import errors
from shared.errors import FieldError
from shared.store.pool import CONNECTION_LOST as POSTGRES_LOST

STATUS: dict[type[Exception], HTTPStatus] = {  # the nearest base class wins; the rest is our bug: 500
    errors.Malformed: HTTPStatus.BAD_REQUEST,
    errors.TooSlow: HTTPStatus.REQUEST_TIMEOUT,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.PreconditionFailed: HTTPStatus.PRECONDITION_FAILED,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.QuotaExceeded: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidSchedule: HTTPStatus.UNPROCESSABLE_ENTITY,
}
_CODES = {
    HTTPStatus.NOT_FOUND: "route_not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body_too_large",
}
_RETRY_AFTER = "2"
_LONGEST_SHOWN = 500

log = structlog.get_logger()


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every error."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldError] = []
    existing_id: UUID | UnsetType = UNSET
    """Of the event that is in the way of another one with its `external_id`."""


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Answer an exception that a handler, a guard or the router raised."""
    request_id = str(get_contextvars().get("request_id", ""))
    match error:
        case errors.QhronosError():
            status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), None)
            if status is not None:
                response = answer(status, str(error), error.code, request_id, fields=_fields(error))
                if isinstance(error, errors.TooSlow):
                    response.headers["connection"] = "close"  # the rest of the body will not be read
                if isinstance(error, errors.QuotaExceeded):
                    response.headers["retry-after"] = str(error.retry_after)
                if isinstance(error, errors.AlreadyExists):
                    response.content = msgspec.structs.replace(response.content, existing_id=error.existing_id or UNSET)
                return response
        case _ if isinstance(error, POSTGRES_LOST):
            log.warning("postgres.unreachable", error=str(error).strip())
            return unavailable("PostgreSQL is out of reach.", request_id)
        case HTTPException():
            status = HTTPStatus(error.status_code)
            if status < HTTPStatus.INTERNAL_SERVER_ERROR:
                detail = f"{status.phrase}: {request.method} {request.url.path[:_LONGEST_SHOWN]}"
                if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                    detail += "; a body may have 1 MiB"
                return answer(
                    status, detail, _CODES.get(status, "malformed_request"), request_id, headers=error.headers
                )
        case _:
            pass
    log.error("request.crashed", exc_info=error)
    return answer(HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed; the request id helps to find out why.",
                  "internal_error", request_id)  # fmt: skip


def answer(
    status: HTTPStatus,
    detail: str,
    code: str,
    request_id: str,
    *,
    fields: list[FieldError] | None = None,
    headers: dict[str, str] | None = None,
) -> Response[Problem]:
    """Return a problem document."""
    more = {"www-authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
    return Response(
        Problem(
            title=status.phrase,
            status=status,
            detail=detail,
            code=code,
            request_id=request_id,
            errors=fields or [],
        ),
        status_code=status.value,
        media_type="application/problem+json",
        headers={**(headers or {}), **more},
    )


def malformed(detail: str, request_id: str) -> Response[Problem]:
    """Return a 400 for a request that cannot be read."""
    return answer(HTTPStatus.BAD_REQUEST, detail, errors.Malformed.code, request_id)


def unavailable(detail: str, request_id: str) -> Response[Problem]:
    """Return a 503 that asks to try again soon."""
    return answer(
        HTTPStatus.SERVICE_UNAVAILABLE, detail, "unavailable", request_id, headers={"retry-after": _RETRY_AFTER}
    )


async def send(response: Response[Problem], send: Send) -> None:
    """Answer with a problem document outside of the framework."""
    fields = {**response.headers, "content-type": "application/problem+json"}
    headers = [(name.encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": response.status_code or 500, "headers": headers})
    await send({"type": "http.response.body", "body": msgspec.json.encode(response.content), "more_body": False})


def _fields(error: errors.QhronosError) -> list[FieldError]:
    match error:
        case errors.Invalid() | errors.AlreadyExists() | errors.Forbidden() | errors.QuotaExceeded():
            return error.errors
        case errors.InvalidSchedule():
            return [error.at("/schedule")]
        case _:
            return []
