// SPDX-License-Identifier: BSD-3-Clause
/** Signs drawn here, in the colour of the text around them. Decoration only: a word stands beside each. */
import { html, svg, type SVGTemplateResult, type TemplateResult } from "lit";

const line = (d: string): SVGTemplateResult =>
  svg`<path d=${d} fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round"/>`;

const SIGNS = {
  check: line("M4.5 10.5 8.5 14.5 15.5 6"),
  cross: line("M5.5 5.5 14.5 14.5M14.5 5.5 5.5 14.5"),
  alert: line("M10 6.5v4.5M10 14v.1M10 2.8 18 16.5H2Z"),
  clock: line("M10 5.5V10l3 2M10 2.5a7.5 7.5 0 1 1 0 15 7.5 7.5 0 0 1 0-15Z"),
  dots: svg`<circle cx="4.5" cy="10" r="1.6" fill="currentColor"/><circle cx="10" cy="10" r="1.6" fill="currentColor"/><circle cx="15.5" cy="10" r="1.6" fill="currentColor"/>`,
  stop: line("M5.5 5.5h9v9h-9Z"),
  folder: line("M2.5 15.5v-11h5l2 2.2h8v8.8Z"),
  image: line("M2.5 4h15v12h-15ZM2.5 13l4.5-4 3.5 3.5 2.5-2 4.5 4M12.8 7.4v.1"),
  right: line("M7.5 4.5 13 10l-5.5 5.5"),
  left: line("M12.5 4.5 7 10l5.5 5.5"),
  down: line("M4.5 7.5 10 13l5.5-5.5"),
  up: line("M10 16V4M5 9l5-5 5 5"),
  again: line("M16.5 10a6.5 6.5 0 1 1-2-4.7M16.5 3v3.5H13"),
  save: line("M10 3.5v9M6 9l4 4 4-4M3.5 16.5h13"),
  bin: line("M3.5 5.5h13M8 5.5v-2h4v2M5 5.5l.8 11h8.4l.8-11M8.5 8.5v5M11.5 8.5v5"),
  log: line("M3.5 5h13M3.5 10h13M3.5 15h8"),
  eye: line(
    "M1.8 10S5 4.5 10 4.5 18.2 10 18.2 10 15 15.5 10 15.5 1.8 10 1.8 10ZM10 7.7a2.3 2.3 0 1 1 0 4.6 2.3 2.3 0 0 1 0-4.6Z",
  ),
  sun: line(
    "M10 6.5a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7ZM10 1.5v1.8M10 16.7v1.8M1.5 10h1.8M16.7 10h1.8M4 4l1.3 1.3M14.7 14.7 16 16M16 4l-1.3 1.3M5.3 14.7 4 16",
  ),
  moon: line("M16.5 11.8A7 7 0 1 1 8.2 3.5a5.6 5.6 0 0 0 8.3 8.3Z"),
  person: line("M10 3a3.3 3.3 0 1 1 0 6.6A3.3 3.3 0 0 1 10 3ZM3.5 17c.4-3.4 3-5.2 6.5-5.2s6.1 1.8 6.5 5.2"),
  plus: line("M10 4v12M4 10h12"),
  search: line("M8.8 3.5a5.3 5.3 0 1 1 0 10.6 5.3 5.3 0 0 1 0-10.6ZM12.8 12.8 17 17"),
  region: line("M3 6.5V3h3.5M13.5 3H17v3.5M17 13.5V17h-3.5M6.5 17H3v-3.5"),
  site: line("M3 4h14v5H3ZM3 11h14v5H3ZM6 6.5v.1M6 13.5v.1"),
} as const;

export type Sign = keyof typeof SIGNS;

export function icon(sign: Sign, size = 20): TemplateResult {
  return html`<svg viewBox="0 0 20 20" width=${size} height=${size} aria-hidden="true" focusable="false">
    ${SIGNS[sign]}
  </svg>`;
}
