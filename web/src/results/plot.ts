// SPDX-License-Identifier: BSD-3-Clause
/** What plots on canvas share: colours of the page, axes, and dragging to choose a range. */
import { LitElement, css, type PropertyValues } from "lit";
import { property, query } from "lit/decorators.js";
import { shared } from "../elements/base.ts";
import { type Axis, share, ticks } from "./axes.ts";
import { type RangeFilter, shown } from "./nuclei.ts";

const LEFT = 56;
const BOTTOM = 38;
const TOP = 8;
const RIGHT = 10;

/** Colours as the page has them now. */
export interface Palette {
  ink: string;
  line: string;
  mark: string;
  picked: string;
  brush: string;
  font: string;
}

export abstract class Plot extends LitElement {
  static override styles = [
    shared,
    css`
      :host {
        display: block;
      }
      .plot {
        position: relative;
      }
      canvas {
        display: block;
        width: 100%;
        height: var(--plot-height, 11rem);
        cursor: crosshair;
        touch-action: none;
        border-radius: var(--sg-radius-s);
      }
      .range {
        display: grid;
        grid-template-columns: 1fr auto 1fr;
        gap: var(--sg-1) var(--sg-2);
        align-items: center;
        margin-top: var(--sg-2);
      }
      .range span {
        font-size: var(--sg-size-xs);
        color: var(--sg-ink-2);
      }
      .range .what {
        grid-column: 1 / -1;
      }
      .range input {
        min-height: 2rem !important;
        padding: 0.125rem 0.5rem !important;
        font-size: var(--sg-size-s) !important;
      }
      :host(sg-scatter) {
        --plot-height: 14rem;
      }
      details {
        margin-top: var(--sg-2);
        font-size: var(--sg-size-s);
      }
      summary {
        cursor: pointer;
        color: var(--sg-accent-ink);
        width: fit-content;
        border-radius: var(--sg-radius-s);
      }
      table {
        width: 100%;
        border-collapse: collapse;
        margin-top: var(--sg-2);
        font-variant-numeric: tabular-nums;
        font-size: var(--sg-size-xs);
      }
      th,
      td {
        text-align: right;
        padding: 0.125rem 0.375rem;
        border-bottom: 1px solid var(--sg-line);
        font-weight: 400;
      }
      thead th {
        font-weight: 580;
        color: var(--sg-ink-2);
      }
      td button {
        min-height: 1.5rem;
        padding: 0 0.5rem;
        font-size: var(--sg-size-xs);
      }
    `,
  ];

  @property({ attribute: false }) selected: Uint8Array | null = null;
  /** Changes with the theme, so that the plot is drawn anew. */
  @property() theme = "";
  @query("canvas") protected canvas!: HTMLCanvasElement;
  protected drag: { x0: number; y0: number; x1: number; y1: number } | null = null;
  #resize = new ResizeObserver(() => this.draw());

  #began = false;

