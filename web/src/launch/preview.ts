// SPDX-License-Identifier: BSD-3-Clause
/** Trying the settings on a region of one image: seconds, and nothing is kept. */
import { LitElement, css, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { Api, Problem, type ImageFacts, type Parameters, type PreviewAnswer, type Workflow } from "../api.ts";
import { shared } from "../elements/base.ts";
import { icon } from "../elements/icon.ts";
import "../elements/region.ts";
import { boxAround, type Box } from "../elements/region.ts";
import { trouble } from "../elements/small.ts";
import { styled } from "../elements/styled.ts";
import { count, headline, inTitles, sentence, shortName } from "../words.ts";
import type { Facts } from "./facts.ts";

/** What else is worth saying of a region, where the workflow's summary has it. */
const KNOWN: Record<string, string> = {
  density_per_mm2: "Per mm²",
  touching_edge: "Cut by the edge of the region",
};

interface Shown {
  wish: string;
  answer: PreviewAnswer;
  asked: string;
  picture: string;
  plain: string;
}

@customElement("sg-preview")
export class SgPreview extends LitElement {
  static override styles = [
    shared,
    css`
      :host {
        display: grid;
        gap: var(--sg-4);
      }
      .top {
        display: flex;
        gap: var(--sg-3);
        align-items: center;
      }
      .top select {
        min-width: 0;
        text-overflow: ellipsis;
      }
      .result {
        display: grid;
        gap: var(--sg-3);
      }
      .picture {
        position: relative;
        background: #0d0f14;
        border-radius: var(--sg-radius-s);
        overflow: hidden;
        display: grid;
      }
      .picture img {
        grid-area: 1 / 1;
        display: block;
        width: 100%;
        height: auto;
        max-height: 24rem;
        object-fit: contain;
        image-rendering: auto;
      }
      .picture img.under {
        visibility: hidden;
      }
      .old img {
        opacity: 0.45;
      }
      .found {
        font-size: var(--sg-size-l);
        font-weight: 620;
      }
      dl {
        display: grid;
        grid-template-columns: auto 1fr;
        gap: 0 var(--sg-4);
        font-size: var(--sg-size-s);
      }
      dt {
        color: var(--sg-ink-2);
      }
      dd {
        text-align: right;
        font-variant-numeric: tabular-nums;
      }
      .old-note {
        color: var(--sg-warn);
        font-size: var(--sg-size-s);
        font-weight: 550;
      }
    `,
  ];

  @property() base = "";
  @property({ attribute: false }) workflow: Workflow | null = null;
  @property({ attribute: false }) parameters: Parameters = {};
  @property({ attribute: false }) images: ReadonlyMap<string, string> = new Map();
  @property({ attribute: false }) facts!: Facts;
  /** Why the settings cannot be tried. */
  @property() blocked = "";
  @state() private image = "";
  @state() private region: Box | null = null;
  @state() private busy = false;
  @state() private words = "";
  @state() private problem: Problem | null = null;
  @state() private shown: Shown | null = null;
  @state() private outlines = true;
  private asking: AbortController | null = null;

  override connectedCallback(): void {
    super.connectedCallback();
    this.facts.addEventListener("change", this.#known);
  }

  override disconnectedCallback(): void {
    this.facts.removeEventListener("change", this.#known);
    this.asking?.abort();
    this.#forget();
    super.disconnectedCallback();
  }

  #known = (): void => this.requestUpdate();

  #forget(): void {
    if (this.shown) [this.shown.picture, this.shown.plain].forEach((each) => URL.revokeObjectURL(each));
    this.shown = null;
  }

  protected override willUpdate(_changed: PropertyValues): void {
    if (!this.images.has(this.image)) {
      this.image = this.images.keys().next().value ?? "";
      this.region = null;
      this.#forget();
    }
    const facts = this.facts.get(this.image);
    if (this.image && !facts) this.facts.want([this.image]);
    if (!this.region && facts?.shape) {
      const [, rows, columns] = facts.shape;
      const side = Math.min(512, Math.max(128, 0.6 * Math.min(rows, columns)));
      this.region = boxAround(rows / 2, columns / 2, side, side, rows, columns);
    }
  }

  get #asked(): string {
    return JSON.stringify([this.workflow?.release, this.image, this.region, this.parameters]);
  }

  async #run(): Promise<void> {
    if (!this.workflow || !this.region || this.busy || this.blocked) return;
    const asked = this.#asked;
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    this.busy = true;
    this.problem = null;
    this.words = "Starting…";
    const api = Api.at(this.base);
    try {
      const { wish, answer } = await api.preview(
        {
          workflow: this.workflow.name,
          version: this.workflow.version,
          image: this.image,
          region: this.region,
          parameters: this.parameters,
        },
        (now) => (this.words = now.trouble ?? (now.step ? `${sentence(now.step)}…` : "Working…")),
        asking.signal,
      );
      const [picture, plain] = await Promise.all(
        (["picture", "plain"] as const).map(async (which) => {
          const response = await api.fetch("GET", api.previewPicture(wish, which), {
            headers: { Accept: "image/png, application/json" },
            signal: asking.signal,
          });
          return URL.createObjectURL(await response.blob());
        }),
      );
      this.#forget();
      this.shown = { wish, answer, asked, picture: picture!, plain: plain! };
      this.outlines = true;
      this.words = `Preview is ready. ${this.#headline(answer)}`;
      await this.updateComplete;
      this.renderRoot.querySelector(".result")?.scrollIntoView({ block: "nearest" });
    } catch (thrown) {
      if (!asking.signal.aborted) {
        this.problem = Problem.from(thrown);
        this.words = "";
        if (this.problem.errors.length)
          this.dispatchEvent(new CustomEvent("sg-refused", { detail: { errors: this.problem.errors } }));
      }
    }
    if (this.asking === asking) this.busy = false;
  }

  get #problem(): Problem | null {
    const { problem } = this;
    if (!problem) return null;
    const { status, code, title, detail, errors, request } = problem;
    return new Problem(status, code, title, inTitles(detail, this.workflow?.schema), errors, request);
  }

  #headline(answer: PreviewAnswer): string {
    const found = headline(answer.facts, this.workflow?.outputs);
    return found ? `${found} in this region` : "Done";
  }

  #result(shown: Shown): TemplateResult {
    const old = shown.asked !== this.#asked;
    const facts = Object.entries(KNOWN).filter(([name]) => typeof shown.answer.facts[name] === "number");
    return html`<div class="result">
      <div
        class="picture ${old ? "old" : ""}"
        ${styled({ "aspect-ratio": `${shown.answer.width} / ${shown.answer.height}` })}
      >
        <img src=${shown.plain} alt="The region" />
        <img
          src=${shown.picture}
          class=${this.outlines ? "" : "under"}
          alt=${this.outlines ? "The region, with outlines around what was found" : ""}
        />
      </div>
      <div class="row spread">
        <span class="found numbers">${this.#headline(shown.answer)}</span>
        <span class="switch" role="group" aria-label="Outlines">
          <button aria-pressed=${this.outlines ? "true" : "false"} @click=${() => (this.outlines = true)}>
            With outlines
          </button>
          <button aria-pressed=${this.outlines ? "false" : "true"} @click=${() => (this.outlines = false)}>
            Without
          </button>
        </span>
      </div>
      ${old ? html`<p class="old-note">The settings or the region have changed since. Run the preview again to see what they do.</p>` : nothing}
      ${shown.answer.hint ? html`<p class="muted small">${shown.answer.hint}</p>` : nothing}
      ${
        facts.length
          ? html`<dl>
              ${facts.map(
                ([name, words]) =>
                  html`<dt>${words}</dt>
                    <dd>${count(Math.round(shown.answer.facts[name] as number))}</dd>`,
              )}
            </dl>`
          : nothing
      }
    </div>`;
  }

  #pick(event: Event): void {
    this.image = (event.target as HTMLSelectElement).value;
    this.region = null;
    this.#forget();
    this.problem = null;
  }

  #shape(facts: ImageFacts | undefined): TemplateResult {
    if (!facts?.shape || !this.region) return html`<p class="muted small">Reading the image…</p>`;
    return html`<sg-region
      base=${this.base}
      image=${this.image}
      .shape=${[facts.shape[1], facts.shape[2]] as [number, number]}
      .region=${this.region}
      height=${this.shown ? 13 : 24}
      @sg-region=${(event: CustomEvent<{ region: Box }>) => (this.region = event.detail.region)}
    ></sg-region>`;
  }

  override render(): TemplateResult {
    if (!this.image) return html`<p class="muted">Choose at least one image to try the settings on.</p>`;
    return html`
      ${
        this.images.size > 1
          ? html`<div class="top">
              <label for="which" class="nowrap">Try on</label
              ><select id="which" @change=${this.#pick}>
                ${[...this.images].map(([image, name]) => html`<option value=${image} ?selected=${image === this.image}>${name || shortName(image)}</option>`)}
              </select>
            </div>`
          : nothing
      }
      ${this.#shape(this.facts.get(this.image))}
      <div class="row">
        <button
          @click=${this.#run}
          aria-disabled=${this.busy || this.blocked || !this.region ? "true" : "false"}
        >
          ${icon("eye", 18)}${this.busy ? "Working…" : this.shown ? "Preview again" : "Preview this region"}
        </button>
        <span class="muted small" role="status"
          >${this.blocked && !this.busy ? this.blocked : this.busy ? this.words : html`<span class=${this.shown ? "sr" : ""}>${this.words || "Takes a few seconds. Nothing is kept."}</span>`}</span
        >
      </div>
      ${this.busy ? html`<sg-progress label="Preview"></sg-progress>` : nothing} ${trouble(this.#problem)}
      ${this.shown ? this.#result(this.shown) : nothing}
    `;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-preview": SgPreview;
  }
}
