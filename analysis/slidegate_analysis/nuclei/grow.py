# SPDX-License-Identifier: BSD-3-Clause
"""Growth of seeds down to a fraction of their height, in synchronous rounds of one pixel.

In each round every free pixel beside the objects of the *previous* round is offered to them; it goes to the
offer from the brightest pixel, then to the seed that comes first in raster order. After R rounds a pixel can
depend on nothing farther away than R pixels and the seeds that reach there.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def grow(labels, smoothed, floors, rounds):
    """Grow objects in place.

    Parameters
    ----------
    labels
        int32, shape (y, x), with a rim of one pixel that is -1 (never taken); 0 is free, objects count from 1
        in raster order of their seeds' first pixels.
    smoothed
        uint32, same shape.
    floors
        int64 per label: the value that a pixel must exceed to join the object.
    rounds
        Number of rounds.
    """
    width = labels.shape[1]
    flat = labels.ravel()
    values = smoothed.ravel()
    steps = np.array([-width, -1, 1, width], np.int64)
    frontier = np.flatnonzero(flat > 0).astype(np.int32)
    offers = np.zeros(flat.shape[0], np.int32)
    offered_by = np.zeros(flat.shape[0], np.uint32)
    for _ in range(rounds):
        capacity = 4 * len(frontier)
        taken = np.empty(capacity, np.int32)
        count = 0
        for position in range(len(frontier)):
            p = np.int64(frontier[position])
            label = flat[p]
            for direction in range(4):
                n = p + steps[direction]
                if flat[n] != 0 or np.int64(values[n]) <= floors[label]:
                    continue
                if offers[n] == 0:
                    taken[count] = n
                    count += 1
                elif values[p] < offered_by[n] or (values[p] == offered_by[n] and label > offers[n]):
                    continue
                offers[n] = label
                offered_by[n] = values[p]
        for position in range(count):
            n = taken[position]
            flat[n] = offers[n]
            offers[n] = 0
        frontier = taken[:count].copy()
        if count == 0:
            break
