// SPDX-License-Identifier: BSD-3-Clause
/** What is chosen outlives a reload of the page, in this tab. */

const NAME = "slidegate-chosen";

export function kept(): ReadonlyMap<string, string> {
  try {
    return new Map(JSON.parse(sessionStorage.getItem(NAME) ?? "[]") as [string, string][]);
  } catch {
    return new Map();
  }
}

export function keep(chosen: ReadonlyMap<string, string>): void {
  try {
    sessionStorage.setItem(NAME, JSON.stringify([...chosen]));
  } catch {
    // not kept over a reload, then
  }
}
