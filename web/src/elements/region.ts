// SPDX-License-Identifier: BSD-3-Clause
/** A picture of a whole image on which a rectangle is drawn, by mouse, finger or keyboard. */
import { LitElement, css, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { styled } from "./styled.ts";
import { Problem } from "../api.ts";
import { count } from "../words.ts";
import { shared } from "./base.ts";
import { trouble } from "./small.ts";
import { overviewOf } from "./thumb.ts";

/** y0, x0, y1, x1 in pixels of the full image, origin at the corner of the first pixel. */
export type Box = [number, number, number, number];

/** The largest box of a side of at most `side` around a point that lies within (rows, columns). */
export function boxAround(
  y: number,
  x: number,
  height: number,
  width: number,
  rows: number,
  columns: number,
): Box {
  const h = Math.min(height, rows);
  const w = Math.min(width, columns);
  const y0 = Math.round(Math.max(0, Math.min(rows - h, y - h / 2)));
  const x0 = Math.round(Math.max(0, Math.min(columns - w, x - w / 2)));
  return [y0, x0, y0 + Math.round(h), x0 + Math.round(w)];
}

/** Fires `sg-region` with {region}. */
@customElement("sg-region")
export class SgRegion extends LitElement {
  static override styles = [
    shared,
    css`
      .stage {
        position: relative;
        background: #0d0f14;
        border-radius: var(--sg-radius-s);
        overflow: hidden;
        touch-action: none;
        cursor: crosshair;
        display: grid;
        place-items: center;
        min-height: 10rem;
      }
      .fit {
        position: relative;
      }
      img {
        display: block;
        width: 100%;
        height: 100%;
        user-select: none;
        -webkit-user-drag: none;
      }
      .box {
        position: absolute;
        border: 2px solid #fff;
        outline: 1px solid rgb(0 0 0 / 60%);
        outline-offset: 0;
        box-shadow: 0 0 0 9999px rgb(8 10 16 / 50%);
        border-radius: 2px;
        cursor: move;
        padding: 0;
        min-height: 10px;
        min-width: 10px;
        background: transparent !important;
      }
      .box:focus-visible {
        outline: 3px solid #ffd36b;
        outline-offset: 1px;
        border-radius: 2px;
      }
      .what {
        margin-top: var(--sg-2);
        font-size: var(--sg-size-xs);
        color: var(--sg-ink-2);
        line-height: 1.45;
      }
      .mask {
        position: absolute;
        inset: 0;
        overflow: hidden;
      }
    `,
  ];

  @property() base = "";
  @property() image = "";
  /** (rows, columns) of the full image. */
  @property({ attribute: false }) shape: [number, number] = [1, 1];
  @property({ attribute: false }) region: Box = [0, 0, 1, 1];
  @property({ type: Number }) most = 2048;
  /** How high the picture may be, in rem. */
  @property({ type: Number }) height = 24;
  @state() private address = "";
  @state() private problem: Problem | null = null;
  @query(".fit") private fit?: HTMLElement;
  private from: { y: number; x: number; move: Box | null } | null = null;

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has("image")) void this.#load();
  }

  async #load(): Promise<void> {
    const { image } = this;
    this.address = "";
    this.problem = null;
    if (!image) return;
    try {
      await overviewOf(this.base, image, (address) => {
        if (image === this.image) this.address = address;
      });
    } catch (thrown) {
      if (image === this.image) this.problem = Problem.from(thrown);
    }
  }

  /** Where a pointer is, in pixels of the full image. */
  #place(event: PointerEvent): { y: number; x: number } {
    const at = this.fit!.getBoundingClientRect();
    const [rows, columns] = this.shape;
    return {
      y: Math.max(0, Math.min(rows, ((event.clientY - at.top) / at.height) * rows)),
      x: Math.max(0, Math.min(columns, ((event.clientX - at.left) / at.width) * columns)),
    };
  }

  #down(event: PointerEvent): void {
    if (event.button !== 0 || !this.address) return;
    const place = this.#place(event);
    const [y0, x0, y1, x1] = this.region;
    const most = y1 - y0 > 0.9 * this.shape[0] && x1 - x0 > 0.9 * this.shape[1]; // there is nowhere to drag it to
    const inside = !most && (event.target as HTMLElement).classList.contains("box");
    this.from = { ...place, move: inside ? [...this.region] : null };
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
  }

  #drag(event: PointerEvent): void {
    if (!this.from) return;
    const { y, x } = this.#place(event);
    const [rows, columns] = this.shape;
    if (this.from.move) {
      const [y0, x0, y1, x1] = this.from.move;
      this.region = boxAround(
        (y0 + y1) / 2 + y - this.from.y,
        (x0 + x1) / 2 + x - this.from.x,
        y1 - y0,
        x1 - x0,
        rows,
        columns,
      );
      return;
    }
    const h = Math.min(this.most, Math.abs(y - this.from.y));
    const w = Math.min(this.most, Math.abs(x - this.from.x));
    if (h < this.#least && w < this.#least) return;
    const y0 = y < this.from.y ? this.from.y - h : this.from.y;
    const x0 = x < this.from.x ? this.from.x - w : this.from.x;
    this.region = boxAround(
      y0 + h / 2,
      x0 + w / 2,
      Math.max(h, this.#least),
      Math.max(w, this.#least),
      rows,
      columns,
    );
  }

  get #least(): number {
    return Math.min(128, ...this.shape);
  }

  #up(event: PointerEvent): void {
    if (!this.from) return;
    const { y, x } = this.#place(event);
    const still =
      Math.abs(y - this.from.y) < this.shape[0] / 200 && Math.abs(x - this.from.x) < this.shape[1] / 200;
    if (still && !this.from.move) {
      const [y0, x0, y1, x1] = this.region;
      this.region = boxAround(y, x, y1 - y0, x1 - x0, ...this.shape);
    }
    this.from = null;
    this.#tell();
  }

  #key(event: KeyboardEvent): void {
    const [y0, x0, y1, x1] = this.region;
    const [rows, columns] = this.shape;
    const step = event.shiftKey
      ? Math.max(1, Math.min(rows, columns) / 200)
      : Math.max(1, Math.min(rows, columns) / 25);
    const moves: Record<string, [number, number]> = {
      ArrowUp: [-step, 0],
      ArrowDown: [step, 0],
      ArrowLeft: [0, -step],
      ArrowRight: [0, step],
    };
    const move = moves[event.key];
    let factor = 1;
    if (event.key === "+" || event.key === "=") factor = 1.25;
    else if (event.key === "-") factor = 0.8;
    else if (!move) return;
    event.preventDefault();
    const size = (n: number): number => Math.min(this.most, Math.max(this.#least, n * factor));
    this.region = boxAround(
      (y0 + y1) / 2 + (move?.[0] ?? 0),
      (x0 + x1) / 2 + (move?.[1] ?? 0),
      size(y1 - y0),
      size(x1 - x0),
      rows,
      columns,
    );
    this.#tell();
  }

  #tell(): void {
    this.dispatchEvent(new CustomEvent("sg-region", { detail: { region: this.region } }));
  }

  override render(): TemplateResult {
    if (this.problem) return html`${trouble(this.problem, () => void this.#load())}`;
    const [y0, x0, y1, x1] = this.region;
    const [rows, columns] = this.shape;
    const percent = (part: number, whole: number): string => `${(100 * part) / whole}%`;
    const where = styled({
      top: percent(y0, rows),
      left: percent(x0, columns),
      height: percent(y1 - y0, rows),
      width: percent(x1 - x0, columns),
    });
    const size = `${count(x1 - x0)} × ${count(y1 - y0)} px`;
    const ratio = columns / rows;
    const fit = styled({
      "aspect-ratio": `${columns} / ${rows}`,
      width: `min(100%, ${this.height * ratio}rem)`,
    });
    return html`<div
        class="stage"
        @pointerdown=${this.#down}
        @pointermove=${this.#drag}
        @pointerup=${this.#up}
        @pointercancel=${this.#up}
      >
        <div class="fit" ${fit}>
          ${
            this.address
              ? html`<img src=${this.address} alt="The whole image" draggable="false" />
                  <div class="mask">
                    <button
                      class="box"
                      ${where}
                      @keydown=${this.#key}
                      aria-label="Region to try, ${size}, at ${count(x0)}, ${count(y0)}. Arrow keys move it, plus and minus change its size."
                    ></button>
                  </div>`
              : nothing
          }
        </div>
      </div>
      <p class="what">
        <b class="numbers">${size}</b> · Draw a region, or drag it. By keyboard: arrow keys move it, + and −
        change its size.
      </p>`;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-region": SgRegion;
  }
}
