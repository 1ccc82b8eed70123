# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the app's templates need."""

from django import template
from django.conf import settings
from django.templatetags.static import static
from django.urls import reverse

from omero_slidegate import __version__

register = template.Library()


@register.simple_tag
def slidegate_script() -> str:
    """Return the address of the elements; a new version has a new one, so that no browser keeps the old."""
    return f"{static('omero_slidegate/slidegate.js')}?v={__version__}"


@register.simple_tag
def slidegate_base() -> str:
    """Return the address of the proxy, below which ``/v1/...`` is asked for."""
    return f"{reverse('slidegate_index')}api"


@register.simple_tag
def slidegate_csrf_cookie() -> str:
    """Return the name of the cookie whose value shows that a request comes from OMERO.web's own pages."""
    return str(settings.CSRF_COOKIE_NAME)
