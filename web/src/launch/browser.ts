// SPDX-License-Identifier: BSD-3-Clause
/** Folders and the images in them: a grid to choose from, by mouse or by keyboard. */
import { LitElement, css, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { Api, Problem, type ImageEntry, type Listing } from "../api.ts";
import { shared } from "../elements/base.ts";
import { icon } from "../elements/icon.ts";
import { trouble } from "../elements/small.ts";
import "../elements/thumb.ts";
import { count, many } from "../words.ts";
import { inWords, type Facts } from "./facts.ts";

/** Fires `sg-chosen` with {chosen: Map<image, name>}, and `sg-at` with {at} when another folder is shown. */
@customElement("sg-browser")
export class SgBrowser extends LitElement {
  static override styles = [
    shared,
    css`
      .head {
        display: flex;
        flex-wrap: wrap;
        gap: var(--sg-3);
        align-items: center;
        justify-content: space-between;
        margin-bottom: var(--sg-4);
      }
      .trail {
        margin-left: calc(-1 * var(--sg-2));
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.125rem;
        font-size: var(--sg-size-s);
      }
      .trail button {
        min-height: 2rem;
        padding: 0 var(--sg-2);
      }
      .trail b {
        padding: 0 var(--sg-2);
        font-weight: 620;
      }
      .trail svg {
        color: var(--sg-ink-3);
      }
      .tools {
        display: flex;
        flex-wrap: wrap;
        gap: var(--sg-2);
        align-items: center;
      }
      .tools .find {
        width: 14rem;
      }
      .folders {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr));
        gap: var(--sg-3);
        margin-bottom: var(--sg-5);
      }
      .folders button {
        justify-content: flex-start;
        min-height: 3.25rem;
        text-align: left;
        font-weight: 550;
        overflow: hidden;
        border-color: var(--sg-line);
        box-shadow: var(--sg-shadow);
      }
      .folders button svg {
        flex: none;
        color: var(--sg-accent-ink);
      }
      .folders button span {
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      .grid {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr));
        gap: var(--sg-4);
      }
      .tile {
        position: relative;
        padding: var(--sg-2);
        border-radius: var(--sg-radius);
        border: 1px solid var(--sg-line);
        background: var(--sg-surface);
        cursor: pointer;
        user-select: none;
        content-visibility: auto;
        contain-intrinsic-size: 10.5rem 15rem;
        display: grid;
        gap: var(--sg-2);
        align-content: start;
      }
      .tile:hover {
        border-color: var(--sg-line-strong);
      }
      .tile[aria-selected="true"] {
        border-color: var(--sg-accent);
        box-shadow: 0 0 0 1px var(--sg-accent);
        background: var(--sg-accent-soft);
      }
      .tile:focus-visible {
        border-radius: var(--sg-radius);
      }
      .tile[aria-disabled="true"] {
        cursor: not-allowed;
      }
      .tile[aria-disabled="true"] sg-thumb {
        opacity: 0.4;
      }
      .mark {
        position: absolute;
        top: 0.875rem;
        right: 0.875rem;
        width: 1.5rem;
        height: 1.5rem;
        border-radius: 99px;
        border: 1.5px solid #fff;
        background: rgb(10 12 20 / 55%);
        color: transparent;
        display: grid;
        place-items: center;
      }
      .tile[aria-selected="true"] .mark {
        background: var(--sg-accent);
        color: var(--sg-on-accent);
        border-color: var(--sg-on-accent);
      }
      .tile[aria-disabled="true"] .mark {
        display: none;
      }
      .name {
        font-size: var(--sg-size-s);
        font-weight: 580;
        line-height: 1.35;
        overflow-wrap: anywhere;
        display: -webkit-box;
        -webkit-line-clamp: 2;
        -webkit-box-orient: vertical;
        overflow: hidden;
      }
      .what {
        font-size: var(--sg-size-xs);
        line-height: 1.4;
        color: var(--sg-ink-2);
        min-height: 2.8em;
      }
      .what > span {
        display: block;
      }
      .what.bad {
        color: var(--sg-bad);
        overflow-wrap: anywhere;
      }
      .hint {
        margin-top: var(--sg-4);
      }
      .waiting {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr));
        gap: var(--sg-4);
      }
      .waiting i {
        aspect-ratio: 0.8;
        border-radius: var(--sg-radius);
        background: var(--sg-sunken);
        animation: breathe 1.4s ease-in-out infinite alternate;
      }
      @keyframes breathe {
        to {
          opacity: 0.5;
        }
      }
      @media (max-width: 42rem) {
        .grid,
        .waiting {
          grid-template-columns: repeat(2, 1fr);
          gap: var(--sg-3);
        }
        .tools,
        .tools .find {
          width: 100%;
        }
      }
      kbd {
        font: 500 0.9em var(--sg-font);
        padding: 0 0.375em;
        border: 1px solid var(--sg-line-strong);
        border-radius: 4px;
        background: var(--sg-surface);
        white-space: nowrap;
      }
    `,
  ];

  @property() base = "";
  @property() at = "";
  @property({ attribute: false }) chosen: ReadonlyMap<string, string> = new Map();
  @property({ attribute: false }) facts!: Facts;
  @state() private listing: Listing | null = null;
  @state() private problem: Problem | null = null;
  @state() private slow = false;
  @state() private text = "";
  @state() private focused = 0;
  @state() private said = "";
  @query(".grid") private grid?: HTMLElement;
  private anchor = 0;
  private asking: AbortController | null = null;

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has("at") || changed.has("base")) void this.#load();
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.facts.addEventListener("change", this.#known);
  }

  override disconnectedCallback(): void {
    this.facts.removeEventListener("change", this.#known);
    this.asking?.abort();
    super.disconnectedCallback();
  }

  #known = (): void => {
    const bad = [...this.chosen.keys()].filter((image) => this.facts.get(image)?.problem);
    if (bad.length) {
      const chosen = new Map(this.chosen);
      bad.forEach((image) => chosen.delete(image));
      this.#tell(chosen);
    }
    this.requestUpdate();
  };

  async #load(): Promise<void> {
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    this.problem = null;
    this.text = "";
    const timer = setTimeout(() => (this.slow = true), 250);
    try {
      const listing = await Api.at(this.base).browse(this.at, asking.signal);
      if (asking.signal.aborted) return;
      const only = listing.images.length === 0 && listing.folders.length === 1 ? listing.folders[0] : null;
      if (only && !this.at && !this.listing) return this.#visit(only.at); // there is nothing to choose from
      this.listing = listing;
      this.focused = 0;
      this.anchor = 0;
      this.said = `${listing.trail.at(-1)?.name ?? "All folders"}: ${many(listing.folders.length, "folder")}, ${many(listing.images.length, "image")}`;
    } catch (thrown) {
      if (!asking.signal.aborted) {
        this.listing = null;
        this.problem = Problem.from(thrown);
      }
    } finally {
      clearTimeout(timer);
      if (!asking.signal.aborted) this.slow = false;
    }
  }

  #visit(at: string): void {
    this.dispatchEvent(new CustomEvent("sg-at", { detail: { at } }));
  }

  get #images(): ImageEntry[] {
    const all = this.listing?.images ?? [];
    const text = this.text.trim().toLowerCase();
    return text ? all.filter((each) => each.name.toLowerCase().includes(text)) : all;
  }

  #usable(image: string): boolean {
    return !this.facts.get(image)?.problem;
  }

  #tell(chosen: Map<string, string>): void {
    this.chosen = chosen;
    this.dispatchEvent(new CustomEvent("sg-chosen", { detail: { chosen } }));
  }

  #toggle(index: number): void {
    const each = this.#images[index];
    if (!each || !this.#usable(each.image)) return;
    const chosen = new Map(this.chosen);
    if (!chosen.delete(each.image)) chosen.set(each.image, each.name);
    this.anchor = index;
    this.focused = index;
    this.#tell(chosen);
  }

  #reachTo(index: number): void {
    const chosen = new Map(this.chosen);
    const [from, to] = [Math.min(this.anchor, index), Math.max(this.anchor, index)];
    for (const each of this.#images.slice(from, to + 1))
      if (this.#usable(each.image)) chosen.set(each.image, each.name);
    this.focused = index;
    this.#tell(chosen);
  }

  #all(): void {
    const chosen = new Map(this.chosen);
    for (const each of this.#images) if (this.#usable(each.image)) chosen.set(each.image, each.name);
    this.#tell(chosen);
  }

  #none(): void {
    const chosen = new Map(this.chosen);
    for (const each of this.#images) chosen.delete(each.image);
    this.#tell(chosen);
  }

  #clicked(event: MouseEvent): void {
    const tile = (event.target as HTMLElement).closest<HTMLElement>(".tile");
    if (!tile) return;
    const index = Number(tile.dataset["index"]);
    if (event.shiftKey) this.#reachTo(index);
    else this.#toggle(index);
  }

  async #key(event: KeyboardEvent): Promise<void> {
    const images = this.#images;
    const columns = this.grid ? getComputedStyle(this.grid).gridTemplateColumns.split(" ").length : 1;
    const steps: Record<string, number> = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: columns,
      ArrowUp: -columns,
      Home: -Infinity,
      End: Infinity,
    };
    if (event.key === " ") {
      event.preventDefault();
      this.#toggle(this.focused);
      return;
    }
    if (event.key === "a" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.#all();
      return;
    }
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    if (Number.isFinite(step) && (this.focused + step < 0 || this.focused + step >= images.length)) return;
    const to = Math.max(0, Math.min(images.length - 1, this.focused + step));
    if (event.shiftKey) this.#reachTo(to);
    else {
      this.focused = to;
      this.anchor = to;
    }
    await this.updateComplete;
    this.grid?.querySelector<HTMLElement>(`[data-index="${to}"]`)?.focus();
  }

  #visible = (event: Event): void => {
    this.facts.want([(event as CustomEvent<{ image: string }>).detail.image]);
  };

  #tile = (each: ImageEntry, index: number): TemplateResult => {
    const facts = this.facts.get(each.image);
    const chosen = this.chosen.has(each.image);
    return html`<div
      class="tile"
      role="option"
      data-index=${index}
      tabindex=${index === this.focused ? 0 : -1}
      title=${each.name}
      aria-selected=${chosen ? "true" : "false"}
      aria-disabled=${facts?.problem ? "true" : nothing}
    >
      <sg-thumb whole base=${this.base} image=${each.image}></sg-thumb>
      <span class="mark">${icon("check", 16)}</span>
      <span class="name">${each.name}</span>
      ${
        facts?.problem
          ? html`<span class="what bad">Cannot be used: ${facts.problem.message}</span>`
          : html`<span class="what numbers"
              >${facts ? inWords(facts).map((line) => html`<span>${line}</span>`) : nothing}</span
            >`
      }
    </div>`;
  };

  #head(listing: Listing, images: ImageEntry[]): TemplateResult {
    const here = listing.trail.at(-1);
    const usable = images.filter((each) => this.#usable(each.image)).length;
    const chosenHere = images.filter((each) => this.chosen.has(each.image)).length;
    return html`<div class="head">
      <nav class="trail" aria-label="Folder">
        ${listing.trail.length ? html`<button class="quiet" @click=${() => this.#visit("")}>All folders</button>` : html`<b>All folders</b>`}
        ${listing.trail.map((step) => html`${icon("right", 14)}${step === here ? html`<b aria-current="location">${step.name}</b>` : html`<button class="quiet" @click=${() => this.#visit(step.at)}>${step.name}</button>`}`)}
      </nav>
      ${
        listing.images.length
          ? html`<div class="tools">
              ${listing.images.length > 12 ? html`<div class="find">${icon("search", 18)}<input type="search" aria-label="Find an image by its name" placeholder="Find by name" .value=${this.text} @input=${this.#find} /></div>` : nothing}
              ${
                chosenHere && chosenHere >= usable
                  ? html`<button @click=${this.#none}>Choose none</button>`
                  : html`<button @click=${this.#all}>Choose all ${count(usable)}</button>`
              }
            </div>`
          : nothing
      }
    </div>`;
  }

  #find(event: InputEvent): void {
    this.text = (event.target as HTMLInputElement).value;
    this.focused = 0;
    this.anchor = 0;
  }

  override render(): TemplateResult {
    if (this.problem)
      return html`${trouble(this.problem, () => void this.#load())}${this.at ? html`<p class="hint"><button @click=${() => this.#visit("")}>Show all folders</button></p>` : nothing}`;
    if (!this.listing)
      return this.slow
        ? html`<div class="waiting" role="status" aria-label="Looking into the folder">
            ${[1, 2, 3, 4, 5, 6].map(() => html`<i></i>`)}
          </div>`
        : html``;
    const { listing } = this;
    const images = this.#images;
    const empty = !listing.folders.length && !listing.images.length;
    return html`
      ${this.#head(listing, images)}
      ${
        empty
          ? html`<sg-notice kind="empty" sign="folder" heading="No images in this folder">
              ${listing.trail.length ? "Images in TIFF, OME-TIFF and OME-Zarr are shown here. Put some into this folder, or look in another one." : "No folder of images was set up yet. Start slidegate in the folder where your images are, or ask whoever runs it here to add one."}
              ${listing.trail.length ? html`<button slot="do" @click=${() => this.#visit(listing.trail.at(-2)?.at ?? "")}>${icon("left", 16)} Back</button>` : nothing}
              <button slot="do" @click=${() => void this.#load()}>${icon("again", 16)} Look again</button>
            </sg-notice>`
          : nothing
      }
      ${
        listing.folders.length
          ? html`<div class="folders">
              ${listing.folders.map((each) => html`<button @click=${() => this.#visit(each.at)}>${icon("folder")}<span>${each.name}</span></button>`)}
            </div>`
          : nothing
      }
      ${
        images.length
          ? html`<div
                class="grid"
                role="listbox"
                aria-label="Images"
                aria-multiselectable="true"
                @click=${this.#clicked}
                @keydown=${this.#key}
                @sg-visible=${this.#visible}
              >
                ${repeat(images, (each) => each.image, this.#tile)}
              </div>
              <p class="hint muted small">
                Click to choose. Hold <kbd>Shift</kbd> to choose all up to there. By keyboard: arrow keys,
                <kbd>Space</kbd>, <kbd>Ctrl</kbd> <kbd>A</kbd>.
              </p>`
          : listing.images.length
            ? html`<sg-notice kind="empty" sign="search" heading="No image here has that in its name"
                >Try a shorter piece of the name.<button slot="do" @click=${() => (this.text = "")}>
                  Show all ${count(listing.images.length)}
                </button></sg-notice
              >`
            : nothing
      }
      ${listing.truncated ? html`<p class="hint muted small">This folder holds more than can be shown here. Only the first 2,000 are listed; sort the others into folders of their own.</p>` : nothing}
      <div class="sr" role="status">${this.said}</div>
    `;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-browser": SgBrowser;
  }
}
