// SPDX-License-Identifier: BSD-3-Clause
/**
 * Which page an address means. Elements never read the address: they ask to go somewhere with `go`, and link to
 * `address(path)`.
 */

export type Place =
  | { page: "home" | "launch" | "runs" | "account" | "administration" | "missing" }
  | { page: "run"; run: string }
  | { page: "results"; run: string; number: number };

export function placeOf(path: string): Place {
  const plain = path.replace(/\/+$/, "") || "/";
  if (plain === "/") return { page: "home" };
  if (plain === "/launch" || plain === "/runs" || plain === "/account" || plain === "/administration") {
    return { page: plain.slice(1) as "launch" };
  }
  const results = /^\/runs\/([^/]+)\/results\/(\d+)$/.exec(plain);
  if (results) return { page: "results", run: decodeURIComponent(results[1]!), number: Number(results[2]) };
  const run = /^\/runs\/([^/]+)$/.exec(plain);
  if (run) return { page: "run", run: decodeURIComponent(run[1]!) };
  return { page: "missing" };
}

let addressOf = (path: string): string => path;

/** Say where the pages are for a browser, where that is not the top of their server. Once, before any is drawn. */
export function pagesAre(at: (path: string) => string): void {
  addressOf = at;
}

let imageOf = (_image: string): string => "";

/** Say where images are shown outside of our pages, by their names; empty where they are not. */
export function imagesAre(at: (image: string) => string): void {
  imageOf = at;
}

/** Where an image is shown outside of our pages; empty where it is not. */
export const imageAddress = (image: string): string => imageOf(image);

/** The address of one of our pages, by its path. */
export const address = (path: string): string => addressOf(path);

/** Ask whoever embeds the element to show another page: an event `sg-go` with `{path}`. */
export function go(from: EventTarget, path: string): void {
  from.dispatchEvent(new CustomEvent("sg-go", { detail: { path }, bubbles: true, composed: true }));
}

export const paths = {
  run: (run: string): string => `/runs/${encodeURIComponent(run)}`,
  /** A new Run like another one; `only` those of its images that are in a state. */
  again: (run: string, only = ""): string =>
    `/launch?step=settings&from=${encodeURIComponent(run)}${only ? `&only=${only}` : ""}`,
  results: (run: string, number: number): string => `/runs/${encodeURIComponent(run)}/results/${number}`,
};

/** Tell whoever embeds the element what the page is about: an event `sg-title` with `{title}`. */
export function entitle(from: EventTarget, title: string): void {
  from.dispatchEvent(new CustomEvent("sg-title", { detail: { title }, bubbles: true, composed: true }));
}
