"""The views of the test project."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path


def put(request: HttpRequest, key: str, value: str) -> HttpResponse:
    session: Any = request.session
    session[key] = value
    return HttpResponse("put")


async def aput(request: HttpRequest, key: str, value: str) -> HttpResponse:
    session: Any = request.session
    await session.aset(key, value)
    return HttpResponse("put")


def log_in(request: HttpRequest) -> HttpResponse:
    session: Any = request.session
    session.cycle_key()
    session["user"] = "u1"
    return HttpResponse("in")


def log_out(request: HttpRequest) -> HttpResponse:
    session: Any = request.session
    session.flush()
    return HttpResponse("out")


def show(request: HttpRequest) -> HttpResponse:
    return JsonResponse(dict(request.session))


urlpatterns = [
    path("put/<key>/<value>", put),
    path("aput/<key>/<value>", aput),
    path("in", log_in),
    path("out", log_out),
    path("show", show),
]
