// SPDX-License-Identifier: BSD-3-Clause
/** A slide whose parts light up as they are computed. */
import { LitElement, css, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { Api, type Units } from "../api.ts";
import { shared } from "../elements/base.ts";
import { overviewOf } from "../elements/thumb.ts";
import { count } from "../words.ts";

const GLOW = 900;
const SIDE = 1024;

/** Whether bit `i` of a base64 bitmap is set, lowest bit of the first byte first. */
export function bits(text: string, n: number): boolean[] {
  const raw = atob(text);
  return Array.from({ length: n }, (_each, i) => ((raw.charCodeAt(i >> 3) >> (i & 7)) & 1) === 1);
}

/** Asks for the Units of one Task while it is computed. */
@customElement("sg-mosaic")
export class SgMosaic extends LitElement {
  static override styles = [
    shared,
    css`
      figure {
        display: grid;
        gap: var(--sg-3);
      }
      .stage {
        position: relative;
        background: #0b0d12;
        border-radius: var(--sg-radius);
        overflow: hidden;
        display: grid;
        place-items: center;
        min-height: 12rem;
      }
      canvas {
        display: block;
        max-width: 100%;
        max-height: 26rem;
        grid-area: 1 / 1;
      }
      canvas[hidden] {
        display: none;
      }
      :host([large]) canvas {
        max-height: 36rem;
      }
      figcaption {
        font-size: var(--sg-size-s);
        color: var(--sg-ink-2);
        display: grid;
        gap: var(--sg-2);
      }
      figcaption b {
        color: var(--sg-ink);
        font-weight: 580;
        overflow-wrap: anywhere;
      }
    `,
  ];

  @property() base = "";
  @property() run = "";
  @property() image = "";
  @property() name = "";
  @property({ type: Number }) number = 0;
  @property({ type: Boolean }) active = false;
  @state() private units: Units | null = null;
  @state() private picture: HTMLImageElement | null = null;
  @query("canvas") private canvas!: HTMLCanvasElement;
  private lit = new Map<number, number>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private frame = 0;
  private turn = 0;

  override disconnectedCallback(): void {
    clearTimeout(this.timer);
    cancelAnimationFrame(this.frame);
    this.turn += 1;
    super.disconnectedCallback();
  }

  override connectedCallback(): void {
    super.connectedCallback();
    if (this.hasUpdated) this.#begin();
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has("image") || changed.has("number") || changed.has("run")) this.#begin();
    else if (changed.has("active") && this.active) void this.#ask(this.turn);
  }

  #begin(): void {
    this.units = null;
    this.picture = null;
    this.lit.clear();
    const turn = (this.turn += 1);
    overviewOf(this.base, this.image, (address) => {
      const picture = new Image();
      picture.onload = () => {
        if (turn === this.turn && !(this.picture && this.picture.naturalWidth > picture.naturalWidth))
          this.picture = picture;
      };
      picture.src = address;
    }).catch(() => undefined); // the parts light up without it
    void this.#ask(turn);
  }

  async #ask(turn: number): Promise<void> {
    clearTimeout(this.timer);
    try {
      const units = await Api.at(this.base).units(this.run, this.number);
      if (turn !== this.turn) return;
      this.#take(units);
    } catch {
      // it may not be there yet: asked again
    }
    if (turn === this.turn && this.active) this.timer = setTimeout(() => void this.#ask(turn), 2000);
  }

  #take(units: Units): void {
    const now = performance.now();
    const first = this.units?.step !== units.step;
    if (first) this.lit.clear();
    bits(units.done, units.units).forEach((done, i) => {
      if (done && !this.lit.has(i)) this.lit.set(i, first ? now - GLOW : now);
    });
    this.units = units;
  }

  protected override updated(): void {
    this.#draw();
  }

  #draw = (): void => {
    cancelAnimationFrame(this.frame);
    const { picture, canvas } = this;
    const shape = this.units?.shape;
    if (!canvas || !(picture || shape)) return;
    const [rows, across] = shape ?? [picture!.naturalHeight, picture!.naturalWidth];
    const size = [
      Math.round((SIDE * across) / Math.max(rows, across)),
      Math.round((SIDE * rows) / Math.max(rows, across)),
    ] as const;
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    const pen = canvas.getContext("2d")!;
    const { width, height } = canvas;
    pen.globalAlpha = 1;
    if (picture) pen.drawImage(picture, 0, 0, width, height);
    else pen.clearRect(0, 0, width, height);
    const grid =
      this.units?.shape && this.units.side ? { shape: this.units.shape, side: this.units.side } : null;
    if (!grid) return;
    pen.fillStyle = "rgb(11 13 18 / 72%)";
    pen.fillRect(0, 0, width, height);
    const columns = Math.ceil(grid.shape[1] / grid.side);
    const scale = [width / grid.shape[1], height / grid.shape[0]] as const;
    const cell = (i: number): [number, number, number, number] => {
      const x = (i % columns) * grid.side * scale[0];
      const y = Math.floor(i / columns) * grid.side * scale[1];
      return [x, y, Math.min(width - x, grid.side * scale[0]), Math.min(height - y, grid.side * scale[1])];
    };
    const now = performance.now();
    let moving = false;
    for (const [i, since] of this.lit) {
      const part = Math.min(1, (now - since) / GLOW);
      const [x, y, w, h] = cell(i);
      if (w <= 0 || h <= 0) continue;
      pen.globalAlpha = Math.min(1, part * 2);
      if (picture) {
        const by = picture.naturalWidth / width;
        pen.drawImage(picture, x * by, y * by, w * by, h * by, x, y, w, h);
      } else {
        pen.fillStyle = "#3b3a63";
        pen.fillRect(x, y, w, h);
      }
      if (part < 1) {
        pen.globalAlpha = (1 - part) * 0.55;
        pen.fillStyle = "#b9b3ff";
        pen.fillRect(x, y, w, h);
        moving = true;
      }
    }
    pen.globalAlpha = 1;
    pen.lineWidth = 1;
    pen.strokeStyle = "rgb(255 255 255 / 14%)";
    pen.beginPath();
    for (let x = grid.side * scale[0]; x < width - 1; x += grid.side * scale[0])
      (pen.moveTo(Math.round(x) + 0.5, 0), pen.lineTo(Math.round(x) + 0.5, height));
    for (let y = grid.side * scale[1]; y < height - 1; y += grid.side * scale[1])
      (pen.moveTo(0, Math.round(y) + 0.5), pen.lineTo(width, Math.round(y) + 0.5));
    pen.stroke();
    pen.lineWidth = Math.max(2, width / 400);
    pen.strokeStyle = "#a9a3f7";
    for (const i of this.units?.current ?? []) {
      const [x, y, w, h] = cell(i);
      pen.strokeRect(x + pen.lineWidth, y + pen.lineWidth, w - 2 * pen.lineWidth, h - 2 * pen.lineWidth);
    }
    if (moving) this.frame = requestAnimationFrame(this.#draw);
  };

  override render(): TemplateResult {
    const n = this.units?.units ?? 0;
    const done = this.lit.size;
    const said = n ? `${count(done)} of ${count(n)} parts of the slide are computed` : "The slide";
    return html`<figure>
      <div class="stage">
        <canvas role="img" aria-label=${said} ?hidden=${!this.picture && !this.units?.shape}></canvas
        >${this.picture ? nothing : html`<span class="sr">The picture is being made</span>`}
      </div>
      <figcaption>
        <b>${this.name}</b>
        ${n > 1 ? html`<sg-progress .value=${done / n} tone=${done === n ? "good" : "busy"} label="Parts of the slide"></sg-progress><span class="numbers">${said}.</span>` : nothing}
      </figcaption>
    </figure>`;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-mosaic": SgMosaic;
  }
}
