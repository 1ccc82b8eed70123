// SPDX-License-Identifier: BSD-3-Clause
/** A histogram and a scatter plot on canvas. Dragging over them chooses a range; a table and fields say the same in text. */
import { LitElement, css, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { shared } from "../elements/base.ts";
import { count } from "../words.ts";
import { type Axis, axisFor, binned, share, ticks, valueAt } from "./axes.ts";
import { packed } from "./compose.ts";
import { type Measure, type RangeFilter, shown, titled } from "./nuclei.ts";
import type { Numbers } from "./reader.ts";

const BINS = 56;
const TABLE_BINS = 14;
const LEFT = 56;
const BOTTOM = 38;
const TOP = 8;
const RIGHT = 10;
/** Side of the points of a few selected nuclei, in pixels of the screen. */
const LARGEST = 4;

/** Colours as the page has them now. */
interface Palette {
  ink: string;
  line: string;
  mark: string;
  picked: string;
  brush: string;
  font: string;
}

abstract class Plot extends LitElement {
  static override styles = [
    shared,
    css`
      :host {
        display: block;
      }
      .plot {
        position: relative;
      }
      canvas {
        display: block;
        width: 100%;
        height: var(--plot-height, 11rem);
        cursor: crosshair;
        touch-action: none;
        border-radius: var(--sg-radius-s);
      }
      .range {
        display: grid;
        grid-template-columns: 1fr auto 1fr;
        gap: var(--sg-1) var(--sg-2);
        align-items: center;
        margin-top: var(--sg-2);
      }
      .range span {
        font-size: var(--sg-size-xs);
        color: var(--sg-ink-2);
      }
      .range .what {
        grid-column: 1 / -1;
      }
      .range input {
        min-height: 2rem !important;
        padding: 0.125rem 0.5rem !important;
        font-size: var(--sg-size-s) !important;
      }
      :host(sg-scatter) {
        --plot-height: 14rem;
      }
      details {
        margin-top: var(--sg-2);
        font-size: var(--sg-size-s);
      }
      summary {
        cursor: pointer;
        color: var(--sg-accent-ink);
        width: fit-content;
        border-radius: var(--sg-radius-s);
      }
      table {
        width: 100%;
        border-collapse: collapse;
        margin-top: var(--sg-2);
        font-variant-numeric: tabular-nums;
        font-size: var(--sg-size-xs);
      }
      th,
      td {
        text-align: right;
        padding: 0.125rem 0.375rem;
        border-bottom: 1px solid var(--sg-line);
        font-weight: 400;
      }
      thead th {
        font-weight: 580;
        color: var(--sg-ink-2);
      }
      td button {
        min-height: 1.5rem;
        padding: 0 0.5rem;
        font-size: var(--sg-size-xs);
      }
    `,
  ];

  @property({ attribute: false }) selected: Uint8Array | null = null;
  /** Changes with the theme, so that the plot is drawn anew. */
  @property() theme = "";
  @query("canvas") protected canvas!: HTMLCanvasElement;
  protected drag: { x0: number; y0: number; x1: number; y1: number } | null = null;
  #resize = new ResizeObserver(() => this.draw());

  #began = false;

  /** Listen to the canvas, once it is there. */
  #begin(): void {
    this.#began = true;
    this.#resize.observe(this.canvas);
    this.canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.canvas.setPointerCapture(event.pointerId);
      const { x, y } = this.#place(event);
      this.drag = { x0: x, y0: y, x1: x, y1: y };
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!this.drag) return;
      const { x, y } = this.#place(event);
      this.drag.x1 = x;
      this.drag.y1 = y;
      this.brushed(false);
      this.draw();
    });
    const end = (): void => {
      if (!this.drag) return;
      const { x0, x1, y0, y1 } = this.drag;
      if (Math.abs(x0 - x1) < 0.01 && Math.abs(y0 - y1) < 0.01) this.clear();
      else this.brushed(true);
      this.drag = null;
      this.draw();
    };
    this.canvas.addEventListener("pointerup", end);
    this.canvas.addEventListener("pointercancel", end);
  }

  override updated(_: PropertyValues): void {
    if (!this.canvas) return;
    if (!this.#began) this.#begin();
    this.draw();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#resize.disconnect();
  }

  /** Where an event is in the plot: shares of its axes, from the left and from the bottom. */
  #place(event: PointerEvent): { x: number; y: number } {
    const box = this.canvas.getBoundingClientRect();
    const x = (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
    const y = 1 - (event.clientY - box.top - TOP) / (box.height - TOP - BOTTOM);
    return { x: Math.min(1, Math.max(0, x)), y: Math.min(1, Math.max(0, y)) };
  }

  protected abstract brushed(ended: boolean): void;
  protected abstract clear(): void;
  protected abstract paint(
    canvas: CanvasRenderingContext2D,
    width: number,
    height: number,
    palette: Palette,
  ): void;

  protected draw(): void {
    const { canvas } = this;
    if (!canvas?.clientWidth) return;
    const dense = devicePixelRatio;
    canvas.width = Math.round(canvas.clientWidth * dense);
    canvas.height = Math.round(canvas.clientHeight * dense);
    const context = canvas.getContext("2d")!;
    const style = getComputedStyle(this);
    const probe = (name: string): string => resolved(this.renderRoot as ShadowRoot, name);
    const palette: Palette = {
      ink: probe("--sg-ink-2"),
      line: probe("--sg-line"),
      mark: probe("--sg-line-strong"),
      picked: probe("--sg-accent"),
      brush: probe("--sg-accent"),
      font: style.fontFamily,
    };
    context.setTransform(dense, 0, 0, dense, LEFT * dense, TOP * dense);
    this.paint(context, canvas.clientWidth - LEFT - RIGHT, canvas.clientHeight - TOP - BOTTOM, palette);
  }

  protected axes(
    canvas: CanvasRenderingContext2D,
    width: number,
    height: number,
    palette: Palette,
    x: Axis,
    y: Axis | null,
    words: [string, string],
  ): void {
    canvas.font = `12px ${palette.font}`;
    canvas.fillStyle = palette.ink;
    canvas.strokeStyle = palette.line;
    canvas.lineWidth = 1;
    canvas.textAlign = "center";
    canvas.textBaseline = "top";
    for (const tick of ticks(x, width / 62)) {
      const at = share(x, tick.value) * width;
      canvas.fillText(tick.words, Math.min(width - 4, Math.max(4, at)), height + 5);
      stroke(canvas, at, height, at, height + 3);
    }
    canvas.fillText(words[0], width / 2, height + 21, width);
    canvas.textAlign = "right";
    canvas.textBaseline = "middle";
    for (const tick of y ? ticks(y, height / 36) : []) {
      const at = height - share(y!, tick.value) * height;
      canvas.fillText(tick.words, -6, at);
      stroke(canvas, 0, at, width, at);
    }
    stroke(canvas, 0, height, width, height);
    if (words[1]) {
      canvas.save();
      canvas.translate(-47, height / 2);
      canvas.rotate(-Math.PI / 2);
      canvas.textAlign = "center";
      canvas.fillText(words[1], 0, 0, height);
      canvas.restore();
    }
  }
}

