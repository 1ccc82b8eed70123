/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Included before each file of zeroc-ice 3.6.5, whose texts of errors name the Python function that called. It finds
 * that in PyThreadState_GET()->frame, a member which Python has not had since 3.11. Here the macro gives something
 * with a member of this name, filled by the function that Python has for it.
 */
#if defined(__cplusplus)
#include <Python.h>
#if PY_VERSION_HEX >= 0x030B0000
namespace zeroc_ice_on_later_python
{
struct Running
{
    PyFrameObject* frame;
};

inline Running* running()
{
    static thread_local Running now;
    now.frame = PyEval_GetFrame(); /* borrowed; the caller holds the GIL */
    return &now;
}
}
#undef PyThreadState_GET
#define PyThreadState_GET() (zeroc_ice_on_later_python::running())
#endif
#endif
