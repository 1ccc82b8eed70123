// SPDX-License-Identifier: BSD-3-Clause
/** A histogram on canvas. Dragging over it chooses a range; fields and a table say the same in text. */
import { html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { count } from "../words.ts";
import { type Axis, axisFor, binned, share, valueAt } from "./axes.ts";
import { type Measure, type RangeFilter, shown, titled } from "./nuclei.ts";
import { type Palette, Plot, brush, fieldValue, typeable } from "./plot.ts";
import type { Numbers } from "./reader.ts";

const BINS = 56;
const TABLE_BINS = 14;

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

declare global {
  interface HTMLElementTagNameMap {
    "sg-histogram": SgHistogram;
  }
}