  /** Listen to the canvas, once it is there. */
  #begin(): void {
    this.#began = true;
    this.#resize.observe(this.canvas);
    this.canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.canvas.setPointerCapture(event.pointerId);
      const { x, y } = this.#place(event);
      this.drag = { x0: x, y0: y, x1: x, y1: y };
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!this.drag) return;
      const { x, y } = this.#place(event);
      this.drag.x1 = x;
      this.drag.y1 = y;
      this.brushed(false);
      this.draw();
    });
    const end = (): void => {
      if (!this.drag) return;
      const { x0, x1, y0, y1 } = this.drag;
      if (Math.abs(x0 - x1) < 0.01 && Math.abs(y0 - y1) < 0.01) this.clear();
      else this.brushed(true);
      this.drag = null;
      this.draw();
    };
    this.canvas.addEventListener("pointerup", end);
    this.canvas.addEventListener("pointercancel", end);
  }

  override updated(_: PropertyValues): void {
    if (!this.canvas) return;
    if (!this.#began) this.#begin();
    this.draw();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#resize.disconnect();
  }

  /** Where an event is in the plot: shares of its axes, from the left and from the bottom. */
  #place(event: PointerEvent): { x: number; y: number } {
    const box = this.canvas.getBoundingClientRect();
    const x = (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
    const y = 1 - (event.clientY - box.top - TOP) / (box.height - TOP - BOTTOM);
    return { x: Math.min(1, Math.max(0, x)), y: Math.min(1, Math.max(0, y)) };
  }

  protected abstract brushed(ended: boolean): void;
  protected abstract clear(): void;
  protected abstract paint(
    canvas: CanvasRenderingContext2D,
    width: number,
    height: number,
    palette: Palette,
  ): void;

  protected draw(): void {
    const { canvas } = this;
    if (!canvas?.clientWidth) return;
    const dense = devicePixelRatio;
    canvas.width = Math.round(canvas.clientWidth * dense);
    canvas.height = Math.round(canvas.clientHeight * dense);
    const context = canvas.getContext("2d")!;
    const style = getComputedStyle(this);
    const probe = (name: string): string => resolved(this.renderRoot as ShadowRoot, name);
    const palette: Palette = {
      ink: probe("--sg-ink-2"),
      line: probe("--sg-line"),
      mark: probe("--sg-line-strong"),
      picked: probe("--sg-accent"),
      brush: probe("--sg-accent"),
      font: style.fontFamily,
    };
    context.setTransform(dense, 0, 0, dense, LEFT * dense, TOP * dense);
    this.paint(context, canvas.clientWidth - LEFT - RIGHT, canvas.clientHeight - TOP - BOTTOM, palette);
  }

  protected axes(
    canvas: CanvasRenderingContext2D,
    width: number,
    height: number,
    palette: Palette,
    x: Axis,
    y: Axis | null,
    words: [string, string],
  ): void {
    canvas.font = `12px ${palette.font}`;
    canvas.fillStyle = palette.ink;
    canvas.strokeStyle = palette.line;
    canvas.lineWidth = 1;
    canvas.textAlign = "center";
    canvas.textBaseline = "top";
    for (const tick of ticks(x, width / 62)) {
      const at = share(x, tick.value) * width;
      canvas.fillText(tick.words, Math.min(width - 4, Math.max(4, at)), height + 5);
      stroke(canvas, at, height, at, height + 3);
    }
    canvas.fillText(words[0], width / 2, height + 21, width);
    canvas.textAlign = "right";
    canvas.textBaseline = "middle";
    for (const tick of y ? ticks(y, height / 36) : []) {
      const at = height - share(y!, tick.value) * height;
      canvas.fillText(tick.words, -6, at);
      stroke(canvas, 0, at, width, at);
    }
    stroke(canvas, 0, height, width, height);
    if (words[1]) {
      canvas.save();
      canvas.translate(-47, height / 2);
      canvas.rotate(-Math.PI / 2);
      canvas.textAlign = "center";
      canvas.fillText(words[1], 0, 0, height);
      canvas.restore();
    }
  }
}

function stroke(canvas: CanvasRenderingContext2D, x0: number, y0: number, x1: number, y1: number): void {
  canvas.beginPath();
  canvas.moveTo(Math.round(x0) + 0.5, Math.round(y0) + 0.5);
  canvas.lineTo(Math.round(x1) + 0.5, Math.round(y1) + 0.5);
  canvas.stroke();
}

/** The colour that a name stands for here and now; custom properties hold both themes. */
function resolved(root: ShadowRoot, name: string): string {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  root.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

/** What stands in a field: nothing where a range has no end. */
export const typeable = (value: number | undefined): string =>
  value !== undefined && Number.isFinite(value) ? shown(value) : "";

/** A number of a field; what is no number counts as the end of the axis. */
export function fieldValue(event: Event, otherwise: number): number {
  const typed = (event.target as HTMLInputElement).value.replaceAll(",", "").trim();
  const value = Number(typed);
  return typed === "" || !Number.isFinite(value) ? otherwise : value;
}

/** The chosen range, drawn over the plot. */
export function brush(
  canvas: CanvasRenderingContext2D,
  palette: Palette,
  width: number,
  height: number,
  x: Axis,
  rangeX: RangeFilter,
  y: Axis | null,
  rangeY: RangeFilter | null,
): void {
  const inside = (axis: Axis, value: number): number => {
    if (value === Number.POSITIVE_INFINITY) return 1;
    return value === Number.NEGATIVE_INFINITY ? 0 : Math.min(1, Math.max(0, share(axis, value)));
  };
  const x0 = inside(x, rangeX.from) * width;
  const x1 = inside(x, rangeX.to) * width;
  const y1 = y && rangeY ? height - inside(y, rangeY.from) * height : height;
  const y0 = y && rangeY ? height - inside(y, rangeY.to) * height : 0;
  canvas.save();
  canvas.globalAlpha = 0.12;
  canvas.fillStyle = palette.brush;
  canvas.fillRect(x0, y0, x1 - x0, y1 - y0);
  canvas.globalAlpha = 1;
  canvas.strokeStyle = palette.brush;
  canvas.lineWidth = 1.5;
  canvas.strokeRect(x0, y0, x1 - x0, y1 - y0);
  canvas.restore();
}
