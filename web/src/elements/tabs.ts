// SPDX-License-Identifier: BSD-3-Clause
/** A row of tabs; the arrow keys go from one to the next. What a tab shows is its owner's. */
import { LitElement, css, html, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { shared } from "./base.ts";

/** `tabs` are [name, title]; fires `sg-tab` with {name}. The default slot is the panel of the chosen one. */
@customElement("sg-tabs")
export class SgTabs extends LitElement {
  static override styles = [
    shared,
    css`
      .tabs {
        display: flex;
        gap: var(--sg-1);
        border-bottom: 1px solid var(--sg-line);
        margin-bottom: var(--sg-5);
        overflow-x: auto;
        scrollbar-width: none;
      }
      button {
        border: 0;
        background: none;
        border-radius: 0;
        min-height: 2.75rem;
        padding: 0 var(--sg-3);
        color: var(--sg-ink-2);
        border-bottom: 2px solid transparent;
        margin-bottom: -1px;
        white-space: nowrap;
      }
      button:hover {
        background: none !important;
        color: var(--sg-ink);
      }
      button[aria-selected="true"] {
        color: var(--sg-ink);
        border-bottom-color: var(--sg-accent);
      }
      button:focus-visible {
        outline-offset: -3px;
      }
      @media (max-width: 42rem) {
        .tabs {
          gap: 0;
          margin-inline: calc(-1 * var(--sg-2));
        }
        button {
          padding: 0 var(--sg-2);
          font-size: var(--sg-size-xs);
        }
      }
      .panel:focus-visible {
        outline-offset: 4px;
      }
    `,
  ];

  @property({ attribute: false }) tabs: [string, string][] = [];
  @property() chosen = "";
  @property() label = "";

  #choose(name: string): void {
    this.chosen = name;
    this.dispatchEvent(new CustomEvent("sg-tab", { detail: { name } }));
  }

  async #key(event: KeyboardEvent): Promise<void> {
    const at = this.tabs.findIndex(([name]) => name === this.chosen);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: this.tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const name = this.tabs[(to + this.tabs.length) % this.tabs.length]![0];
    this.#choose(name);
    await this.updateComplete;
    this.renderRoot.querySelector<HTMLElement>(`#tab-${name}`)?.focus();
  }

  override render(): TemplateResult {
    return html`<div class="tabs" role="tablist" aria-label=${this.label} @keydown=${this.#key}>
        ${this.tabs.map(([name, title]) => html`<button role="tab" id="tab-${name}" aria-controls="panel" aria-selected=${name === this.chosen ? "true" : "false"} tabindex=${name === this.chosen ? 0 : -1} @click=${() => this.#choose(name)}>${title}</button>`)}
      </div>
      <div class="panel" id="panel" role="tabpanel" aria-labelledby="tab-${this.chosen}"><slot></slot></div>`;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-tabs": SgTabs;
  }
}
