/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * zeroc-ice 3.6.5 includes eval.h, which Python has not had since 3.11. What it wants of it, PyEval_EvalCode, is
 * declared by Python.h.
 */
