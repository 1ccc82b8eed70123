// SPDX-License-Identifier: BSD-3-Clause
/** The picture of an image, fetched when it comes into view, a few at a time; kept in memory while the page is open. */
import { LitElement, css, html, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { Api, Problem } from "../api.ts";
import { shared } from "./base.ts";
import { icon } from "./icon.ts";

const KEPT = 600;
const AT_ONCE = 4;
const kept = new Map<string, Promise<string>>();
const line: (() => void)[] = [];
let busy = 0;

async function turn<T>(work: () => Promise<T>): Promise<T> {
  if (busy >= AT_ONCE) await new Promise<void>((go) => line.push(go));
  busy += 1;
  try {
    return await work();
  } finally {
    busy -= 1;
    line.shift()?.();
  }
}

const GONE = new Error("nobody looks any more");

/**
 * An address (blob:) of the picture; the same for each asker. Throws Problem; or something else, when its turn came and
 * `wanted` said no.
 */
export function pictureOf(
  base: string,
  image: string,
  side: 256 | 1024,
  wanted: () => boolean = () => true,
): Promise<string> {
  const key = `${base}\n${side}\n${image}`;
  const known = kept.get(key);
  if (known) return known;
  const made = turn(async () => {
    if (!wanted()) throw GONE;
    return URL.createObjectURL(await Api.at(base).thumbnail(image, side));
  });
  kept.set(key, made);
  made.catch(() => kept.delete(key));
  if (kept.size > KEPT) {
    const [oldest, address] = kept.entries().next().value as [string, Promise<string>];
    kept.delete(oldest);
    address.then(
      (url) => URL.revokeObjectURL(url),
      () => undefined,
    );
  }
  return made;
}

let elsewhere = (_image: string): string | null => null;

/** Say where small pictures are that are made elsewhere already, by the name of an image; null for the others. */
export function picturesAre(at: (image: string) => string | null): void {
  elsewhere = at;
}

/** Show the small picture at once and the large one when it is there; throws Problem when there is neither. */
export async function overviewOf(
  base: string,
  image: string,
  show: (address: string) => void,
): Promise<void> {
  let large = false;
  const small = pictureOf(base, image, 256).then((address) => {
    if (!large) show(address);
  });
  const whole = pictureOf(base, image, 1024).then((address) => {
    large = true;
    show(address);
  });
  small.catch(() => undefined);
  await whole;
}

const seen = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) if (entry.isIntersecting) (entry.target as SgThumb).load();
  },
  { rootMargin: "300px" },
);

/** Fires `sg-visible` once, when it is first near the view. `square` crops to a square. */
@customElement("sg-thumb")
export class SgThumb extends LitElement {
  static override styles = [
    shared,
    css`
      :host {
        background: #0d0f14;
        overflow: hidden;
        border-radius: var(--sg-radius-s);
        color: #8b91a5;
        aspect-ratio: 1;
      }
      img {
        display: block;
        width: 100%;
        height: 100%;
        object-fit: cover;
      }
      :host([whole]) img {
        object-fit: contain;
      }
      span {
        display: grid;
        place-items: center;
        height: 100%;
      }
      .on-its-way {
        animation: breathe 1.6s ease-in-out infinite alternate;
      }
      @keyframes breathe {
        from {
          opacity: 0.35;
        }
        to {
          opacity: 0.9;
        }
      }
    `,
  ];

  @property() base = "";
  @property() image = "";
  @property({ type: Number }) side: 256 | 1024 = 256;
  @state() private address = "";
  @state() private failed = false;
  private asked = "";
  /** What is made elsewhere could not be shown. */
  private spurned = false;

  override connectedCallback(): void {
    super.connectedCallback();
    seen.observe(this);
  }

  override disconnectedCallback(): void {
    seen.unobserve(this);
    super.disconnectedCallback();
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has("image") && this.asked && this.asked !== this.image) {
      this.address = "";
      this.failed = this.spurned = false;
      this.load();
    }
  }

  load(): void {
    const { image } = this;
    if (this.asked === image) return;
    this.asked = image;
    this.dispatchEvent(new CustomEvent("sg-visible", { bubbles: true, composed: true, detail: { image } }));
    const made = this.spurned ? null : elsewhere(image);
    if (made) {
      this.address = made;
      return;
    }
    pictureOf(this.base, image, this.side, () => this.isConnected && this.image === image).then(
      (address) => {
        if (this.asked === image) this.address = address;
      },
      (thrown: unknown) => {
        if (this.asked !== image) return;
        if (thrown === GONE) this.asked = "";
        else this.failed = Problem.from(thrown).status !== 0;
      },
    );
  }

  /** It is no picture, or not for this person: slidegate makes one. */
  #broken(): void {
    if (this.spurned) return;
    this.spurned = true;
    this.address = this.asked = "";
    this.load();
  }

  override render(): TemplateResult {
    if (this.address)
      return html`<img src=${this.address} alt="" draggable="false" @error=${this.#broken} />`;
    return html`<span class=${this.failed ? "" : "on-its-way"}>${icon("image", 28)}</span>`;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-thumb": SgThumb;
  }
}
