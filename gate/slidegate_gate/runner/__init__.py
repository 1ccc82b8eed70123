# SPDX-License-Identifier: BSD-3-Clause
"""The crew: what runs inside jobs.

``main`` is a member: how it finds something to do, when it leaves.  ``attempt`` is what members see of an
Attempt and how they change it: leases, tries, commits.  ``leases`` is how they know that another lives.
``step_process`` is the program of the workflow that computes, and how it can fail.  ``outputs`` is what goes
in and what comes out.
"""
