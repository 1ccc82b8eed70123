// SPDX-License-Identifier: BSD-3-Clause
/** The entry of the elements for OMERO.web: its name stays, that of what it imports changes with what is in it. */
void import("./elements.ts");
