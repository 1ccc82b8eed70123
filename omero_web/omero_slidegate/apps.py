# SPDX-License-Identifier: AGPL-3.0-or-later
"""How Django and OMERO.web know the app: its addresses begin with /slidegate/."""

from django.apps import AppConfig


class SlidegateConfig(AppConfig):
    """The app."""

    name = "omero_slidegate"
    label = "slidegate"
    verbose_name = "Run on cluster"
