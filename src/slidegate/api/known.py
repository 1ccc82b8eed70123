# SPDX-License-Identifier: BSD-3-Clause
"""What never changes is read from the store once."""

import threading
from collections import OrderedDict

from slidegate.domain.text import plain
from slidegate.domain.values import Digest, Release
from slidegate.store import Store

_MOST = 200


class Releases:
    """Releases by digest, those used last."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[Digest, Release] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: Digest) -> Release | None:
        """Return a Release; None when it was never seen."""
        with self._lock:
            found = self._known.get(digest)
        if found is not None:
            return found
        found = self._store.releases.get(digest)
        if found is not None:
            with self._lock:
                self._known[digest] = found
                while len(self._known) > _MOST:
                    self._known.popitem(last=False)
        return found

    def title(self, digest: Digest) -> str | None:
        """Return what a Release's workflow is called for people; None when it was never seen."""
        found = self.get(digest)
        return None if found is None else plain(str(found.manifest.get("title") or found.name))
