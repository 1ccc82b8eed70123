// SPDX-License-Identifier: BSD-3-Clause
/** Numbers, times and states in the words that people use. */
import type { Schema, Session, TaskState } from "./api.ts";

const number = new Intl.NumberFormat("en");

export const count = (n: number): string => number.format(n);

export function many(n: number, one: string, more = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : more}`;
}

export function bytes(n: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB", "PB"];
  let i = 0;
  while (n >= 999.5 && i < units.length - 1) {
    n /= 1000;
    i += 1;
  }
  return `${i > 0 && n < 10 ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

/** A length of time, roundly: "40 seconds", "3 minutes", "2 hours 10 minutes". */
export function span(seconds: number): string {
  if (seconds < 1) return "less than a second";
  if (seconds < 90) return many(Math.round(seconds), "second");
  if (seconds < 5400) return many(Math.round(seconds / 60), "minute");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.round((seconds % 3600) / 60);
  if (hours < 12 && minutes > 0 && minutes < 60) return `${many(hours, "hour")} ${many(minutes, "minute")}`;
  if (seconds < 36 * 3600) return many(Math.round(seconds / 3600), "hour");
  return many(Math.round(seconds / 86400), "day");
}

export function ago(at: number, now = Date.now() / 1000): string {
  const passed = now - at;
  if (passed < 10) return "just now";
  return `${span(passed)} ago`;
}

/** How much longer something takes. An estimate, so it is said as one. */
export function left(seconds: number): string {
  return seconds < 10 ? "a few seconds left" : `about ${span(seconds)} left`;
}

/** "today, 14:05"; to the second where that is wanted. */
export function moment(at: number, toTheSecond = false): string {
  const when = new Date(at * 1000);
  const today = new Date();
  const time = when.toLocaleTimeString("en-GB", {
    hour: "2-digit",
    minute: "2-digit",
    ...(toTheSecond ? { second: "2-digit" } : {}),
  });
  if (when.toDateString() === today.toDateString()) return `today, ${time}`;
  const yesterday = new Date(today.getTime() - 86_400_000);
  if (when.toDateString() === yesterday.toDateString()) return `yesterday, ${time}`;
  const sameYear = when.getFullYear() === today.getFullYear();
  const day = when.toLocaleDateString("en-GB", {
    day: "numeric",
    month: "short",
    ...(sameYear ? {} : { year: "numeric" }),
  });
  return `${day}, ${time}`;
}

export const exactly = (at: number): string =>
  new Date(at * 1000).toLocaleString("en-GB", { dateStyle: "full", timeStyle: "medium" });

/** How a state looks: the kind decides its colour and sign, the word is read. */
export type Tone = "idle" | "busy" | "good" | "bad" | "off" | "mixed";

const TASK: Record<TaskState, [string, Tone]> = {
  waiting: ["Waiting", "idle"],
  staging: ["Preparing the image", "busy"],
  submitting: ["Handing over", "busy"],
  queued: ["In the queue", "idle"],
  running: ["Computing", "busy"],
  collecting: ["Fetching results", "busy"],
  publishing: ["Saving results", "busy"],
  succeeded: ["Finished", "good"],
  failed: ["Failed", "bad"],
  cancelled: ["Cancelled", "off"],
};

const MEANING: Partial<Record<TaskState, string>> = {
  waiting: "Starts as soon as there is room",
  staging: "It is copied to where it is computed",
  submitting: "It waits for an answer from there",
  queued: "Starts as soon as a processor is free",
  running: "It has just begun",
  collecting: "They are on their way back",
  publishing: "They are put in place",
  cancelled: "It was not finished",
};

/** What a state means for the person who waits. */
export const meaning = (state: TaskState): string => MEANING[state] ?? "";

export function taskWord(state: TaskState, wanted: "run" | "cancel" = "run"): [string, Tone] {
  if (wanted === "cancel" && !ended(state)) return ["Being cancelled", "idle"];
  return TASK[state] ?? [state, "idle"];
}

const RUN: Record<string, [string, Tone]> = {
  waiting: ["Waiting", "idle"],
  active: ["Running", "busy"],
  running: ["Running", "busy"],
  succeeded: ["Finished", "good"],
  failed: ["Failed", "bad"],
  cancelled: ["Cancelled", "off"],
  partial: ["Finished in part", "mixed"],
  mixed: ["Finished in part", "mixed"],
};

export function runWord(state: string): [string, Tone] {
  return RUN[state] ?? [state.charAt(0).toUpperCase() + state.slice(1), "idle"];
}

export function ended(state: string): boolean {
  return ![
    "waiting",
    "active",
    "running",
    "staging",
    "submitting",
    "queued",
    "collecting",
    "publishing",
  ].includes(state);
}

/** With a capital letter. */
export const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** What is left of an image's long name on a screen: `shelf:folder/slide.tif#2` → `slide.tif`. */
export function shortName(image: string): string {
  const path = image.slice(image.indexOf(":") + 1);
  const last = path.slice(path.lastIndexOf("/") + 1);
  return last || path || image;
}

/** The value of a parameter as it is read. */
export function value(of: unknown): string {
  if (of === null || of === undefined || of === "") return "not set";
  if (of === true) return "Yes";
  if (of === false) return "No";
  if (typeof of === "number") return count3(of);
  if (typeof of === "object") return JSON.stringify(of);
  return String(of as string);
}

function count3(n: number): string {
  return Number.isInteger(n)
    ? count(n)
    : new Intl.NumberFormat("en", { maximumSignificantDigits: 4 }).format(n);
}

/** What a summary counts, by the workflow's tables of objects: "412 nuclei"; empty where it says nothing. */
export function headline(
  summary: Record<string, unknown> | null,
  outputs: Record<string, { type: string }> = {},
): string {
  const tables = Object.entries(outputs).filter(([, of]) => of.type.startsWith("table"));
  const said = tables.filter(([name]) => typeof summary?.[name] === "number");
  return said.map(([name]) => `${count(summary![name] as number)} ${name.replaceAll("_", " ")}`).join(", ");
}

/** A message that names settings as programs do, with their titles instead. */
export function inTitles(message: string, schema: Schema | null | undefined): string {
  return Object.entries(schema?.properties ?? {})
    .filter(([name, of]) => name.includes("_") && of.title)
    .reduce((text, [name, of]) => text.replaceAll(name, `“${of.title}”`), message);
}

/** What people are, and what that means. */
export const ROLES: Record<Session["role"], [string, string]> = {
  viewer: ["Viewer", "sees runs and results of the group"],
  researcher: ["Researcher", "launches runs, and sees those of the group"],
  lead: ["Group lead", "also cancels and deletes runs of the group"],
  administrator: ["Administrator", "does everything, for everybody"],
};
