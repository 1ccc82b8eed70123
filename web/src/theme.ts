// SPDX-License-Identifier: BSD-3-Clause
/** Light, dark, or as the computer is set; kept in this browser. */

export type Theme = "system" | "light" | "dark";
const NAME = "slidegate-theme";
/** What the computer is set to. */
export const SCHEME = matchMedia("(prefers-color-scheme: dark)");

export function theme(): Theme {
  try {
    const kept = localStorage.getItem(NAME);
    return kept === "light" || kept === "dark" ? kept : "system";
  } catch {
    return "system";
  }
}

export function setTheme(to: Theme): void {
  try {
    if (to === "system") localStorage.removeItem(NAME);
    else localStorage.setItem(NAME, to);
  } catch {
    // private windows may refuse: then it holds for this page
  }
  show(to);
}

export function show(which: Theme = theme()): void {
  const root = document.documentElement;
  if (which === "system") delete root.dataset["theme"];
  else root.dataset["theme"] = which;
}

export function isDark(): boolean {
  const which = theme();
  return which === "system" ? SCHEME.matches : which === "dark";
}
