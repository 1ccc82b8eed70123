// SPDX-License-Identifier: BSD-3-Clause
/** The images that were selected in OMERO.web: those that can be used, and apart those that cannot, with the reason. */
import { LitElement, css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import type { SelectedImage } from "../api.ts";
import { shared } from "../elements/base.ts";
import { icon } from "../elements/icon.ts";
import "../elements/thumb.ts";
import { inWords, type Facts } from "../launch/facts.ts";
import { count, many } from "../words.ts";

/** Of a stack, the plane that is used: counted from 0. */
export interface Plane {
  z: number;
  t: number;
}

const FEW = 12;

/**
 * `images` can be used, `unusable` cannot (with `why`), and of `stacks` a plane has to be chosen; `planes` holds those that are, by
 * image. Fires `sg-without` with {image}, `sg-back` for all that were left out, and `sg-planes` with {planes}.
 */
@customElement("sg-omero-images")
export class SgOmeroImages extends LitElement {
  static override styles = [
    shared,
    css`
      .card {
        display: grid;
        gap: var(--sg-4);
      }
      .list {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(min(17rem, 100%), 1fr));
        gap: var(--sg-2);
      }
      .all {
        max-height: 26rem;
        overflow: auto;
        padding: 2px;
      }
      li {
        display: grid;
        grid-template-columns: 3.25rem minmax(0, 1fr) auto;
        gap: 0 var(--sg-3);
        align-items: center;
        padding: var(--sg-2);
        border: 1px solid var(--sg-line);
        border-radius: var(--sg-radius-s);
        content-visibility: auto;
        contain-intrinsic-size: auto 4.25rem;
      }
      sg-thumb {
        width: 3.25rem;
        height: 3.25rem;
      }
      .what {
        min-width: 0;
        line-height: 1.35;
        font-size: var(--sg-size-xs);
      }
      .name {
        display: block;
        font-weight: 580;
        font-size: var(--sg-size-s);
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      .unusable .name {
        white-space: normal;
        overflow-wrap: anywhere;
      }
      .unusable sg-thumb {
        opacity: 0.45;
      }
      .line {
        display: block;
        color: var(--sg-ink-2);
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      .why {
        display: block;
        color: var(--sg-bad);
        overflow-wrap: anywhere;
      }
      li button.quiet {
        min-height: 2rem;
        width: 2rem;
        padding: 0;
        color: var(--sg-ink-2);
      }
      summary {
        cursor: pointer;
        font-weight: 580;
        font-size: var(--sg-size-s);
        width: fit-content;
        padding: var(--sg-1);
        margin: calc(-1 * var(--sg-1));
        border-radius: var(--sg-radius-s);
      }
      details .list {
        margin-top: var(--sg-3);
      }
      .planes {
        display: flex;
        gap: var(--sg-2);
        align-items: center;
        font-size: var(--sg-size-xs);
        margin-top: var(--sg-1);
      }
      .planes label {
        font-size: var(--sg-size-xs);
        display: inline-flex;
        gap: var(--sg-1);
        align-items: center;
        white-space: nowrap;
      }
      .planes input {
        width: 4rem !important;
        min-height: 1.75rem !important;
        padding: 0 var(--sg-2) !important;
        font-size: var(--sg-size-xs) !important;
      }
    `,
  ];

  @property() base = "";
  @property({ attribute: false }) images: readonly SelectedImage[] = [];
  @property({ attribute: false }) unusable: readonly SelectedImage[] = [];
  @property({ attribute: false }) stacks: readonly SelectedImage[] = [];
  @property({ attribute: false }) planes: ReadonlyMap<string, Plane> = new Map();
  /** How many the person left out. */
  @property({ type: Number }) left = 0;
  @property({ attribute: false }) groups: ReadonlyMap<number, string> = new Map();
  @property({ attribute: false }) facts!: Facts;
  /** What an image is called with its plane. */
  @property({ attribute: false }) named: (image: SelectedImage) => string = (image) => image.image;
  @state() private whole = false;

  #tell(planes: ReadonlyMap<string, Plane>): void {
    this.dispatchEvent(new CustomEvent("sg-planes", { detail: { planes } }));
  }

  #middle = (): void => {
    const planes = new Map(this.planes);
    for (const { image, planes: of } of this.stacks)
      if (of && !planes.has(image)) planes.set(image, { z: Math.floor(of.z / 2), t: 0 });
    this.#tell(planes);
  };

  #plane(image: SelectedImage, axis: "z" | "t", event: Event): void {
    const most = image.planes![axis];
    const field = event.target as HTMLInputElement;
    const number = Math.min(most, Math.max(1, Math.round(Number(field.value)) || 1));
    field.value = String(number);
    const plane = { ...(this.planes.get(image.image) ?? { z: 0, t: 0 }), [axis]: number - 1 };
    this.#tell(new Map(this.planes).set(image.image, plane));
  }

  #axis(image: SelectedImage, plane: Plane, axis: "z" | "t", words: string): unknown {
    const most = image.planes![axis];
    if (most <= 1) return nothing;
    return html`<label
      >${words}
      <input
        type="number"
        min="1"
        max=${most}
        .value=${String(plane[axis] + 1)}
        aria-label="${words} of ${image.name}, from 1 to ${most}"
        @change=${(event: Event) => this.#plane(image, axis, event)}
      />
      of ${most}</label
    >`;
  }

  #where(image: SelectedImage): string {
    const group = this.groups.size > 1 ? this.groups.get(image.group) : "";
    return [image.dataset, group].filter(Boolean).join(" · ");
  }

  #usable = (image: SelectedImage): TemplateResult => {
    const facts = this.facts.get(this.named(image));
    const plane = this.planes.get(image.image);
    return html`<li title=${image.name}>
      <sg-thumb base=${this.base} image=${image.image}></sg-thumb>
      <span class="what"
        ><span class="name">${image.name}</span
        ><span class="line">${this.#where(image)}</span
        >${facts?.shape ? html`<span class="line numbers">${inWords(facts)[0]}</span>` : nothing}${
          plane && image.planes
            ? html`<span class="planes"
                >${this.#axis(image, plane, "z", "Plane")}${this.#axis(image, plane, "t", "Time")}</span
              >`
            : nothing
        }</span
      >
      <button
        class="quiet"
        aria-label="Leave out ${image.name}"
        @click=${() => this.dispatchEvent(new CustomEvent("sg-without", { detail: { image: image.image } }))}
      >
        ${icon("cross", 16)}
      </button>
    </li>`;
  };

  #bad = (image: SelectedImage): TemplateResult =>
    html`<li class="unusable">
      <sg-thumb base=${this.base} image=${image.image}></sg-thumb>
      <span class="what"
        ><span class="name">${image.name}</span><span class="line">${this.#where(image)}</span
        ><span class="why">${image.why}</span></span
      >
    </li>`;

  #stacks(): unknown {
    const open = this.stacks.filter((each) => !this.planes.has(each.image)).length;
    if (!open) return nothing;
    return html`<sg-notice
      kind="warn"
      heading="${many(open, "image")} ${open === 1 ? "has" : "have"} several planes"
      >A workflow looks at one plane of an image. Take the middle one of each stack (at the first time), and
      choose another one below where that is not the right one; without that,
      ${open === 1 ? "this image is" : "these images are"} left out.<button slot="do" @click=${this.#middle}>
        Take the middle plane
      </button></sg-notice
    >`;
  }

  override render(): TemplateResult {
    const { images, unusable } = this;
    const shown = this.whole ? images : images.slice(0, FEW);
    const bad = unusable.length;
    return html`<section class="card" aria-labelledby="i">
      <div class="row">
        <h2 id="i">${images.length ? many(images.length, "image") : "Images"}</h2>
        ${this.left ? html`<span class="muted small">${count(this.left)} left out</span><button class="quiet" @click=${() => this.dispatchEvent(new CustomEvent("sg-back"))}>Take ${this.left === 1 ? "it" : "them"} back</button>` : nothing}
      </div>
      ${this.#stacks()}
      ${
        images.length
          ? html`<ul
              class="list ${this.whole ? "all" : ""}"
              tabindex=${this.whole ? 0 : nothing}
              aria-label="Images"
            >
              ${repeat(shown, (each) => each.image, this.#usable)}
            </ul>`
          : nothing
      }
      ${images.length > shown.length ? html`<div><button @click=${() => (this.whole = true)}>Show all ${count(images.length)}</button></div>` : nothing}
      ${
        bad
          ? html`<details ?open=${bad <= 6}>
              <summary>${many(bad, "image")} cannot be used and ${bad === 1 ? "is" : "are"} left out</summary>
              <ul class="list" aria-label="Images that cannot be used">
                ${repeat(unusable, (each) => each.image, this.#bad)}
              </ul>
            </details>`
          : nothing
      }
    </section>`;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-omero-images": SgOmeroImages;
  }
}
