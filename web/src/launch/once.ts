// SPDX-License-Identifier: BSD-3-Clause
/**
 * One launch, one Run: what is launched keeps its key until it is known what became of it, also over a reload. A second
 * click, a repeated request and a page that was loaded anew thus ask for the same Run.
 */

const NAME = "slidegate-launching";
let held: { body: string; key: string } | null = null;

/** The key for a request; the same for the same request, until `forgetKey`. */
export function keyFor(body: unknown): string {
  const text = JSON.stringify(body);
  if (!held) {
    try {
      held = JSON.parse(sessionStorage.getItem(NAME) ?? "null") as typeof held;
    } catch {
      held = null;
    }
  }
  if (held?.body !== text) {
    const random = crypto.getRandomValues(new Uint8Array(16)); // randomUUID is missing without https
    held = { body: text, key: Array.from(random, (each) => each.toString(16).padStart(2, "0")).join("") };
    try {
      sessionStorage.setItem(NAME, JSON.stringify(held));
    } catch {
      // holds for this page, then
    }
  }
  return held.key;
}

export function forgetKey(): void {
  held = null;
  try {
    sessionStorage.removeItem(NAME);
  } catch {
    // nothing was kept
  }
}
