# SPDX-License-Identifier: GPL-2.0-or-later
"""A person at OMERO.web, without a browser: logged in, with what its forms need."""

from __future__ import annotations

import re
from typing import Any

import requests
from pocket_omero.web import Web


class Visit(requests.Session):
    """A session of requests that is logged in at OMERO.web."""

    def __init__(self, web: Web, person: tuple[str, str]) -> None:
        super().__init__()
        self.web = web
        page = self.go("/webclient/login/")
        [token] = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        self.headers["Referer"] = web.url
        fields = {
            "csrfmiddlewaretoken": token,
            "server": "1",
            "username": person[0],
            "password": person[1],
        }
        self.answer = self.post(web.url + "/webclient/login/", data=fields, timeout=60, allow_redirects=False)
        self.headers["X-CSRFToken"] = self.cookies.get("csrftoken", "")

    def go(self, path: str, **more: Any) -> requests.Response:
        """Get a page."""
        return self.get(self.web.url + path, timeout=60, **more)

    def submit(self, path: str, data: Any = None, **more: Any) -> requests.Response:
        """Send a form."""
        return self.post(self.web.url + path, data=data, timeout=60, **more)


def why(answer: requests.Response) -> str:
    """What a page says when it fails, in a few lines."""
    text = re.sub(r"<[^>]+>", " ", answer.text)
    return f"{answer.status_code} {answer.url}\n{' '.join(text.split())[-900:]}"
