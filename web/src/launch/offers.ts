// SPDX-License-Identifier: BSD-3-Clause
/** Which of the workflows that sites offer are shown: the newest of each. */
import type { Workflow } from "../api.ts";

/** Whether a version, such as 1.10.0, is newer than another. */
export function newer(version: string, than: string): boolean {
  const numbers = (text: string): number[] => text.split(/[.+-]/).map((part) => Number(part) || 0);
  const [a, b] = [numbers(version), numbers(than)];
  for (let i = 0; i < Math.max(a.length, b.length); i += 1) {
    const d = (a[i] ?? 0) - (b[i] ?? 0);
    if (d) return d > 0;
  }
  return false;
}

/** The newest of those that have the same key. */
export function newestBy(flows: readonly Workflow[], key: (flow: Workflow) => string): Workflow[] {
  const newest = new Map<string, Workflow>();
  for (const flow of flows) {
    const known = newest.get(key(flow));
    if (!known || newer(flow.version, known.version)) newest.set(key(flow), flow);
  }
  return [...newest.values()];
}
