// SPDX-License-Identifier: BSD-3-Clause
/** A scatter plot on canvas. Dragging over it chooses two ranges; fields say the same in text. */
import { html, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { type Axis, axisFor, share, valueAt } from "./axes.ts";
import { packed } from "./compose.ts";
import { type Measure, type RangeFilter, titled } from "./nuclei.ts";
import { type Palette, Plot, brush, fieldValue, typeable } from "./plot.ts";
import type { Numbers } from "./reader.ts";

/** Side of the points of a few selected nuclei, in pixels of the screen. */
const LARGEST = 4;

/** Fires `sg-ranges` ([RangeFilter, RangeFilter] or null). */
@customElement("sg-scatter")
export class SgScatter extends Plot {
  @property({ attribute: false }) across: Measure | null = null;
  @property({ attribute: false }) up: Measure | null = null;
  @property({ attribute: false }) xs: Numbers | null = null;
  @property({ attribute: false }) ys: Numbers | null = null;
  @property({ attribute: false }) filter: [RangeFilter, RangeFilter] | null = null;
  @property({ type: Number }) chosen = -1;
  @property({ type: Boolean }) log = false;
  #x: Axis = { from: 0, to: 1, log: false };
  #y: Axis = { from: 0, to: 1, log: false };

  override willUpdate(changed: PropertyValues<this>): void {
    if (this.xs && (changed.has("xs") || changed.has("log"))) this.#x = axisFor(this.xs, this.log);
    if (this.ys && (changed.has("ys") || changed.has("log"))) this.#y = axisFor(this.ys, this.log);
  }

  override render(): TemplateResult {
    const { across, up } = this;
    if (!across || !up) return html``;
    const said = `Scatter plot of ${titled(up)} over ${titled(across)}. Drag over it to select nuclei, or use the fields below.`;
    const field = (which: 0 | 1, end: "from" | "to"): TemplateResult =>
      html`<input
        inputmode="decimal"
        aria-label="${(which ? up : across).label} ${end}"
        placeholder=${end}
        .value=${typeable(this.filter?.[which][end])}
        @change=${(event: Event) => this.#typed(event, which, end)}
      />`;
    return html`<div class="plot"><canvas role="img" aria-label=${said}></canvas></div>
      <details>
        <summary>Ranges as numbers</summary>
        <div class="range">
          <span class="what">${titled(across)}</span>${field(0, "from")}<span>to</span>${field(0, "to")}
        </div>
        <div class="range">
          <span class="what">${titled(up)}</span>${field(1, "from")}<span>to</span>${field(1, "to")}
        </div>
      </details>`;
  }

  #typed(event: Event, which: 0 | 1, end: "from" | "to"): void {
    const axes = [this.#x, this.#y] as const;
    const names = [this.across!.name, this.up!.name] as const;
    const now =
      this.filter ??
      [0, 1].map((at) => ({
        column: names[at]!,
        from: Number.NEGATIVE_INFINITY,
        to: Number.POSITIVE_INFINITY,
      }));
    const next = now.map((one, at) =>
      at === which ? { ...one, [end]: fieldValue(event, axes[at]![end]) } : one,
    ) as [RangeFilter, RangeFilter];
    if (next[which].from <= next[which].to) this.#tell(next);
  }

  #tell(filter: [RangeFilter, RangeFilter] | null): void {
    this.dispatchEvent(new CustomEvent("sg-ranges", { detail: filter }));
  }

  protected override brushed(): void {
    const { x0, x1, y0, y1 } = this.drag!;
    if (Math.abs(x0 - x1) < 0.004 || Math.abs(y0 - y1) < 0.004) return;
    const range = (axis: Axis, column: string, a: number, b: number): RangeFilter => ({
      column,
      from: Math.min(a, b) <= 0 ? Number.NEGATIVE_INFINITY : valueAt(axis, Math.min(a, b)),
      to: Math.max(a, b) >= 1 ? Number.POSITIVE_INFINITY : valueAt(axis, Math.max(a, b)),
    });
    this.#tell([range(this.#x, this.across!.name, x0, x1), range(this.#y, this.up!.name, y0, y1)]);
  }

  protected override clear(): void {
    this.#tell(null);
  }

  protected override paint(
    canvas: CanvasRenderingContext2D,
    width: number,
    height: number,
    palette: Palette,
  ): void {
    const { xs, ys, across, up } = this;
    if (!xs || !ys || !across || !up) return;
    this.axes(canvas, width, height, palette, this.#x, this.#y, [titled(across), titled(up)]);
    this.#points(canvas, xs, ys, width, height, palette);
    if (this.chosen >= 0) this.#ring(canvas, xs[this.chosen]!, ys[this.chosen]!, width, height, palette);
    const filter = this.filter;
    if (filter && filter[0].column === across.name && filter[1].column === up.name)
      brush(canvas, palette, width, height, this.#x, filter[0], this.#y, filter[1]);
  }

  #spots: { key: string; xs: Numbers; ys: Numbers; at: Int32Array } | null = null;

  /** For each nucleus the place of its point in the picture of all points; -1 outside. Found once for axes and size. */
  #places(xs: Numbers, ys: Numbers, wide: number, tall: number): Int32Array {
    const key = JSON.stringify([wide, tall, this.#x, this.#y]);
    if (this.#spots?.key === key && this.#spots.xs === xs && this.#spots.ys === ys) return this.#spots.at;
    const place = (axis: Axis, value: number): number =>
      axis.log
        ? Math.log(value / axis.from) / Math.log(axis.to / axis.from)
        : (value - axis.from) / (axis.to - axis.from);
    const at = new Int32Array(xs.length);
    for (let i = 0; i < xs.length; i++) {
      const x = Math.round(place(this.#x, xs[i]!) * (wide - LARGEST));
      const y = Math.round((1 - place(this.#y, ys[i]!)) * (tall - LARGEST));
      at[i] = x >= 0 && y >= 0 && x <= wide - LARGEST && y <= tall - LARGEST ? y * wide + x : -1;
    }
    this.#spots = { key, xs, ys, at };
    return at;
  }

  /** All points as a picture: the more nuclei at a place, the stronger; selected ones in their own colour on top. */
  #points(
    canvas: CanvasRenderingContext2D,
    xs: Numbers,
    ys: Numbers,
    width: number,
    height: number,
    palette: Palette,
  ): void {
    const dense = devicePixelRatio;
    const wide = Math.max(LARGEST, Math.round(width * dense));
    const tall = Math.max(LARGEST, Math.round(height * dense));
    const places = this.#places(xs, ys, wide, tall);
    const selected = this.selected;
    const all = new Uint16Array(wide * tall);
    const some = new Uint16Array(wide * tall);
    const size = xs.length > 50_000 ? 1 : xs.length > 3000 ? 2 : 3;
    const large = selected && selected.reduce((sum, one) => sum + one, 0) < 400 ? LARGEST : size;
    for (let i = 0; i < places.length; i++) {
      const at = places[i]!;
      if (at < 0) continue;
      const own = selected !== null && selected[i] === 1;
      const into = own ? some : all;
      const side = own ? large : size;
      for (let dy = 0; dy < side; dy++) for (let dx = 0; dx < side; dx++) into[at + dy * wide + dx]! += 1;
    }
    const image = new ImageData(wide, tall);
    const pixels = new Uint32Array(image.data.buffer);
    const mark = components(selected ? palette.mark : palette.picked);
    const picked = components(palette.picked);
    const shades = Uint32Array.from({ length: 256 }, (_, nuclei) =>
      packed(mark, Math.min(1, (selected ? 0.22 : 0.28) + 0.14 * Math.log2(1 + nuclei))),
    );
    const brights = Uint32Array.from({ length: 256 }, (_, nuclei) =>
      packed(picked, Math.min(1, 0.6 + 0.2 * nuclei)),
    );
    for (let i = 0; i < pixels.length; i++) {
      if (some[i]) pixels[i] = brights[Math.min(255, some[i]!)]!;
      else if (all[i]) pixels[i] = shades[Math.min(255, all[i]!)]!;
    }
    const picture = document.createElement("canvas");
    picture.width = wide;
    picture.height = tall;
    picture.getContext("2d")!.putImageData(image, 0, 0);
    canvas.drawImage(picture, 0, 0, width, height);
  }

  #ring(
    canvas: CanvasRenderingContext2D,
    x: number,
    y: number,
    width: number,
    height: number,
    palette: Palette,
  ): void {
    const at = [share(this.#x, x) * width, height - share(this.#y, y) * height] as const;
    if (!at.every(Number.isFinite)) return;
    canvas.beginPath();
    canvas.arc(at[0], at[1], 6, 0, 2 * Math.PI);
    canvas.strokeStyle = palette.ink;
    canvas.lineWidth = 2;
    canvas.stroke();
  }
}

function components(colour: string): [number, number, number] {
  const parts = /rgba?\((\d+)[ ,]+(\d+)[ ,]+(\d+)/.exec(colour);
  if (parts) return [Number(parts[1]), Number(parts[2]), Number(parts[3])];
  const shares = /color\(srgb ([\d.]+) ([\d.]+) ([\d.]+)/.exec(colour);
  return shares
    ? [255 * Number(shares[1]), 255 * Number(shares[2]), 255 * Number(shares[3])]
    : [128, 128, 128];
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-scatter": SgScatter;
  }
}
