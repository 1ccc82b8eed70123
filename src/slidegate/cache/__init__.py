# SPDX-License-Identifier: BSD-3-Clause
"""What workers make for the pages, in a folder: thumbnails, previews, images. All of it can be made again."""

from slidegate.cache.cache import Cache

__all__ = ["Cache"]
