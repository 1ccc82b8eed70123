# SPDX-License-Identifier: BSD-3-Clause
"""The nuclei workflow: detection that no tiling influences, measurement, and the steps that a site runs."""

from slidegate_analysis.nuclei.compiled import keep_compiled_code

keep_compiled_code()
