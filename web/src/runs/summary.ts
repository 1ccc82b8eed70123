// SPDX-License-Identifier: BSD-3-Clause
/** What is said of a Run, the same on every page. */
import type { RunSummary } from "../api.ts";
import { ago, count, ended, left, many, runWord, type Tone } from "../words.ts";

export interface Tally {
  good: number;
  bad: number;
  off: number;
  all: number;
}

export function tally(run: RunSummary): Tally {
  return {
    good: run.counts.succeeded ?? 0,
    bad: run.counts.failed ?? 0,
    off: run.counts.cancelled ?? 0,
    all: run.tasks,
  };
}

/** The state of a Run, in a word. */
export function stateWord(run: RunSummary): [string, Tone] {
  return run.state === "failed" && run.counts.succeeded ? ["Partly failed", "mixed"] : runWord(run.state);
}

/** How the images of a Run ended, as shares of all; null while it goes on. */
export function shares(run: RunSummary): [Tone, number][] | null {
  const { good, bad, off, all } = tally(run);
  if (!ended(run.state) || !all) return null;
  return [
    ["good", good / all],
    ["bad", bad / all],
    ["off", off / all],
  ];
}

/** Where a Run stands, in a sentence. */
export function standing(run: RunSummary): string {
  const { good, bad, off, all } = tally(run);
  if (ended(run.state)) {
    if (good === all) return all === 1 ? "The image is finished." : `All ${count(all)} images are finished.`;
    if (all > 1 && bad === all) return `All ${count(all)} images failed.`;
    if (all > 1 && off === all) return `All ${count(all)} images were cancelled.`;
    const parts = [
      good ? `${count(good)} finished` : "",
      bad ? `${count(bad)} failed` : "",
      off ? `${count(off)} cancelled` : "",
    ].filter(Boolean);
    return `${all > 1 ? `Of ${many(all, "image")}, ` : "The image "}${all > 1 ? parts.join(", ") : bad ? "failed" : "was cancelled"}.`;
  }
  const done = good + bad + off;
  const begun = done > 0 || run.progress > 0 || all - (run.counts.waiting ?? 0) > 0;
  if (!begun)
    return all === 1 ? "The image waits for its turn." : `${count(all)} images wait for their turn.`;
  const failed = bad ? `, ${count(bad)} failed` : "";
  return all === 1
    ? "The image is being worked on."
    : `${count(good)} of ${many(all, "image")} finished${failed}.`;
}

export function remaining(run: RunSummary): string {
  if (ended(run.state)) return "";
  const percent = run.progress > 0 ? `${Math.floor(run.progress * 100)} %` : "";
  return [percent, run.left_seconds !== null && run.left_seconds !== undefined ? left(run.left_seconds) : ""]
    .filter(Boolean)
    .join(" · ");
}

/** "Last heard 3 minutes ago", where that is worth saying. */
export function heard(at: number | null, always = false): string {
  if (!at) return "";
  return always || Date.now() / 1000 - at > 90 ? `Last heard ${ago(at)}.` : "";
}

/** Which images, as far as a line holds them: "slide-01.tif and 2 more". */
export function images(run: RunSummary): string {
  if (!run.first) return many(run.tasks, "image");
  return run.tasks === 1 ? run.first : `${run.first} and ${count(run.tasks - 1)} more`;
}
