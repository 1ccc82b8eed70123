// SPDX-License-Identifier: BSD-3-Clause
/** A long list of which only what is seen is built: rows of one height, moved through with the arrow keys. */
import { LitElement, css, html, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { styled } from "./styled.ts";
import { shared } from "./base.ts";

/**
 * `items` are drawn by `row` (which gets item and index), each `rowheight` px high; `rowStyles` are styles for them.
 * Scrolls with the page. Fires `sg-seen` with {first, last} when other rows come into view.
 */
@customElement("sg-rows")
export class SgRows extends LitElement {
  static override styles = [
    shared,
    css`
      .all {
        position: relative;
      }
      .row-box {
        position: absolute;
        left: 0;
        right: 0;
      }
    `,
  ];

  @property({ attribute: false }) items: readonly unknown[] = [];
  @property({ attribute: false }) row: (item: never, index: number) => unknown = () => html``;
  @property({ type: Number }) rowheight = 64;
  @property() label = "";
  @state() private first = 0;
  @state() private last = 30;
  private looking = 0;
  private spare = 40;

  override connectedCallback(): void {
    super.connectedCallback();
    window.addEventListener("scroll", this.#scrolled, { passive: true, capture: true }); // whatever scrolls
    window.addEventListener("resize", this.#scrolled, { passive: true });
  }

  override disconnectedCallback(): void {
    window.removeEventListener("scroll", this.#scrolled, { capture: true });
    window.removeEventListener("resize", this.#scrolled);
    super.disconnectedCallback();
  }

  #scrolled = (): void => {
    if (!this.looking)
      this.looking = requestAnimationFrame(() => {
        this.looking = 0;
        this.look();
      });
  };

  /** Find out which rows are in view. */
  look(): void {
    const top = this.getBoundingClientRect().top;
    const spare = 8;
    const first = Math.max(0, Math.floor(-top / this.rowheight) - spare);
    const last = Math.min(this.items.length, Math.ceil((window.innerHeight - top) / this.rowheight) + spare);
    if (first !== this.first || last !== this.last) {
      this.first = first;
      this.last = Math.max(first, last);
      this.dispatchEvent(new CustomEvent("sg-seen", { detail: { first, last } }));
    }
  }

  override updated(): void {
    this.#scrolled();
  }

  /** Bring a row into view and put the focus on it (a row is an element that takes or delegates focus). */
  async reach(index: number): Promise<void> {
    const top = this.getBoundingClientRect().top + window.scrollY + index * this.rowheight;
    if (top < window.scrollY + 80 || top + this.rowheight > window.scrollY + window.innerHeight - 20) {
      window.scrollTo({ top: top - window.innerHeight / 2 });
    }
    this.look();
    await this.updateComplete;
    const box = this.renderRoot.querySelector<HTMLElement>(`[data-index="${index}"]`);
    (box?.firstElementChild as HTMLElement | null)?.focus({ preventScroll: true });
  }

  #moved(event: KeyboardEvent): void {
    const steps: Record<string, number> = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: 10,
      PageUp: -10,
      Home: -Infinity,
      End: Infinity,
    };
    const step = steps[event.key];
    if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    const box = (event.composedPath() as HTMLElement[]).find((node) => node.dataset?.["index"] !== undefined);
    if (!box) return;
    event.preventDefault();
    const to = Math.min(this.items.length - 1, Math.max(0, Number(box.dataset["index"]) + step));
    void this.reach(to);
  }

  override render(): TemplateResult {
    const shown = this.items.slice(this.first, this.last).map((item, i) => ({ item, index: this.first + i }));
    while (this.spare < shown.length) this.spare = shown.length + 8;
    return html`<div
      class="all"
      role="list"
      aria-label=${this.label}
      ${styled({ height: `${this.items.length * this.rowheight}px` })}
      @keydown=${this.#moved}
    >
      ${repeat(
        shown,
        ({ index }) => index % this.spare, // a row that leaves the view becomes one that enters it
        ({ item, index }) =>
          html`<div
            class="row-box"
            role="listitem"
            aria-setsize=${this.items.length}
            aria-posinset=${index + 1}
            data-index=${index}
            ${styled({ transform: `translateY(${index * this.rowheight}px)`, height: `${this.rowheight}px` })}
          >
            ${this.row(item as never, index)}
          </div>`,
      )}
    </div>`;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-rows": SgRows;
  }
}
