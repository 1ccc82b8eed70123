// SPDX-License-Identifier: BSD-3-Clause
/** The selected nuclei, a page at a time, and all of their measurements as a CSV file made here. */
import { LitElement, css, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { shared } from "../elements/base.ts";
import { icon } from "../elements/icon.ts";
import { count } from "../words.ts";
import { type Measure, type Nuclei, shown, titled } from "./nuclei.ts";
import type { Numbers } from "./reader.ts";

const PAGE = 8;

/** Fires `sg-pick` (row). */
@customElement("sg-nuclei-list")
export class SgNucleiList extends LitElement {
  static override styles = [
    shared,
    css`
      table {
        width: 100%;
        border-collapse: collapse;
        font-size: var(--sg-size-s);
        font-variant-numeric: tabular-nums;
      }
      th,
      td {
        text-align: right;
        padding: 0.3125rem 0.375rem;
        border-bottom: 1px solid var(--sg-line);
        font-weight: 400;
      }
      thead th {
        font-size: var(--sg-size-xs);
        font-weight: 580;
        color: var(--sg-ink-2);
        vertical-align: bottom;
        line-height: 1.3;
      }
      th:first-child {
        text-align: left;
        padding-left: 0;
      }
      tr.chosen {
        background: var(--sg-accent-soft);
      }
      td button,
      th button {
        min-height: 1.625rem;
        padding: 0 0.375rem;
        font-variant-numeric: tabular-nums;
        margin-left: -0.375rem;
      }
      .pages {
        display: flex;
        align-items: center;
        justify-content: space-between;
        gap: var(--sg-2);
        margin-top: var(--sg-2);
        font-size: var(--sg-size-s);
      }
      .pages button {
        min-height: 2rem;
        padding: 0 0.5rem;
      }
      .csv {
        margin-top: var(--sg-3);
        width: 100%;
      }
    `,
  ];

  @property({ attribute: false }) nuclei: Nuclei | null = null;
  @property({ attribute: false }) selected: Uint8Array | null = null;
  @property({ attribute: false }) measures: readonly Measure[] = [];
  @property({ type: Number }) chosen = -1;
  @property() file = "nuclei";
  /** Changes when another column has arrived. */
  @property({ type: Number }) arrived = 0;
  @state() private page = 0;
  @state() private making = false;
  #rows: Uint32Array = new Uint32Array(0);

  override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has("selected") || changed.has("nuclei")) {
      this.#rows = rowsOf(this.selected, this.nuclei?.rows ?? 0);
      this.page = 0;
    }
    if (changed.has("chosen") && this.chosen >= 0) {
      const at = this.#rows.indexOf(this.chosen);
      if (at >= 0) this.page = Math.floor(at / PAGE);
    }
  }

  override render(): TemplateResult {
    const nuclei = this.nuclei;
    const ids = nuclei?.at("id");
    if (!nuclei || !ids) return html``;
    const rows = this.#rows;
    const pages = Math.max(1, Math.ceil(rows.length / PAGE));
    const seen = rows.subarray(this.page * PAGE, (this.page + 1) * PAGE);
    const columns = this.measures.filter(
      (measure, at, all) =>
        nuclei.at(measure.name) && all.findIndex((one) => one.name === measure.name) === at,
    );
    return html`<table>
        <caption class="sr">
          ${this.selected ? "Selected nuclei" : "All nuclei"}
        </caption>
        <thead>
          <tr>
            <th scope="col">Nucleus</th>
            ${columns.map((one) => html`<th scope="col">${titled(one)}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${Array.from(
            seen,
            (row) =>
              html`<tr class=${row === this.chosen ? "chosen" : ""}>
                <th scope="row">
                  <button
                    class="quiet"
                    aria-label="Show nucleus ${ids[row]!} in the picture"
                    @click=${() => this.#pick(row)}
                  >
                    ${ids[row]!}
                  </button>
                </th>
                ${columns.map((one) => html`<td>${shown(nuclei.at(one.name)![row]!)}</td>`)}
              </tr>`,
          )}
        </tbody>
      </table>
      ${pages > 1 ? this.#pages(pages) : nothing}
      <button class="csv" ?disabled=${this.making || rows.length === 0} @click=${this.#save}>
        ${icon("save", 16)}
        ${this.making ? "Making the file …" : this.selected ? `Save the ${count(rows.length)} selected as CSV` : `Save all ${count(rows.length)} as CSV`}
      </button>`;
  }

  #pages(pages: number): TemplateResult {
    return html`<div class="pages">
      <button aria-label="Previous page" ?disabled=${this.page === 0} @click=${() => (this.page -= 1)}>
        ${icon("left", 16)}
      </button>
      <span role="status">Page ${count(this.page + 1)} of ${count(pages)}</span>
      <button aria-label="Next page" ?disabled=${this.page + 1 >= pages} @click=${() => (this.page += 1)}>
        ${icon("right", 16)}
      </button>
    </div>`;
  }

  #pick(row: number): void {
    this.dispatchEvent(new CustomEvent("sg-pick", { detail: row }));
  }

  async #save(): Promise<void> {
    const nuclei = this.nuclei!;
    this.making = true;
    try {
      const columns = await Promise.all(nuclei.table.columns.map((column) => nuclei.column(column.name)));
      const url = URL.createObjectURL(new Blob(csv(nuclei, columns, this.#rows), { type: "text/csv" }));
      const link = document.createElement("a");
      link.href = url;
      link.download = `${this.file}${this.selected ? "-selected" : ""}.csv`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    } catch (thrown) {
      this.dispatchEvent(new CustomEvent("sg-lost", { detail: thrown, bubbles: true, composed: true }));
    } finally {
      this.making = false;
    }
  }
}

function rowsOf(selected: Uint8Array | null, rows: number): Uint32Array {
  if (!selected) return Uint32Array.from({ length: rows }, (_, row) => row);
  const found = new Uint32Array(selected.length);
  let count = 0;
  for (let row = 0; row < selected.length; row++) if (selected[row]) found[count++] = row;
  return found.subarray(0, count);
}

/** The lines of the file, in pieces: names with units, then a line for each row. */
function csv(nuclei: Nuclei, columns: Numbers[], rows: Uint32Array): string[] {
  const head = nuclei.table.columns.map((column) => column.name).join(",");
  const pieces = [`${head}\n`];
  let lines: string[] = [];
  for (const row of rows) {
    lines.push(
      columns
        .map((values) => (values instanceof Float32Array ? digits(values[row]!) : String(values[row])))
        .join(","),
    );
    if (lines.length === 5000) {
      pieces.push(`${lines.join("\n")}\n`);
      lines = [];
    }
  }
  if (lines.length) pieces.push(`${lines.join("\n")}\n`);
  return pieces;
}

const digits = (value: number): string =>
  Number.isFinite(value) ? String(Number(value.toPrecision(7))) : "";

declare global {
  interface HTMLElementTagNameMap {
    "sg-nuclei-list": SgNucleiList;
  }
}
