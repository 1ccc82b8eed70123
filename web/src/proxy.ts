// SPDX-License-Identifier: BSD-3-Clause
/** Reaching a server through an app of OMERO.web. */
import { Problem } from "./problem.ts";

/** How a server is reached through an app of OMERO.web. */
export interface Proxy {
  /** The name of the cookie that unsafe requests show (Django's). */
  csrfCookie: string;
}

/** What shows Django that a request comes from its own page. */
export function proved(proxy: Proxy, method: string): Record<string, string> {
  const headers: Record<string, string> = { "X-Requested-With": "XMLHttpRequest" };
  const found = document.cookie.split("; ").find((each) => each.startsWith(`${proxy.csrfCookie}=`));
  if (method !== "GET" && found)
    headers["X-CSRFToken"] = decodeURIComponent(found.slice(proxy.csrfCookie.length + 1));
  return headers;
}

export const signedOut = (): Problem =>
  new Problem(401, "not-signed-in", "You are signed out.", "Sign in to OMERO.web again.");
