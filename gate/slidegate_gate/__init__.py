# SPDX-License-Identifier: BSD-3-Clause
"""The only opening of a cluster to slidegate: it starts nothing but listed workflows.

``serve`` is what a key can reach, ``runner`` what runs inside jobs, ``schedulers`` how jobs are started, and
``gatectl`` the administrator's hand tool.  Python 3.6 or later, standard library only.
"""

__version__ = "0.1.0"
