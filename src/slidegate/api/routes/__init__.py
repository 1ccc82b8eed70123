# SPDX-License-Identifier: BSD-3-Clause
"""The addresses of the service, one module for each thing that is spoken of."""
