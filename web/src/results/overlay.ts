// SPDX-License-Identifier: BSD-3-Clause
/** What lies over the picture: which channels are shown, what is under the pointer, what colours mean. */
import { html, nothing, type TemplateResult } from "lit";
import type { Problem, Wish } from "../api.ts";
import { icon } from "../elements/icon.ts";
import { address, paths } from "../router.ts";
import { count } from "../words.ts";
import { RAMP, type Shown } from "./compose.ts";
import { type Nuclei, shown } from "./nuclei.ts";
import type { Picture } from "./reader.ts";
import type { Outlines, SgSlide, Under } from "./slide.ts";

/** Buttons that hide and show what is in the picture. */
export function legend(
  picture: Picture,
  shown: readonly Shown[],
  outlines: Outlines | null,
  show: (shown: readonly Shown[]) => void,
  outline: (outlines: Outlines) => void,
): TemplateResult {
  return html`<div class="legend" role="group" aria-label="Channels shown">
    ${picture.channels.map((channel, at) => {
      const one = shown[at]!;
      return html`<button
        aria-pressed=${one.visible ? "true" : "false"}
        title=${one.visible ? `Hide ${channel.name}` : `Show ${channel.name}`}
        @click=${() => show(shown.map((other, i) => (i === at ? { ...other, visible: !other.visible } : other)))}
      >
        <svg class="dot" viewBox="0 0 12 12" aria-hidden="true">
          <circle
            cx="6"
            cy="6"
            r="5"
            fill=${one.visible ? one.colour : "none"}
            stroke=${one.colour}
            stroke-width="1.5"
          ></circle></svg
        ><span>${channel.name}</span>
      </button>`;
    })}
    ${
      outlines
        ? html`<button
            aria-pressed=${outlines.visible ? "true" : "false"}
            title=${outlines.visible ? "Hide what was found" : "Show what was found"}
            @click=${() => outline({ ...outlines, visible: !outlines.visible })}
          >
            <svg class="dot" viewBox="0 0 12 12" aria-hidden="true">
              <circle
                cx="6"
                cy="6"
                r="4.5"
                fill="none"
                stroke=${outlines.colour}
                stroke-width="2"
                stroke-dasharray=${outlines.visible ? "none" : "2 2"}
              ></circle></svg
            ><span>Found nuclei</span>
          </button>`
        : nothing
    }
  </div>`;
}

/** What lies under the pointer: place, nucleus, counts. */
export function readout(
  under: Under | null,
  picture: Picture,
  channels: readonly Shown[],
  nuclei: Nuclei | null,
): TemplateResult {
  if (!under)
    return html`<div class="readout faint">
      Point at the picture to read its values. Shift and drag selects a region.
    </div>`;
  const size = picture.pixel_size_um;
  const place = size
    ? `x ${shown(under.x * size)} µm, y ${shown(under.y * size)} µm`
    : `x ${count(under.x)} px, y ${count(under.y)} px`;
  const side = 2 ** under.level;
  return html`<div class="readout">
    <div>
      <span class="faint">${place}</span
      >${under.id ? html` · <b>nucleus ${under.id}</b>${areaOf(under.row, nuclei)}` : nothing}
    </div>
    <div class="values">
      ${under.values?.map((value, at) => html`<span><i .style=${`background:${channels[at]!.colour}`}></i>${picture.channels[at]!.name} <b>${count(value)}</b></span>`)}
      ${under.level > 0 ? html`<span class="faint">mean of ${side} × ${side} px</span>` : html`<span class="faint">counts</span>`}
    </div>
  </div>`;
}

function areaOf(row: number, nuclei: Nuclei | null): string {
  const area = nuclei?.at("area_um2");
  return row >= 0 && area ? `, ${shown(area[row]!)} µm²` : "";
}

/** What the colours of density mean. */
export function densityScale(picture: Picture, densest: number): TemplateResult {
  const unit = picture.pixel_size_um ? "per mm²" : "per megapixel";
  const stops = RAMP.map((colour, at) => `rgb(${colour.join(" ")}) ${(100 * at) / (RAMP.length - 1)}%`);
  return html`<div class="density">
    Nuclei ${unit}<i .style=${`background:linear-gradient(90deg, ${stops.join(",")})`}></i>
    <div><span>0</span><span>${shown(Number(densest.toPrecision(2)))}</span></div>
  </div>`;
}

/** Buttons beside the picture; `choose` is null where there are no nuclei to select. */
export function tools(
  slide: () => SgSlide | null,
  choosing: boolean,
  choose: (() => void) | null,
): TemplateResult {
  return html`<div class="tools" role="toolbar" aria-label="Picture" aria-orientation="vertical">
    <button aria-label="Zoom in" title="Zoom in (+)" @click=${() => slide()?.zoomBy(1.6)}>
      ${icon("plus", 18)}
    </button>
    <button aria-label="Zoom out" title="Zoom out (-)" @click=${() => slide()?.zoomBy(1 / 1.6)}>
      <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true">
        <path d="M4 10h12" stroke="currentColor" stroke-width="1.75" stroke-linecap="round"></path>
      </svg>
    </button>
    <button aria-label="Show the whole image" title="Show the whole image (0)" @click=${() => slide()?.fit()}>
      ${icon("image", 18)}
    </button>
    ${
      choose
        ? html`<button
            aria-label="Select nuclei in a rectangle"
            aria-pressed=${choosing ? "true" : "false"}
            title="Select nuclei in a rectangle: drag over the picture (or hold Shift and drag)"
            @click=${choose}
          >
            ${icon("region", 18)}
          </button>`
        : nothing
    }
  </div>`;
}

/** Shown until the picture is at hand. */
export function waiting(wish: Wish | null): TemplateResult {
  const known = wish?.total ? (wish.done ?? 0) / wish.total : null;
  return html`<div class="waits" role="status">
    <p>${wish ? "The picture is being made ready." : "Reading …"}</p>
    ${
      wish
        ? html`<sg-progress .value=${known} label="Making the picture ready"></sg-progress>
            <p class="muted small">
              ${wish.trouble ?? wish.step ?? "It was not looked at for a while, so its pixels are fetched again."}
            </p>`
        : nothing
    }
  </div>`;
}

/** Instead of the page, where there is nothing at this address. */
export function nowhere(problem: Problem, run: string): TemplateResult {
  return html`<sg-notice kind="empty" sign="search" heading="There are no results here"
    >${problem.message}<a slot="do" class="button" href=${address(paths.run(run))}
      >Go to the run</a
    ></sg-notice
  >`;
}
