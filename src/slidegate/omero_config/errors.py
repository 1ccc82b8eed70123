# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: N818  (a situation is named as what it is)
"""Why OMERO's configuration was left as it is."""

from slidegate.domain.errors import SlidegateError


class OmeroConfigError(SlidegateError):
    """OMERO's configuration could not be changed."""

    code = "omero-config"
    exit_code = 1  # 2 says that something was changed


class BadDesired(OmeroConfigError):
    """What is desired of OMERO's configuration cannot be understood; nothing was changed."""

    code = "omero-config-desired"


class BadConfig(OmeroConfigError):
    """OMERO's config.xml cannot be used as it is; nothing was changed."""

    code = "omero-config-file"


class ConfigBusy(OmeroConfigError):
    """Another program holds the lock of OMERO's config.xml; nothing was changed."""

    code = "omero-config-busy"
    transient = True


class NoWebDefaults(OmeroConfigError):
    """OMERO.web cannot be asked for its defaults, which a list starts from; nothing was changed."""

    code = "omero-config-defaults"


class NoOmeroPy(OmeroConfigError):
    """OMERO's Python library is missing here: install slidegate[omero]."""

    code = "omero-py-missing"
