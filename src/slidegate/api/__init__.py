# SPDX-License-Identifier: BSD-3-Clause
"""The HTTP service: what people and programs ask of slidegate. It holds no key and reaches no site."""

from slidegate.api.app import create_app
from slidegate.api.parts import ApiParts, ApiSettings

__all__ = ["ApiParts", "ApiSettings", "create_app"]
