// SPDX-License-Identifier: BSD-3-Clause
/** The elements for OMERO.web. */
import "./image.ts";
import "./launch.ts";
import "./runs.ts";