function stroke(canvas: CanvasRenderingContext2D, x0: number, y0: number, x1: number, y1: number): void {
  canvas.beginPath();
  canvas.moveTo(Math.round(x0) + 0.5, Math.round(y0) + 0.5);
  canvas.lineTo(Math.round(x1) + 0.5, Math.round(y1) + 0.5);
  canvas.stroke();
}

/** The colour that a name stands for here and now; custom properties hold both themes. */
function resolved(root: ShadowRoot, name: string): string {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  root.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

/** What stands in a field: nothing where a range has no end. */
const typeable = (value: number | undefined): string =>
  value !== undefined && Number.isFinite(value) ? shown(value) : "";

/** A number of a field; what is no number counts as the end of the axis. */
function fieldValue(event: Event, otherwise: number): number {
  const typed = (event.target as HTMLInputElement).value.replaceAll(",", "").trim();
  const value = Number(typed);
  return typed === "" || !Number.isFinite(value) ? otherwise : value;
}

/** Fires `sg-range` (RangeFilter or null). */
@customElement("sg-histogram")
export class SgHistogram extends Plot {
  @property({ attribute: false }) measure: Measure | null = null;
  @property({ attribute: false }) values: Numbers | null = null;
  @property({ attribute: false }) filter: RangeFilter | null = null;
  @property({ type: Boolean }) log = false;
  @state() private table = false;
  #axis: Axis = { from: 0, to: 1, log: false };
  #counts: Float64Array = new Float64Array(BINS);

  override willUpdate(changed: PropertyValues<this>): void {
    if (!this.values || !(changed.has("values") || changed.has("log"))) return;
    this.#axis = axisFor(this.values, this.log);
    this.#counts = binned(this.values, this.#axis, BINS, null);
  }

  override render(): TemplateResult {
    const measure = this.measure;
    if (!measure) return html``;
    const said = `Histogram of ${titled(measure)}. Drag over it to select nuclei, or use the fields below.`;
    return html`<div class="plot"><canvas role="img" aria-label=${said}></canvas></div>
      <div class="range">
        <input
          inputmode="decimal"
          aria-label="${measure.label} from"
          placeholder="from"
          .value=${typeable(this.filter?.from)}
          @change=${(event: Event) => this.#typed(event, "from")}
        />
        <span>to</span>
        <input
          inputmode="decimal"
          aria-label="${measure.label} to"
          placeholder="to"
          .value=${typeable(this.filter?.to)}
          @change=${(event: Event) => this.#typed(event, "to")}
        />
      </div>
      <details @toggle=${(event: Event) => (this.table = (event.target as HTMLDetailsElement).open)}>
        <summary>The same as a table</summary>
        ${this.table ? this.#asTable(measure) : nothing}
      </details>`;
  }

  #asTable(measure: Measure): TemplateResult {
    const values = this.values;
    if (!values) return html``;
    const all = binned(values, this.#axis, TABLE_BINS, null);
    const some = this.selected ? binned(values, this.#axis, TABLE_BINS, this.selected) : null;
    return html`<table>
      <caption class="sr">
        Nuclei by ${measure.label}
      </caption>
      <thead>
        <tr>
          <th scope="col">${titled(measure)}</th>
          <th scope="col">nuclei</th>
          ${some ? html`<th scope="col">selected</th>` : nothing}
          <th scope="col"><span class="sr">select</span></th>
        </tr>
      </thead>
      <tbody>
        ${Array.from(all, (nuclei, bin) => {
          const from = valueAt(this.#axis, bin / TABLE_BINS);
          const to = valueAt(this.#axis, (bin + 1) / TABLE_BINS);
          const range = `${shown(from)} to ${shown(to)}`;
          return html`<tr>
            <th scope="row">${range}</th>
            <td>${count(nuclei)}</td>
            ${some ? html`<td>${count(some[bin]!)}</td>` : nothing}
            <td>
              <button aria-label="Select ${measure.label} ${range}" @click=${() => this.#tell(from, to)}>
                Select
              </button>
            </td>
          </tr>`;
        })}
      </tbody>
    </table>`;
  }

  #typed(event: Event, end: "from" | "to"): void {
    const now = this.filter ?? { column: this.measure!.name, from: this.#axis.from, to: this.#axis.to };
    const value = fieldValue(event, this.#axis[end]);
    const next = { ...now, [end]: value };
    if (next.from <= next.to) this.#tell(next.from, next.to);
  }

  #tell(from: number, to: number): void {
    this.dispatchEvent(
      new CustomEvent("sg-range", { detail: { column: this.measure!.name, from, to } satisfies RangeFilter }),
    );
  }

  protected override brushed(): void {
    const { x0, x1 } = this.drag!;
    const low = Math.min(x0, x1);
    const high = Math.max(x0, x1);
    if (high - low < 0.004) return;
    this.#tell(
      low <= 0 ? Number.NEGATIVE_INFINITY : valueAt(this.#axis, low),
      high >= 1 ? Number.POSITIVE_INFINITY : valueAt(this.#axis, high),
    );
  }

  protected override clear(): void {
    this.dispatchEvent(new CustomEvent("sg-range", { detail: null }));
  }

  protected override paint(
    canvas: CanvasRenderingContext2D,
    width: number,
    height: number,
    palette: Palette,
  ): void {
    if (!this.values || !this.measure) return;
    const most = Math.max(1, ...this.#counts);
    const upward: Axis = { from: 0, to: most * 1.05, log: false };
    this.axes(canvas, width, height, palette, this.#axis, upward, [titled(this.measure), "nuclei"]);
    const some = this.selected ? binned(this.values, this.#axis, BINS, this.selected) : null;
    const wide = width / BINS;
    const draw = (counts: Float64Array, colour: string, times: number): void => {
      canvas.fillStyle = colour;
      counts.forEach((nuclei, bin) => {
        const tall = share(upward, nuclei * times) * height;
        if (nuclei > 0)
          canvas.fillRect(
            bin * wide + 0.5,
            height - Math.max(tall, 1),
            Math.max(1, wide - 1),
            Math.max(tall, 1),
          );
      });
    };
    canvas.globalAlpha = some ? 0.4 : 1;
    draw(this.#counts, palette.mark, 1);
    canvas.globalAlpha = 1;
    if (some) {
      const times = taller(Math.max(...some), most);
      draw(some, palette.picked, times);
      canvas.fillStyle = palette.ink;
      canvas.textAlign = "right";
      canvas.textBaseline = "top";
      if (times > 1) canvas.fillText(`selected: ${count(times)} times as tall`, width, 0);
    }
    if (this.filter?.column === this.measure.name)
      brush(canvas, palette, width, height, this.#axis, this.filter, null, null);
  }
}

/** How many times as tall the bars of few selected nuclei are drawn, so that they are seen: a round number. */
function taller(most: number, all: number): number {
  if (most === 0 || most > 0.12 * all) return 1;
  const room = (0.6 * all) / most;
  const ten = 10 ** Math.floor(Math.log10(room));
  return [5, 2, 1].map((step) => step * ten).find((times) => times <= room) ?? 1;
}

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

function brush(
  canvas: CanvasRenderingContext2D,
  palette: Palette,
  width: number,
  height: number,
  x: Axis,
  rangeX: RangeFilter,
  y: Axis | null,
  rangeY: RangeFilter | null,
): void {
  const inside = (axis: Axis, value: number): number => {
    if (value === Number.POSITIVE_INFINITY) return 1;
    return value === Number.NEGATIVE_INFINITY ? 0 : Math.min(1, Math.max(0, share(axis, value)));
  };
  const x0 = inside(x, rangeX.from) * width;
  const x1 = inside(x, rangeX.to) * width;
  const y1 = y && rangeY ? height - inside(y, rangeY.from) * height : height;
  const y0 = y && rangeY ? height - inside(y, rangeY.to) * height : 0;
  canvas.save();
  canvas.globalAlpha = 0.12;
  canvas.fillStyle = palette.brush;
  canvas.fillRect(x0, y0, x1 - x0, y1 - y0);
  canvas.globalAlpha = 1;
  canvas.strokeStyle = palette.brush;
  canvas.lineWidth = 1.5;
  canvas.strokeRect(x0, y0, x1 - x0, y1 - y0);
  canvas.restore();
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-histogram": SgHistogram;
    "sg-scatter": SgScatter;
  }
}
