// SPDX-License-Identifier: BSD-3-Clause
/** Nuclei in words and numbers: a range, means, one nucleus. */
import { html, nothing, type TemplateResult } from "lit";
import { icon } from "../elements/icon.ts";
import {
  type Filters,
  type Measure,
  NO_FILTERS,
  type Nuclei,
  type RangeFilter,
  mean,
  shown,
  titled,
} from "./nuclei.ts";

/** A range as it is read. */
export function rangeWords({ column, from, to }: RangeFilter, measure: Measure | null): string {
  const name = measure?.label ?? column;
  const unit = measure?.unit ? ` ${measure.unit}` : "";
  if (from === Number.NEGATIVE_INFINITY)
    return to === Number.POSITIVE_INFINITY ? `any ${name}` : `${name} up to ${shown(to)}${unit}`;
  return to === Number.POSITIVE_INFINITY
    ? `${name} from ${shown(from)}${unit}`
    : `${name} ${shown(from)} to ${shown(to)}${unit}`;
}

/** What the selected nuclei are on average, beside all. */
export function means(
  nuclei: Nuclei,
  measures: readonly Measure[],
  selected: Uint8Array | null,
): TemplateResult {
  return html`<table class="means">
    <caption class="sr">
      Means${selected ? " of the selected nuclei and of all" : ""}
    </caption>
    <thead>
      <tr>
        <th scope="col">On average</th>
        ${selected ? html`<th scope="col">selected</th>` : nothing}
        <th scope="col">all</th>
      </tr>
    </thead>
    <tbody>
      ${measures.map((measure) => {
        const values = nuclei.at(measure.name);
        const of = (which: Uint8Array | null): string => (values ? shown(mean(values, which).mean) : "…");
        return html`<tr>
          <th scope="row">${titled(measure)}</th>
          ${selected ? html`<td>${of(selected)}</td>` : nothing}
          <td>${of(null)}</td>
        </tr>`;
      })}
    </tbody>
  </table>`;
}

/** One nucleus and its measurements. */
export function card(
  nuclei: Nuclei,
  row: number,
  measures: readonly Measure[],
  show: () => void,
  leave: () => void,
): TemplateResult {
  return html`<div class="one">
    <div class="row">
      <h3>Nucleus ${nuclei.at("id")?.[row]}</h3>
      <span
        ><button class="quiet" @click=${show}>Show</button
        ><button class="quiet" aria-label="Let go of this nucleus" @click=${leave}>
          ${icon("cross", 16)}
        </button></span
      >
    </div>
    <dl>
      ${measures.map((measure) => {
        const value = nuclei.at(measure.name)?.[row];
        return html`<dt>${measure.label}</dt>
          <dd>${value === undefined ? "…" : `${shown(value)} ${measure.unit}`}</dd>`;
      })}
    </dl>
  </div>`;
}

/** A list of measures to choose from, in groups. */
export function chooser(
  id: string,
  value: string,
  measures: readonly Measure[],
  set: (name: string) => void,
): TemplateResult {
  const groups = [...new Set(measures.map((one) => one.group))];
  return html`<select
    id=${id}
    .value=${value}
    @change=${(event: Event) => {
      const name = (event.target as HTMLSelectElement).value;
      set(name);
    }}
  >
    ${groups.map((group) => html`<optgroup label=${group}>${measures.filter((one) => one.group === group).map((one) => html`<option value=${one.name} ?selected=${one.name === value}>${titled(one)}</option>`)}</optgroup>`)}
  </select>`;
}

/** What narrows the selection, each with a way to take it back. */
export function chips(
  filters: Filters,
  micrometres: number | null,
  measure: (name: string) => Measure | null,
  filter: (part: Partial<Filters>) => void,
): TemplateResult {
  const { histogram, scatter, region } = filters;
  if (!histogram && !scatter && !region)
    return html`<p class="hint">
      Drag over a plot, or hold Shift and drag over the picture, to select nuclei.
    </p>`;
  const chip = (words: string, part: Partial<Filters>): TemplateResult =>
    html`<button aria-label="Remove: ${words}" @click=${() => filter(part)}>
      ${words} ${icon("cross", 12)}
    </button>`;
  const size = micrometres;
  const side = (a: number, b: number): string => shown((b - a) * (size ?? 1));
  return html`<div class="chips">
    ${histogram ? chip(rangeWords(histogram, measure(histogram.column)), { histogram: null }) : nothing}
    ${scatter ? chip(scatter.map((one) => rangeWords(one, measure(one.column))).join(", "), { scatter: null }) : nothing}
    ${region ? chip(`Region ${side(region.x0, region.x1)} × ${side(region.y0, region.y1)} ${size ? "µm" : "px"}`, { region: null }) : nothing}
    ${[histogram, scatter, region].filter(Boolean).length > 1 ? html`<button @click=${() => filter(NO_FILTERS)}>Clear all</button>` : nothing}
  </div>`;
}
