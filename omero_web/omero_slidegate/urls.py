# SPDX-License-Identifier: AGPL-3.0-or-later
"""The addresses of the app, below what OMERO.web makes of its label: /slidegate/."""

from django.urls import re_path

from omero_slidegate import views

urlpatterns = [
    re_path(r"^$", views.slidegate_index, name="slidegate_index"),
    re_path(r"^launch/$", views.slidegate_launch, name="slidegate_launch"),
    re_path(r"^run/(?P<run>[0-9a-f]{1,64})/$", views.slidegate_run, name="slidegate_run"),
    re_path(r"^selection/$", views.slidegate_selection, name="slidegate_selection"),
    re_path(r"^api/(?P<path>v1/.*)$", views.slidegate_api, name="slidegate_api"),
]
