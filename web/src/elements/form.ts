// SPDX-License-Identifier: BSD-3-Clause
/** A form drawn from a workflow's parameter schema. */
import { LitElement, css, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { Json, Parameters, Schema, SchemaProperty } from "../api.ts";
import { value as inWords } from "../words.ts";
import { shared } from "./base.ts";

/** What is wrong with a value, in a sentence; null where nothing is. An empty value is undefined. */
export function fault(of: SchemaProperty, needed: boolean, given: Json | undefined): string | null {
  if (given === undefined) return needed ? "This is needed." : null;
  if (of.type === "number" || of.type === "integer") {
    if (typeof given !== "number" || !Number.isFinite(given))
      return `Enter a number${range(of)}, such as ${example(of)}.`;
    if (of.type === "integer" && !Number.isInteger(given)) return `Enter a whole number${range(of)}.`;
    if ((of.minimum !== undefined && given < of.minimum) || (of.maximum !== undefined && given > of.maximum))
      return `Enter a number${range(of)}.`;
  }
  if (typeof given === "string") {
    if (of.maxLength !== undefined && given.length > of.maxLength)
      return `Use at most ${of.maxLength} characters.`;
    if (of.pattern !== undefined && !matches(of.pattern, given))
      return "This is not in the form that is expected here.";
  }
  if (of.enum && !of.enum.includes(given)) return "Choose one of those listed.";
  return null;
}

function matches(pattern: string, text: string): boolean {
  try {
    return new RegExp(`^(?:${pattern})$`, "u").test(text);
  } catch {
    return true; // the server decides
  }
}

function range(of: SchemaProperty): string {
  const unit = of["x-unit"] ? ` ${of["x-unit"]}` : "";
  if (of.minimum !== undefined && of.maximum !== undefined)
    return ` from ${of.minimum} to ${of.maximum}${unit}`;
  if (of.minimum !== undefined) return ` of at least ${of.minimum}${unit}`;
  if (of.maximum !== undefined) return ` of at most ${of.maximum}${unit}`;
  return "";
}

const example = (of: SchemaProperty): string =>
  String(of.default ?? of.minimum ?? (of.type === "integer" ? 10 : 0.5));

/** The step of a slider: a hundredth of its range, rounded to 1, 2 or 5. */
function pace(of: SchemaProperty): number {
  const rough = ((of.maximum ?? 1) - (of.minimum ?? 0)) / 100;
  const power = 10 ** Math.floor(Math.log10(rough));
  const nice = [1, 2, 5, 10].find((n) => n * power >= rough * 0.999)! * power;
  return of.type === "integer" ? Math.max(1, Math.round(nice)) : nice;
}

/**
 * The order of fields. JSON objects have none (and lose theirs on the way), so `x-order` decides; where it is missing: what is
 * needed, then numbers with a default, then others with one, then what may stay empty; what is rarely needed comes last.
 */
export function ordered(schema: Schema): [string, SchemaProperty][] {
  const rank = ([name, of]: [string, SchemaProperty]): number =>
    (of["x-advanced"] ? 10_000 : 0) +
    (of["x-order"] ??
      (schema.required?.includes(name)
        ? 1000
        : of.default === undefined
          ? 4000
          : of.type === "number" || of.type === "integer"
            ? 2000
            : 3000));
  return Object.entries(schema.properties ?? {}).sort(
    (a, b) => rank(a) - rank(b) || a[0].localeCompare(b[0]),
  );
}

/** `values` holds what is set, defaults included; fires `sg-input` with {values, faults} after each change. */
@customElement("sg-form")
export class SgForm extends LitElement {
  static override styles = [
    shared,
    css`
      .fields {
        display: grid;
        gap: var(--sg-5);
      }
      .field {
        display: grid;
        gap: var(--sg-2);
        min-width: 0;
      }
      .top {
        display: flex;
        flex-wrap: wrap;
        align-items: baseline;
        justify-content: space-between;
        gap: 0 var(--sg-3);
      }
      .top button {
        min-height: 1.5rem;
        padding: 0 var(--sg-1);
        font-size: var(--sg-size-xs);
      }
      .about {
        font-size: var(--sg-size-s);
        color: var(--sg-ink-2);
        line-height: 1.45;
        max-width: 38rem;
      }
      .with-slider {
        display: grid;
        grid-template-columns: 1fr auto;
        gap: var(--sg-4);
        align-items: center;
      }
      .slider {
        display: grid;
      }
      .ends {
        display: flex;
        justify-content: space-between;
        font-size: var(--sg-size-xs);
        color: var(--sg-ink-3);
        margin-top: -0.125rem;
      }
      .number {
        display: flex;
        align-items: center;
        gap: var(--sg-2);
      }
      .number input {
        width: 7rem !important;
        text-align: right;
        font-variant-numeric: tabular-nums;
      }
      .unit {
        color: var(--sg-ink-2);
        font-size: var(--sg-size-s);
        min-width: 1.5rem;
      }
      .fault {
        color: var(--sg-bad);
        font-size: var(--sg-size-s);
        font-weight: 550;
      }
      .choices {
        display: flex;
        flex-wrap: wrap;
        gap: var(--sg-2);
      }
      .choices label,
      .check {
        display: inline-flex;
        align-items: center;
        gap: var(--sg-2);
        font-weight: 500;
        cursor: pointer;
      }
      .picks {
        display: flex;
        flex-wrap: wrap;
        gap: var(--sg-2);
      }
      .picks button {
        min-height: 2rem;
        padding: 0 var(--sg-3);
        border-radius: 99px;
        font-weight: 500;
      }
      .picks button[aria-pressed="true"] {
        border-color: var(--sg-accent);
        background: var(--sg-accent-soft);
        color: var(--sg-accent-ink);
      }
      .doubt {
        color: var(--sg-warn);
        font-size: var(--sg-size-s);
        font-weight: 550;
      }
      .choices label {
        padding: 0.4375rem 0.875rem;
        border: 1px solid var(--sg-line-strong);
        border-radius: var(--sg-radius-s);
      }
      .choices label:has(:checked) {
        border-color: var(--sg-accent);
        background: var(--sg-accent-soft);
      }
      fieldset {
        border: 0;
        padding: 0;
        margin: 0;
        min-width: 0;
        display: grid;
        gap: var(--sg-2);
      }
      legend {
        padding: 0;
        font-weight: 580;
        font-size: var(--sg-size-s);
      }
      details {
        margin-top: var(--sg-5);
        border-top: 1px solid var(--sg-line);
        padding-top: var(--sg-4);
      }
      summary {
        cursor: pointer;
        font-weight: 580;
        font-size: var(--sg-size-s);
        color: var(--sg-accent-ink);
        width: fit-content;
        padding: var(--sg-1);
        margin: calc(-1 * var(--sg-1));
        border-radius: var(--sg-radius-s);
      }
      details .fields {
        margin-top: var(--sg-4);
      }
      @media (max-width: 30rem) {
        .with-slider {
          grid-template-columns: 1fr;
          gap: var(--sg-2);
        }
      }
    `,
  ];

  @property({ attribute: false }) schema: Schema = {};
  @property({ attribute: false }) values: Parameters = {};
  /** Messages of the server, by name. */
  @property({ attribute: false }) refused: Record<string, string> = {};
  /** By name: values to suggest for a text, what an empty number stands for, what speaks against a value. */
  @property({ attribute: false }) suggest: Record<string, string[]> = {};
  @property({ attribute: false }) placeholders: Record<string, string> = {};
  @property({ attribute: false }) doubts: Record<string, string> = {};
  @state() private text: Record<string, string> = {};
  @state() private touched = new Set<string>();
  @state() private all = false;
  /** The values that were told last: any others come from outside. */
  private told: Parameters | null = null;

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has("schema")) this.all = false;
    if (changed.has("schema") || (changed.has("values") && this.values !== this.told)) {
      this.text = {};
      this.touched = new Set();
    }
  }

  protected override updated(changed: PropertyValues): void {
    if (changed.has("schema") || (changed.has("values") && this.values !== this.told)) this.#tell();
  }

  /** What is wrong now, by name. */
  get faults(): Record<string, string> {
    const found: Record<string, string> = {};
    for (const [name, of] of Object.entries(this.schema.properties ?? {})) {
      const said =
        fault(of, this.schema.required?.includes(name) ?? false, this.#given(name, of)) ?? this.refused[name];
      if (said) found[name] = said;
    }
    return found;
  }

  /** Show all faults and bring the first one into view; says whether there were none. */
  async check(): Promise<boolean> {
    this.all = true;
    const names = Object.keys(this.faults);
    const first = ordered(this.schema).find(([name]) => names.includes(name))?.[0];
    if (!first) return true;
    const details = this.renderRoot.querySelector("details");
    if (details && this.schema.properties?.[first]?.["x-advanced"]) details.open = true;
    await this.updateComplete;
    this.renderRoot.querySelector<HTMLElement>(`#${CSS.escape(`f-${first}`)}`)?.focus();
    return false;
  }

  #given(name: string, of: SchemaProperty): Json | undefined {
    const text = this.text[name];
    if (text === undefined) return this.values[name] ?? undefined;
    if (text.trim() === "") return undefined;
    if (of.type !== "number" && of.type !== "integer") return text;
    const plain = text.trim().replace(/^(-?\d+),(\d+)$/, "$1.$2");
    return /^-?(\d+\.?\d*|\.\d+)(e-?\d+)?$/i.test(plain) ? Number(plain) : text;
  }

  #set(name: string, given: Json | undefined): void {
    const values = { ...this.values };
    if (given === undefined) delete values[name];
    else values[name] = given;
    this.values = values;
    const { [name]: _answered, ...refused } = this.refused;
    this.refused = refused;
    this.#tell();
  }

  #write(name: string, of: SchemaProperty, text: string): void {
    this.text = { ...this.text, [name]: text };
    this.#set(name, this.#given(name, of));
  }

  #choose(name: string, given: Json | undefined): void {
    const { [name]: _gone, ...text } = this.text;
    this.text = text;
    this.#touch(name);
    this.#set(name, given);
  }

  #touch(name: string): void {
    this.touched = new Set(this.touched).add(name);
  }

  #tell(): void {
    this.told = this.values;
    this.dispatchEvent(new CustomEvent("sg-input", { detail: { values: this.values, faults: this.faults } }));
  }

  #said(name: string): string | undefined {
    return this.all || this.touched.has(name) || this.refused[name] ? this.faults[name] : undefined;
  }

  #field(name: string, of: SchemaProperty): TemplateResult {
    const title = of.title ?? name;
    const said = this.#said(name);
    const doubt = this.doubts[name];
    const about = html`${of.description ? html`<p class="about" id="a-${name}">${of.description}</p>` : nothing}
    ${doubt ? html`<p class="doubt" id="m-${name}">${doubt}</p>` : nothing}`;
    const wrong = html`<p class="fault" id="e-${name}" aria-live="polite" ?hidden=${!said}>${said}</p>`;
    const described =
      [of.description ? `a-${name}` : "", doubt ? `m-${name}` : "", said ? `e-${name}` : ""]
        .filter(Boolean)
        .join(" ") || nothing;
    if (of.type === "boolean") {
      return html`<div class="field">
        <label class="check"
          ><input
            id="f-${name}"
            type="checkbox"
            .checked=${this.values[name] === true}
            aria-describedby=${described}
            @change=${(event: Event) => this.#choose(name, (event.target as HTMLInputElement).checked)}
          />${title}</label
        >${about}${wrong}
      </div>`;
    }
    if (of.enum && of.enum.length <= 4) {
      return html`<fieldset class="field" aria-describedby=${described}>
        <legend>${title}</legend>
        ${about}
        <div class="choices">
          ${of.enum.map((each, i) => html`<label><input id=${i === 0 ? `f-${name}` : nothing} type="radio" name="f-${name}" .checked=${this.values[name] === each} @change=${() => this.#choose(name, each)} />${inWords(each)}</label>`)}
        </div>
        ${wrong}
      </fieldset>`;
    }
    return html`<div class="field">
      <div class="top"><label for="f-${name}">${title}</label>${this.#back(name, of, title)}</div>
      ${about}${this.#input(name, of, title, said, described)}${wrong}
    </div>`;
  }

  #back(name: string, of: SchemaProperty, title: string): TemplateResult | typeof nothing {
    if (of.default === undefined || this.#given(name, of) === of.default) return nothing;
    const unit = of["x-unit"] ? ` ${of["x-unit"]}` : "";
    return html`<button
      type="button"
      class="quiet"
      aria-label="Set ${title} back to ${inWords(of.default)}${unit}"
      @click=${() => this.#choose(name, of.default)}
    >
      Back to ${inWords(of.default)}${unit}
    </button>`;
  }

  #input(
    name: string,
    of: SchemaProperty,
    title: string,
    said: string | undefined,
    described: string | typeof nothing,
  ): TemplateResult {
    const invalid = said ? "true" : nothing;
    if (of.enum) {
      return html`<select
        id="f-${name}"
        aria-invalid=${invalid}
        aria-describedby=${described}
        @change=${(event: Event) => this.#choose(name, of.enum![Number((event.target as HTMLSelectElement).value)])}
      >
        ${of.enum.map((each, i) => html`<option value=${i} ?selected=${this.values[name] === each}>${inWords(each)}</option>`)}
      </select>`;
    }
    const shown =
      this.text[name] ??
      (this.values[name] === undefined || this.values[name] === null ? "" : String(this.values[name]));
    if (of.type === "number" || of.type === "integer") {
      const box = html`<div class="number">
        <input
          id="f-${name}"
          inputmode="decimal"
          autocomplete="off"
          placeholder=${this.placeholders[name] ?? nothing}
          .value=${shown}
          aria-invalid=${invalid}
          aria-describedby=${described}
          @input=${(event: Event) => this.#write(name, of, (event.target as HTMLInputElement).value)}
          @blur=${() => this.#touch(name)}
        />
        <span class="unit">${of["x-unit"] ?? ""}</span>
      </div>`;
      if (of.minimum === undefined || of.maximum === undefined || of.default === undefined) return box;
      const given = this.#given(name, of);
      return html`<div class="with-slider">
        <div class="slider">
          <input
            type="range"
            min=${of.minimum}
            max=${of.maximum}
            step=${pace(of)}
            .value=${String(typeof given === "number" ? given : of.default)}
            aria-label="${title}, as a slider"
            aria-valuetext="${typeof given === "number" ? given : ""} ${of["x-unit"] ?? ""}"
            @input=${(event: Event) => this.#choose(name, Number((event.target as HTMLInputElement).value))}
          />
          <span class="ends" aria-hidden="true"
            ><span>${inWords(of.minimum)}</span><span>${inWords(of.maximum)}</span></span
          >
        </div>
        ${box}
      </div>`;
    }
    const suggested = this.suggest[name] ?? [];
    return html`<input
        id="f-${name}"
        autocomplete="off"
        spellcheck="false"
        .value=${shown}
        aria-invalid=${invalid}
        aria-describedby=${described}
        @input=${(event: Event) => this.#write(name, of, (event.target as HTMLInputElement).value)}
        @blur=${() => this.#touch(name)}
      />
      ${suggested.length ? this.#picks(name, title, suggested, shown) : nothing}`;
  }

  /** Values to pick instead of writing them; the number of one, from 0, means the same. */
  #picks(name: string, title: string, suggested: string[], shown: string): TemplateResult {
    return html`<div class="picks" role="group" aria-label="${title}: what there is">
      ${suggested.map(
        (each, i) =>
          html`<button
            type="button"
            aria-pressed=${shown === each || shown === String(i) ? "true" : "false"}
            @click=${() => this.#choose(name, each)}
          >
            ${each}
          </button>`,
      )}
    </div>`;
  }

  override render(): TemplateResult {
    const all = ordered(this.schema).filter(([, of]) => of.const === undefined);
    const plain = all.filter(([, of]) => !of["x-advanced"]);
    const more = all.filter(([, of]) => of["x-advanced"]);
    if (!all.length) return html`<p class="muted">This workflow has no settings.</p>`;
    return html`<div class="fields">${plain.map(([name, of]) => this.#field(name, of))}</div>
      ${
        more.length
          ? html`<details>
              <summary>More settings, rarely needed (${more.length})</summary>
              <div class="fields">${more.map(([name, of]) => this.#field(name, of))}</div>
            </details>`
          : nothing
      }`;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-form": SgForm;
  }
}
