// SPDX-License-Identifier: BSD-3-Clause
/** The top of the page of results. */
import { html, nothing, type TemplateResult } from "lit";
import type { Task } from "../api.ts";
import { icon } from "../elements/icon.ts";
import { address, paths } from "../router.ts";
import { count, shortName } from "../words.ts";
import type { Picture } from "./reader.ts";

export interface Top {
  run: string;
  number: number;
  total: number;
  around: readonly Task[];
  picture: Picture | null;
  /** The address of the report. */
  report: string | null;
  go: (event: MouseEvent, path: string) => void;
}

/** The top of the page: which image this is, and the ways to its run, its report and its neighbours. */
export function header(top: Top): TemplateResult {
  const { picture, report } = top;
  const side = (pixels: number): string =>
    picture?.pixel_size_um ? `${((pixels * picture.pixel_size_um) / 1000).toFixed(2)}` : count(pixels);
  const unit = picture?.pixel_size_um ? "mm" : "px";
  const name = picture
    ? shortName(picture.name)
    : (top.around.find((task) => task.number === top.number)?.name ?? `Image ${top.number}`);
  return html`<header>
    <div class="names">
      <a
        class="back"
        href=${address(paths.run(top.run))}
        @click=${(event: MouseEvent) => top.go(event, paths.run(top.run))}
        >${icon("left", 16)} The run</a
      >
      <h1>${shortName(name)}</h1>
      ${picture ? html`<span class="facts">${side(picture.shape[2])} × ${side(picture.shape[1])} ${unit}${picture.pixel_size_um ? ` · ${picture.pixel_size_um} µm per pixel` : ""}</span>` : nothing}
    </div>
    ${report ? html`<a class="button quiet" href=${report} target="_blank" rel="noopener">${icon("log", 16)} Report</a>` : nothing}
    ${
      top.total > 1
        ? html`<nav class="steps" aria-label="Images of this run">
            ${step(top, top.number - 1, "Previous image", "left")}<span
              >Image ${count(top.number)} of ${count(top.total)}</span
            >${step(top, top.number + 1, "Next image", "right")}
          </nav>`
        : nothing
    }
  </header>`;
}

function step(top: Top, number: number, words: string, sign: "left" | "right"): TemplateResult {
  const there = top.around.find((task) => task.number === number)?.published === true;
  const path = paths.results(top.run, number);
  return html`<a
    class="button"
    aria-label=${words}
    aria-disabled=${there ? "false" : "true"}
    href=${there ? address(path) : nothing}
    role="link"
    @click=${(event: MouseEvent) => there && top.go(event, path)}
    >${icon(sign, 16)}</a
  >`;
}
