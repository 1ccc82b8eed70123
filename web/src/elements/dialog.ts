// SPDX-License-Identifier: BSD-3-Clause
/** A question over the page (the browser's own dialog: focus stays inside, Escape closes, focus returns). */
import { LitElement, css, html, type TemplateResult } from "lit";
import { customElement, property, query } from "lit/decorators.js";
import { shared } from "./base.ts";
import { icon } from "./icon.ts";

/** Slots: the text; "do" for buttons. `show()` opens; fires `close` when it was closed. `drawer` puts it at the side. */
@customElement("sg-dialog")
export class SgDialog extends LitElement {
  static override styles = [
    shared,
    css`
      :host {
        display: contents;
      }
      dialog {
        border: 0;
        padding: 0;
        border-radius: 14px;
        background: var(--sg-raised);
        color: var(--sg-ink);
        box-shadow: var(--sg-shadow-high);
        width: min(34rem, calc(100vw - 2rem));
        max-height: calc(100dvh - 4rem);
      }
      dialog::backdrop {
        background: rgb(10 12 20 / 45%);
        backdrop-filter: blur(2px);
      }
      :host([drawer]) dialog {
        max-width: none;
        margin: 0 0 0 auto;
        width: min(52rem, 100vw);
        height: 100dvh;
        max-height: none;
        border-radius: 14px 0 0 14px;
      }
      .frame {
        display: grid;
        grid-template-rows: auto 1fr auto;
        max-height: inherit;
        height: 100%;
      }
      header {
        display: flex;
        gap: var(--sg-3);
        align-items: start;
        justify-content: space-between;
        padding: var(--sg-5) var(--sg-5) var(--sg-3);
      }
      header h2 {
        font-size: var(--sg-size-l);
        overflow-wrap: anywhere;
      }
      header button.quiet {
        min-height: 2rem;
        width: 2rem;
        padding: 0;
        margin: -0.125rem -0.25rem 0 0;
        color: var(--sg-ink-2);
      }
      .body {
        padding: 0 var(--sg-5) var(--sg-5);
        overflow: auto;
        display: grid;
        gap: var(--sg-4);
        align-content: start;
      }
      footer {
        display: flex;
        flex-wrap: wrap;
        justify-content: flex-end;
        gap: var(--sg-3);
        padding: var(--sg-4) var(--sg-5);
        border-top: 1px solid var(--sg-line);
      }
      footer.none {
        display: none;
      }
    `,
  ];

  @property() heading = "";
  @property({ type: Boolean, reflect: true }) drawer = false;
  @query("dialog") private box!: HTMLDialogElement;

  get opened(): boolean {
    return this.box?.open ?? false;
  }

  async show(): Promise<void> {
    await this.updateComplete;
    if (!this.box.open) this.box.showModal();
  }

  close(): void {
    if (this.box?.open) this.box.close();
  }

  override render(): TemplateResult {
    return html`<dialog aria-labelledby="heading" @close=${this.#closed} @click=${this.#outside}>
      <div class="frame">
        <header>
          <h2 id="heading">${this.heading}</h2>
          <button class="quiet" aria-label="Close" @click=${this.close}>${icon("cross", 18)}</button>
        </header>
        <div class="body" tabindex="-1"><slot></slot></div>
        <footer class="none"><slot name="do" @slotchange=${this.#filled}></slot></footer>
      </div>
    </dialog>`;
  }

  #closed(): void {
    this.dispatchEvent(new CustomEvent("close"));
  }

  #outside(event: MouseEvent): void {
    if (event.target === this.box) this.box.close();
  }

  #filled(event: Event): void {
    const slot = event.target as HTMLSlotElement;
    slot.parentElement!.classList.toggle("none", slot.assignedElements().length === 0);
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-dialog": SgDialog;
  }
}
