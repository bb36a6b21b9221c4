"""Somebody at the back office whose request met a lock is told so, in place of an error 500."""

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import structlog
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme

from channels import retry_queue
from config.admin_site import own_page

log = structlog.get_logger(__name__)

_TEXT: Final = "Somebody else was changing the same rows. Nothing was recorded; please try again in a moment."


class BusyMiddleware:
    """Answers requests that a lock timeout, a deadlock or a serialisation failure ended.

    A button or an action leads back to its page with a message. A form is answered with a page whose way back keeps what was
    entered; its key makes sending it again record once.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Returns the view's answer."""
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """Returns the answer for a request that others were in the way of; None for any other error."""
        reason = retry_queue.busy_reason(exception)
        if not reason:
            return None
        log.info("request_was_in_the_way", path=request.path, reason=reason)
        retry_queue.note_page(request.path, reason)
        if not request.path.startswith("/admin/"):
            return HttpResponse(_TEXT, status=503, headers={"Retry-After": "1"}, content_type="text/plain")
        back = _page_of_action(request)
        if back:
            messages.error(request, _TEXT)
            return redirect(back)
        page = own_page(request, "onecount/busy.html", "Please try again", text=_TEXT)
        page.status_code = 503
        page.headers["Retry-After"] = "1"
        return page


def _page_of_action(request: HttpRequest) -> str:
    """Returns the page that an action or button belongs to; empty for a form, whose inputs must not be lost."""
    if request.method != "POST":
        return ""
    if "action" in request.POST and "_selected_action" in request.POST:
        return request.get_full_path()
    came_from = request.headers.get("Referer", "")
    is_ours = url_has_allowed_host_and_scheme(came_from, {request.get_host()})
    path = urlsplit(came_from).path
    return came_from if is_ours and path and path != request.path else ""
