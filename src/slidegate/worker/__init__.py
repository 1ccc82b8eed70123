# SPDX-License-Identifier: BSD-3-Clause
"""Moves each Task one step: stage, submit, watch, collect, publish; and answers what people ask of Runs."""

from slidegate.worker.runs import Runs
from slidegate.worker.worker import Worker

__all__ = ["Runs", "Worker"]
