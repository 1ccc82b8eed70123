// SPDX-License-Identifier: BSD-3-Clause
/** What is chosen, always in view, and the way on. */
import { LitElement, css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { shared } from "../elements/base.ts";
import "../elements/dialog.ts";
import type { SgDialog } from "../elements/dialog.ts";
import { icon } from "../elements/icon.ts";
import "../elements/small.ts";
import "../elements/thumb.ts";
import { go } from "../router.ts";
import { many, shortName } from "../words.ts";
import type { Facts } from "./facts.ts";
import { sizeOf } from "./forecast.ts";
import type { Launching } from "./once.ts";

/** Fires `sg-chosen` with {chosen}, and `sg-launch`. */
@customElement("sg-tray")
export class SgTray extends LitElement {
  static override styles = [
    shared,
    css`
      .tray {
        display: flex;
        flex-wrap: wrap;
        gap: var(--sg-3) var(--sg-5);
        align-items: center;
        background: var(--sg-raised);
        border: 1px solid var(--sg-line);
        border-radius: 14px;
        padding: var(--sg-3) var(--sg-3) var(--sg-3) var(--sg-5);
        box-shadow: var(--sg-shadow-high);
      }
      .facts {
        flex: 1 1 14rem;
        min-width: 0;
        line-height: 1.4;
      }
      .facts p {
        font-size: var(--sg-size-s);
        color: var(--sg-ink-2);
      }
      .facts button {
        min-height: 2rem;
      }
      .facts p.why {
        color: var(--sg-warn);
      }
      .few {
        display: flex;
        gap: var(--sg-2);
      }
      .few sg-thumb {
        width: 2.5rem;
        height: 2.5rem;
      }
      .list {
        display: grid;
        gap: 1px;
      }
      .list li {
        display: grid;
        grid-template-columns: 3rem 1fr auto;
        gap: var(--sg-3);
        align-items: center;
        padding: var(--sg-2) 0;
        border-bottom: 1px solid var(--sg-line);
        content-visibility: auto;
        contain-intrinsic-size: auto 4rem;
      }
      .list sg-thumb {
        width: 3rem;
        height: 3rem;
      }
      .list span {
        min-width: 0;
        overflow-wrap: anywhere;
      }
      @media (max-width: 42rem) {
        .few {
          display: none;
        }
        .tray {
          padding-left: var(--sg-4);
        }
        .tray .primary {
          flex: 1;
        }
      }
    `,
  ];

  @property() base = "";
  @property({ attribute: false }) chosen: ReadonlyMap<string, string> = new Map();
  @property({ attribute: false }) facts!: Facts;
  /** The step of the settings: what is chosen can be launched. */
  @property({ type: Boolean }) settings = false;
  /** There is no step before: the images were chosen elsewhere. */
  @property({ type: Boolean }) alone = false;
  /** Why it cannot be launched; empty where it can. */
  @property() reason = "";
  /** What speaks against launching it, though it can be. */
  @property() doubt = "";
  @property() forecast = "";
  @property({ attribute: false }) launching: Launching | null = null;
  @state() private showing = false;
  @query("sg-dialog") private dialog!: SgDialog;

  override connectedCallback(): void {
    super.connectedCallback();
    this.facts.addEventListener("change", this.#known);
  }

  override disconnectedCallback(): void {
    this.facts.removeEventListener("change", this.#known);
    super.disconnectedCallback();
  }

  #known = (): void => this.requestUpdate();

  #choose(chosen: ReadonlyMap<string, string>): void {
    if (!chosen.size) this.dialog.close();
    this.dispatchEvent(new CustomEvent("sg-chosen", { detail: { chosen } }));
  }

  #drop(image: string): void {
    this.#choose(new Map([...this.chosen].filter(([each]) => each !== image)));
  }

  #usable(): string[] {
    return [...this.chosen.keys()].filter((image) => !this.facts.get(image)?.problem);
  }

  #words(n: number): TemplateResult {
    const bad = this.chosen.size - n;
    const { launching, reason, doubt } = this;
    return html`${bad ? html`<p class="why">${many(bad, "image")} cannot be used and ${bad === 1 ? "is" : "are"} left out.</p>` : nothing}
    ${
      launching
        ? html`<p role="status">${launching.words}</p>
            <sg-progress thin .value=${launching.part} label="Launching"></sg-progress>`
        : this.settings
          ? html`<div id="why">
              ${doubt && !reason ? html`<p class="why">${doubt}</p>` : nothing}
              <p class=${reason ? "why" : ""}>${reason || this.forecast}</p>
            </div>`
          : n
            ? nothing
            : html`<p>Click an image to choose it.</p>`
    }`;
  }

  #on(n: number): TemplateResult {
    if (!this.settings) {
      return html`${n ? html`<button class="quiet" @click=${() => this.#choose(new Map())}>Choose none</button>` : nothing}
        <button class="primary large" ?disabled=${!n} @click=${() => go(this, "/launch?step=settings")}>
          Continue ${icon("right", 16)}
        </button>`;
    }
    return html`${this.alone ? nothing : html`<button @click=${() => go(this, "/launch")}>${icon("left", 16)} Images</button>`}
      <button
        class="primary large"
        aria-disabled=${this.reason ? "true" : "false"}
        aria-describedby="why"
        @click=${() => this.dispatchEvent(new CustomEvent("sg-launch"))}
      >
        ${this.launching ? "Launching…" : "Launch"}
      </button>`;
  }

  #row = ([image, name]: [string, string]): TemplateResult => {
    const problem = this.facts.get(image)?.problem;
    return html`<li>
      <sg-thumb base=${this.base} image=${image}></sg-thumb
      ><span
        >${name || shortName(image)}${problem ? html`<br /><span class="small muted">Cannot be used: ${problem.message}</span>` : nothing}</span
      ><button class="quiet" aria-label="Leave out ${name}" @click=${() => this.#drop(image)}>
        ${icon("cross", 16)}
      </button>
    </li>`;
  };

  override render(): TemplateResult {
    const usable = this.#usable();
    const n = usable.length;
    const size = sizeOf(usable.map((image) => this.facts.get(image)));
    const show = (): void => {
      this.showing = true;
      void this.dialog.show();
    };
    return html`<div class="tray" role="region" aria-label="What is chosen">
        ${n ? html`<div class="few" aria-hidden="true">${usable.slice(0, 4).map((image) => html`<sg-thumb base=${this.base} image=${image}></sg-thumb>`)}</div>` : nothing}
        <div class="facts numbers">
          <b aria-live="polite">${n ? `${many(n, "image")} chosen` : "No image chosen yet"}</b>
          ${size ? html`<span class="muted">· ${size}</span>` : nothing}
          ${n ? html`<button class="quiet" @click=${show}>Show</button>` : nothing} ${this.#words(n)}
        </div>
        ${this.#on(n)}
      </div>
      <sg-dialog heading="What is chosen" @close=${() => (this.showing = false)}>
        <ul class="list">
          ${this.showing ? [...this.chosen].map(this.#row) : nothing}
        </ul>
        <button slot="do" @click=${() => this.#choose(new Map())}>Choose none</button>
        <button slot="do" class="primary" @click=${() => this.dialog.close()}>Done</button>
      </sg-dialog>`;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-tray": SgTray;
  }
}
