// SPDX-License-Identifier: BSD-3-Clause
/** How the picture is shown: each channel's colour, brightness and visibility, and the outlines. */
import { LitElement, css, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { shared } from "../elements/base.ts";
import { icon } from "../elements/icon.ts";
import { count } from "../words.ts";
import type { Shown } from "./compose.ts";
import type { ChannelFacts, Picture } from "./reader.ts";
import type { Outlines } from "./slide.ts";

const COLOURS = ["#3f7bff", "#35d07f", "#ff4fa3", "#ffb020", "#35d6e6", "#ff5a4f", "#b07bff", "#ffffff"];
const NUCLEAR = /dapi|hoechst|nucle|draq|topro/i;

/** Colours that tell channels apart, blue for stains of nuclei; one channel alone is grey. */
export function beginning(channels: readonly ChannelFacts[]): Shown[] {
  const free = COLOURS.filter((colour) => colour !== COLOURS[0]);
  let blue: string | null = COLOURS[0]!;
  const hasNuclear = channels.some((channel) => NUCLEAR.test(channel.name));
  return channels.map((channel, at) => {
    let colour = "#ffffff";
    if (channels.length > 1) {
      const takesBlue = blue !== null && (hasNuclear ? NUCLEAR.test(channel.name) : at === 0);
      if (takesBlue) {
        colour = blue!;
        blue = null;
      } else colour = free.shift() ?? "#ffffff";
    }
    return { visible: at < 6, colour, low: channel.low, high: channel.high };
  });
}

const key = (run: string): string => `slidegate-channels-${run}`;

/** Keep colours and brightness for the other images of a run. */
export function keep(run: string, picture: Picture, shown: readonly Shown[]): void {
  try {
    sessionStorage.setItem(
      key(run),
      JSON.stringify({ names: picture.channels.map((channel) => channel.name), shown }),
    );
  } catch {
    // without storage each image begins anew
  }
}

/** What was kept, if the image has the same channels. */
export function kept(run: string, picture: Picture): Shown[] | null {
  try {
    const found = JSON.parse(sessionStorage.getItem(key(run)) ?? "null") as {
      names: string[];
      shown: Shown[];
    } | null;
    return found && found.names.join("\n") === picture.channels.map((channel) => channel.name).join("\n")
      ? found.shown
      : null;
  } catch {
    return null;
  }
}

/** Fires `sg-shown` (Shown[]) and `sg-outlines` (Outlines). */
@customElement("sg-channels")
export class SgChannels extends LitElement {
  static override styles = [
    shared,
    css`
      :host {
        color: var(--sg-ink);
      }
      .channel {
        padding: var(--sg-3) 0;
        border-top: 1px solid var(--sg-line);
        display: grid;
        gap: var(--sg-1);
      }
      .channel:first-of-type {
        border-top: 0;
        padding-top: 0;
      }
      .head {
        display: flex;
        align-items: center;
        gap: var(--sg-2);
      }
      .head label {
        display: flex;
        align-items: center;
        gap: var(--sg-2);
        flex: 1;
        min-width: 0;
        cursor: pointer;
      }
      .head label span {
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      input[type="color"] {
        appearance: none;
        width: 1.75rem !important;
        min-height: 1.75rem !important;
        height: 1.75rem;
        padding: 0 !important;
        border-radius: 50% !important;
        border: 1px solid var(--sg-line-strong);
        overflow: hidden;
        cursor: pointer;
        background: none;
      }
      input[type="color"]::-webkit-color-swatch-wrapper {
        padding: 0;
      }
      input[type="color"]::-webkit-color-swatch {
        border: 0;
      }
      input[type="color"]::-moz-color-swatch {
        border: 0;
      }
      .levels {
        position: relative;
        height: 3.5rem;
      }
      .off .levels,
      .off .numbers {
        opacity: 0.45;
      }
      .levels svg {
        position: absolute;
        inset: 0 0 0.875rem;
        width: 100%;
        height: calc(100% - 0.875rem);
      }
      .bars {
        fill: var(--sg-line-strong);
        opacity: 0.75;
      }
      .out {
        fill: var(--sg-surface);
        opacity: 0.7;
      }
      .levels input {
        position: absolute;
        left: 0;
        right: 0;
        bottom: 0;
        height: 1.75rem;
        margin: 0;
        appearance: none;
        background: none;
        pointer-events: none;
      }
      .levels input::-webkit-slider-runnable-track {
        height: 2px;
        background: var(--sg-line-strong);
      }
      .levels input + input::-webkit-slider-runnable-track {
        background: none;
      }
      .levels input::-webkit-slider-thumb {
        appearance: none;
        pointer-events: auto;
        width: 1rem;
        height: 1rem;
        margin-top: -0.4375rem;
        border-radius: 50%;
        background: var(--sg-surface);
        border: 3px solid var(--sg-accent);
        cursor: ew-resize;
      }
      .levels input::-moz-range-track {
        height: 2px;
        background: var(--sg-line-strong);
      }
      .levels input + input::-moz-range-track {
        background: none;
      }
      .levels input::-moz-range-thumb {
        pointer-events: auto;
        width: 0.75rem;
        height: 0.75rem;
        border-radius: 50%;
        background: var(--sg-surface);
        border: 3px solid var(--sg-accent);
      }
      .levels input:focus-visible {
        outline: none;
      }
      .levels input:focus-visible::-webkit-slider-thumb {
        outline: 3px solid var(--sg-focus);
        outline-offset: 2px;
      }
      .numbers {
        display: flex;
        justify-content: space-between;
        font-size: var(--sg-size-xs);
        color: var(--sg-ink-2);
      }
      .outlines {
        border-top: 1px solid var(--sg-line);
        padding-top: var(--sg-3);
        display: grid;
        gap: var(--sg-2);
      }
      .through {
        display: grid;
        grid-template-columns: auto 1fr auto;
        gap: var(--sg-3);
        align-items: center;
        font-size: var(--sg-size-s);
        color: var(--sg-ink-2);
      }
      .through label {
        font-weight: 400;
      }
      .reset {
        margin-top: var(--sg-3);
      }
    `,
  ];

  @property({ attribute: false }) channels: readonly ChannelFacts[] = [];
  @property({ attribute: false }) shown: readonly Shown[] = [];
  @property({ attribute: false }) outlines: Outlines | null = null;
  @property({ type: Number }) top = 65535;

  override render(): TemplateResult {
    return html`${this.channels.map((channel, at) => this.#channel(channel, at))}
      ${this.outlines ? this.#outlines(this.outlines) : nothing}
      <button class="quiet reset" @click=${this.#reset}>
        ${icon("again", 16)} Colours and brightness as at first
      </button>`;
  }

  protected override updated(_: PropertyValues<this>): void {
    for (const [at, channel] of this.channels.entries()) {
      const path = this.renderRoot.querySelector(`#bars-${at}`);
      path?.setAttribute("d", bars(channel));
    }
  }

  #channel(channel: ChannelFacts, at: number): TemplateResult {
    const shown = this.shown[at];
    if (!shown) return html``;
    const most = Math.max(channel.largest, shown.high, 1);
    const left = shown.low / most;
    const right = shown.high / most;
    return html`<div class="channel ${shown.visible ? "" : "off"}">
      <div class="head">
        <label
          ><input
            type="checkbox"
            .checked=${shown.visible}
            @change=${(event: Event) => this.#change(at, { visible: (event.target as HTMLInputElement).checked })}
          /><span title=${channel.name}>${channel.name}</span></label
        >
        <input
          type="color"
          aria-label="Colour of ${channel.name}"
          .value=${shown.colour}
          @input=${(event: Event) => this.#change(at, { colour: (event.target as HTMLInputElement).value })}
        />
      </div>
      <div class="levels">
        <svg viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true">
          <path id="bars-${at}" class="bars"></path>
          <rect class="out" x="0" y="0" width=${left} height="1"></rect>
          <rect class="out" x=${right} y="0" width=${Math.max(0, 1 - right)} height="1"></rect>
        </svg>
        <input
          type="range"
          aria-label="${channel.name}: black up to"
          min="0"
          max=${most}
          step=${step(most)}
          .value=${String(shown.low)}
          aria-valuetext="${count(shown.low)} counts"
          @input=${(event: Event) => this.#low(at, Number((event.target as HTMLInputElement).value))}
        />
        <input
          type="range"
          aria-label="${channel.name}: brightest from"
          min="0"
          max=${most}
          step=${step(most)}
          .value=${String(shown.high)}
          aria-valuetext="${count(shown.high)} counts"
          @input=${(event: Event) => this.#high(at, Number((event.target as HTMLInputElement).value))}
        />
      </div>
      <div class="numbers">
        <span>black up to ${count(shown.low)}</span><span>brightest from ${count(shown.high)} counts</span>
      </div>
    </div>`;
  }

  #outlines(outlines: Outlines): TemplateResult {
    const change = (part: Partial<Outlines>): void => this.#tell("sg-outlines", { ...outlines, ...part });
    return html`<div class="outlines">
      <div class="head">
        <label
          ><input
            type="checkbox"
            .checked=${outlines.visible}
            @change=${(event: Event) => change({ visible: (event.target as HTMLInputElement).checked })}
          /><span>Outlines of nuclei</span></label
        >
        <input
          type="color"
          aria-label="Colour of outlines"
          .value=${outlines.colour}
          @input=${(event: Event) => change({ colour: (event.target as HTMLInputElement).value })}
        />
      </div>
      <div class="through">
        <label for="opacity">Opacity</label>
        <input
          id="opacity"
          type="range"
          min="10"
          max="100"
          step="5"
          .value=${String(Math.round(outlines.opacity * 100))}
          ?disabled=${!outlines.visible}
          aria-valuetext="${Math.round(outlines.opacity * 100)} percent"
          @input=${(event: Event) => change({ opacity: Number((event.target as HTMLInputElement).value) / 100 })}
        />
        <span>${Math.round(outlines.opacity * 100)} %</span>
      </div>
    </div>`;
  }

  #low(at: number, low: number): void {
    this.#change(at, { low: Math.min(low, this.shown[at]!.high - 1) });
  }

  #high(at: number, high: number): void {
    this.#change(at, { high: Math.max(high, this.shown[at]!.low + 1) });
  }

  #change(at: number, part: Partial<Shown>): void {
    this.#tell(
      "sg-shown",
      this.shown.map((one, i) => (i === at ? { ...one, ...part } : one)),
    );
    this.requestUpdate();
  }

  #reset(): void {
    this.#tell("sg-shown", beginning(this.channels));
  }

  #tell(name: string, detail: unknown): void {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

const step = (most: number): number => (most > 2000 ? 5 : 1);

/** A histogram as a path in a square of side 1, from 0 counts on; heights are logarithms. */
function bars(channel: ChannelFacts): string {
  const most = Math.max(channel.largest, 1);
  const top = Math.log1p(Math.max(...channel.histogram, 1));
  const width = (channel.largest - channel.smallest + 1) / channel.histogram.length;
  return channel.histogram
    .map((pixels, bin) => {
      const x0 = (channel.smallest + bin * width) / most;
      const height = Math.log1p(pixels) / top;
      return `M${x0} 1V${1 - height}H${x0 + width / most}V1Z`;
    })
    .join("");
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-channels": SgChannels;
  }
}
