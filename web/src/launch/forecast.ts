// SPDX-License-Identifier: BSD-3-Clause
/** How much is about to be done, and how long it may take, in words. */
import type { Estimate, ImageFacts } from "../api.ts";
import { bytes, many, sentence, span } from "../words.ts";

/** The size of images as far as it is known: "3.4 GB", "more than 3.4 GB", or nothing. */
export function sizeOf(facts: (ImageFacts | undefined)[]): string {
  const sum = facts.reduce((all, each) => all + (each?.bytes ?? 0), 0);
  if (!sum) return "";
  return facts.every((each) => each?.bytes) ? bytes(sum) : `more than ${bytes(sum)}`;
}

const roughly = (seconds: number): string => (seconds < 1 ? span(seconds) : `about ${span(seconds)}`);

/** "Preparing about 2 minutes · computing about 20 minutes · 12 images before it". */
export function forecast(estimate: Estimate | null): string {
  if (!estimate) return "";
  const parts: string[] = [];
  if (estimate.staging_seconds !== null) parts.push(`preparing ${roughly(estimate.staging_seconds)}`);
  if (estimate.computing_seconds !== null) parts.push(`computing ${roughly(estimate.computing_seconds)}`);
  if (!parts.length) parts.push("how long it takes is not known before the first run");
  const before = estimate.queue.queued + estimate.queue.running;
  if (before) parts.push(`${many(before, "image")} before it`);
  return sentence(parts.join(" · "));
}
