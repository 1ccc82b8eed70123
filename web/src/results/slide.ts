// SPDX-License-Identifier: BSD-3-Clause
/** The picture: deep zoom with channels in colours, nuclei on top, a scale bar, what lies under the pointer. */
import { LitElement, html, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import OpenSeadragon from "openseadragon";
import { shared } from "../elements/base.ts";
import { type Shown, colourDensity, density } from "./compose.ts";
import { ImageLayer, NucleiLayer, borderOf } from "./layers.ts";
import type { Nuclei, Region } from "./nuclei.ts";
import type { Picture, Reader } from "./reader.ts";
import { keepStyleOut, scaleBar } from "./scale.ts";
import { slideStyle } from "./style.ts";

/** What lies under the pointer; `level` > 0 says that the values are means of 2^level pixels a side. */
export interface Under {
  x: number;
  y: number;
  level: number;
  values: number[] | null;
  /** The number of the nucleus in the label image, 0 without. */
  id: number;
  row: number;
}

export interface Outlines {
  visible: boolean;
  opacity: number;
  colour: string;
}

export const SELECTED = "#ffd23c";

/**
 * Fires `sg-under` (Under or null), `sg-pick` (row or -1), `sg-region` (Region), `sg-view` ({level, coarse}) and
 * `sg-lost` (why a tile could not be read).
 */
@customElement("sg-slide")
export class SgSlide extends LitElement {
  static override styles = [shared, slideStyle];

  @property({ attribute: false }) reader: Reader | null = null;
  @property({ attribute: false }) picture: Picture | null = null;
  @property({ attribute: false }) nuclei: Nuclei | null = null;
  @property({ attribute: false }) shown: readonly Shown[] = [];
  @property({ attribute: false }) outlines: Outlines = { visible: true, opacity: 1, colour: "#ffffff" };
  @property({ attribute: false }) selected: Uint8Array | null = null;
  @property({ attribute: false }) region: Region | null = null;
  @property({ type: Number }) chosen = -1;
  /** Whether dragging draws a region instead of moving the picture, also without the shift key. */
  @property({ type: Boolean }) choosing = false;

  @query(".view") private view!: HTMLElement;
  @query(".over") private over!: HTMLCanvasElement;
  @state() private scale: { width: number; words: string } | null = null;

  viewer: OpenSeadragon.Viewer | null = null;
  image: ImageLayer | null = null;
  labels: NucleiLayer | null = null;
  #imageItem: OpenSeadragon.TiledImage | null = null;
  #labelsItem: OpenSeadragon.TiledImage | null = null;
  #under: Under | null = null;
  #drag: { from: OpenSeadragon.Point; to: OpenSeadragon.Point } | null = null;
  #resize: ResizeObserver | null = null;

  override render(): TemplateResult {
    return html`<div class="view"></div>
      <canvas class="over" aria-hidden="true"></canvas>
      <div class="ring"></div>
      ${this.scale ? html`<div class="bar" aria-label="Scale bar: ${this.scale.words}" role="img">${this.scale.words}<i></i></div>` : ""}`;
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#close();
  }

  override updated(changed: PropertyValues<this>): void {
    if (changed.has("picture") || changed.has("reader")) this.#open();
    if (changed.has("nuclei")) void this.#meet();
    if (changed.has("shown") && this.shown.length) this.image?.style(this.shown);
    if (changed.has("outlines") || changed.has("selected"))
      this.labels?.style(this.outlines.colour, SELECTED, this.selected);
    if (changed.has("outlines"))
      this.#labelsItem?.setOpacity(this.outlines.visible ? this.outlines.opacity : 0);
    this.classList.toggle("choosing", this.choosing);
    const bar = this.renderRoot.querySelector<HTMLElement>(".bar i");
    if (bar && this.scale) bar.style.width = `${this.scale.width}px`;
    this.redraw();
  }

  redraw(): void {
    this.viewer?.forceRedraw();
    this.#drawOver();
  }

  // --- moving

  /** Show the whole picture. */
  fit(): void {
    this.viewer?.viewport.goHome();
  }

  zoomBy(factor: number): void {
    this.viewer?.viewport.zoomBy(factor).applyConstraints();
  }

  /** Show a place of the full resolution in the middle, at least as large as one screen pixel per pixel. */
  zoomTo(x: number, y: number, ratio = 2): void {
    const item = this.#imageItem;
    const viewport = this.viewer?.viewport;
    if (!item || !viewport) return;
    viewport.panTo(item.imageToViewportCoordinates(x, y));
    const zoom = item.imageToViewportZoom(ratio / devicePixelRatio);
    if (viewport.getZoom() < zoom) viewport.zoomTo(zoom);
    viewport.applyConstraints();
  }

  /** Where a place of the full resolution is in this element, in CSS pixels. */
  toElement(x: number, y: number): { x: number; y: number } {
    const at = this.#imageItem!.imageToViewerElementCoordinates(new OpenSeadragon.Point(x, y));
    return { x: at.x, y: at.y };
  }

  /** The place of the full resolution in the middle. */
  middle(): { x: number; y: number } {
    const item = this.#imageItem!;
    const at = item.viewportToImageCoordinates(this.viewer!.viewport.getCenter(true));
    return { x: at.x, y: at.y };
  }

  /** Screen pixels per pixel of the full resolution. */
  get ratio(): number {
    const item = this.#imageItem;
    return item && this.viewer ? item.viewportToImageZoom(this.viewer.viewport.getZoom(true)) : 0;
  }

  /** Whether all tiles that are seen are here. */
  get settled(): boolean {
    const whole = (item: OpenSeadragon.TiledImage | null): boolean =>
      !item || item.getFullyLoaded() || item.getOpacity() === 0;
    return this.#imageItem !== null && whole(this.#imageItem) && whole(this.#labelsItem);
  }

  /** Ask for all tiles again. */
  again(): void {
    this.#imageItem?.reset();
    this.#labelsItem?.reset();
    this.redraw();
  }

  // --- opening

  #close(): void {
    this.#resize?.disconnect();
    this.viewer?.destroy();
    this.viewer = null;
    this.image = this.labels = this.#imageItem = this.#labelsItem = null;
  }

  #open(): void {
    this.#close();
    if (!this.picture || !this.reader) return;
    const lost = (thrown: unknown): void =>
      void this.dispatchEvent(new CustomEvent("sg-lost", { detail: thrown }));
    this.image = new ImageLayer(this.reader, this.picture, lost);
    this.labels = new NucleiLayer(this.reader, this.picture, lost);
    this.image.style(this.shown);
    this.labels.style(this.outlines.colour, SELECTED, this.selected);
    keepStyleOut();
    this.viewer = new OpenSeadragon.Viewer({
      element: this.view,
      drawer: "canvas",
      showNavigationControl: false,
      showNavigator: false,
      imageLoaderLimit: 8,
      maxImageCacheCount: 120,
      maxZoomPixelRatio: 16,
      minZoomImageRatio: 0.8,
      visibilityRatio: 0.4,
      animationTime: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 0.45,
      springStiffness: 9,
      zoomPerScroll: 1.25,
      immediateRender: false,
      tileRetryMax: 0,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true, flickEnabled: false },
      gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true },
      gestureSettingsPen: { clickToZoom: false },
    });
    this.#listen(this.viewer);
    this.viewer.addTiledImage({
      tileSource: this.image.source(false),
      success: (event) => {
        this.#imageItem = (event as unknown as { item: OpenSeadragon.TiledImage }).item;
        this.viewer?.viewport.goHome(true);
        this.#moved();
      },
    });
    const opacity = this.outlines.visible ? this.outlines.opacity : 0;
    this.viewer.addTiledImage({
      tileSource: this.labels.source(true),
      opacity,
      success: (event) => {
        this.#labelsItem = (event as unknown as { item: OpenSeadragon.TiledImage }).item;
        this.#labelsItem.setOpacity(this.outlines.visible ? this.outlines.opacity : 0);
      },
    });
    this.#resize = new ResizeObserver(() => this.#drawOver());
    this.#resize.observe(this);
    void this.#meet();
  }

  /** Nuclei have come: their density, and which rows labels mean. */
  async #meet(): Promise<void> {
    const { nuclei, labels, picture } = this;
    if (!nuclei || !labels || !picture || labels.nuclei === nuclei) return;
    const [xs, ys] = await Promise.all([nuclei.column("x_px"), nuclei.column("y_px"), nuclei.column("id")]);
    const area = nuclei.facts("area_px") ? await nuclei.column("area_px") : null;
    if (labels !== this.labels) return;
    labels.nuclei = nuclei;
    const grid = density(
      xs as Float32Array,
      ys as Float32Array,
      picture.shape[2],
      picture.shape[1],
      picture.pixel_size_um,
    );
    const canvas = document.createElement("canvas");
    canvas.width = grid.width;
    canvas.height = grid.height;
    const pixels = new ImageData(grid.width, grid.height);
    colourDensity(grid, new Uint32Array(pixels.data.buffer));
    canvas.getContext("2d")!.putImageData(pixels, 0, 0);
    labels.density = { grid, canvas };
    const coarseBefore = labels.diameter;
    if (area?.length)
      labels.diameter = 2 * Math.sqrt([...area].sort((a, b) => a - b)[area.length >> 1]! / Math.PI);
    labels.restyle();
    if (Math.abs(Math.log2(labels.diameter / coarseBefore)) > 0.2) this.#labelsItem?.reset();
    this.dispatchEvent(new CustomEvent("sg-density", { detail: grid.most }));
    this.#moved();
    this.redraw();
  }

  #listen(viewer: OpenSeadragon.Viewer): void {
    viewer.addHandler("tile-drawing", (event) => {
      const rendered = (event as unknown as { rendered: CanvasRenderingContext2D }).rendered;
      this.image?.refresh(rendered);
      this.labels?.refresh(rendered);
    });
    viewer.addHandler("update-viewport", () => this.#moved());
    viewer.addHandler("canvas-click", (event) => {
      if (event.quick && !event.shift) this.#pick(event.position);
    });
    viewer.addHandler("canvas-press", (event) => {
      if (!this.choosing && !(event.originalEvent as MouseEvent).shiftKey) return;
      this.#drag = { from: event.position, to: event.position };
    });
    viewer.addHandler("canvas-drag", (event) => {
      if (!this.#drag) return;
      event.preventDefaultAction = true;
      this.#drag.to = event.position;
      this.#drawOver();
    });
    viewer.addHandler("canvas-release", () => this.#dragged());
    viewer.addHandler("canvas-key", (event) => this.#key(event));
    const canvas = viewer.canvas;
    canvas.addEventListener("pointermove", (event) => this.#point(event));
    canvas.addEventListener("pointerleave", () => this.#tell(null));
    canvas.setAttribute("role", "application");
    canvas.setAttribute(
      "aria-label",
      `Picture of ${this.picture?.name ?? "the image"}. Arrow keys move it, plus and minus zoom, 0 shows all of it, Enter chooses the nucleus that is nearest to the middle.`,
    );
  }

  #key(event: OpenSeadragon.CanvasKeyEvent): void {
    event.preventDefaultAction = true;
    const key = (event.originalEvent as KeyboardEvent).key;
    const viewport = this.viewer!.viewport;
    const step = 0.15 / viewport.getZoom();
    const moves: Record<string, [number, number]> = {
      ArrowLeft: [-step, 0],
      ArrowRight: [step, 0],
      ArrowUp: [0, -step],
      ArrowDown: [0, step],
    };
    if (moves[key]) {
      viewport.panBy(new OpenSeadragon.Point(...moves[key])).applyConstraints();
    } else if (key === "+" || key === "=") this.zoomBy(1.5);
    else if (key === "-" || key === "_") this.zoomBy(1 / 1.5);
    else if (key === "0" || key === "Home") this.fit();
    else if (key === "Enter") {
      const { x, y } = this.middle();
      const row = this.nuclei?.nearest(x, y, this.clientHeight / 2 / this.ratio) ?? -1;
      this.dispatchEvent(new CustomEvent("sg-pick", { detail: row }));
    } else if (key === "Escape") this.dispatchEvent(new CustomEvent("sg-pick", { detail: -1 }));
    else return;
    (event.originalEvent as KeyboardEvent).preventDefault();
  }

  // --- what is under the pointer

  #at(position: OpenSeadragon.Point): Under | null {
    const item = this.#imageItem;
    if (!item || !this.picture) return null;
    const place = item.viewerElementToImageCoordinates(position);
    const x = Math.floor(place.x);
    const y = Math.floor(place.y);
    const [channels, height, width] = this.picture.shape;
    if (x < 0 || y < 0 || x >= width || y >= height) return null;
    const found = this.image?.finest(x, y);
    let values: number[] | null = null;
    if (found) {
      const area = found.tile.width * found.tile.height;
      values = Array.from({ length: channels }, (_, channel) => found.tile.data[channel * area + found.at]!);
    }
    const label = this.outlines.visible ? this.labels?.finest(x, y) : null;
    const id = label?.tile.data.labels?.[label.at] ?? 0;
    return { x, y, level: found?.tile.level ?? 0, values, id, row: id ? (this.nuclei?.row(id) ?? -1) : -1 };
  }

  #point(event: PointerEvent): void {
    const box = this.view.getBoundingClientRect();
    this.#tell(this.#at(new OpenSeadragon.Point(event.clientX - box.left, event.clientY - box.top)));
  }

  #tell(under: Under | null): void {
    const before = this.#under?.id ?? 0;
    this.#under = under;
    if ((under?.id ?? 0) !== before) this.#drawOver();
    this.dispatchEvent(new CustomEvent("sg-under", { detail: under }));
  }

  #pick(position: OpenSeadragon.Point): void {
    const under = this.#at(position);
    if (!under) return;
    let row = under.row;
    if (row < 0 && !under.id) row = this.nuclei?.nearest(under.x, under.y, 6 / this.ratio) ?? -1;
    this.dispatchEvent(new CustomEvent("sg-pick", { detail: row }));
  }

  #dragged(): void {
    const drag = this.#drag;
    this.#drag = null;
    if (!drag) return;
    const item = this.#imageItem!;
    if (Math.abs(drag.from.x - drag.to.x) > 3 && Math.abs(drag.from.y - drag.to.y) > 3) {
      const a = item.viewerElementToImageCoordinates(drag.from);
      const b = item.viewerElementToImageCoordinates(drag.to);
      const region: Region = {
        x0: Math.min(a.x, b.x),
        y0: Math.min(a.y, b.y),
        x1: Math.max(a.x, b.x),
        y1: Math.max(a.y, b.y),
      };
      this.dispatchEvent(new CustomEvent("sg-region", { detail: region }));
    }
    this.#drawOver();
  }

  // --- on top

  #moved(): void {
    const micrometres = this.picture?.pixel_size_um ?? null;
    const scale = this.ratio ? scaleBar(this.ratio, micrometres) : null;
    if (scale?.words !== this.scale?.words || Math.abs((scale?.width ?? 0) - (this.scale?.width ?? 0)) > 0.5)
      this.scale = scale;
    this.viewer?.drawer?.setImageSmoothingEnabled(this.ratio < 3);
    const level = Math.max(0, Math.floor(Math.log2(1 / Math.max(this.ratio * devicePixelRatio, 1e-9))));
    this.dispatchEvent(
      new CustomEvent("sg-view", { detail: { level, coarse: this.labels?.isCoarse(level) ?? false } }),
    );
    this.#drawOver();
  }

  #drawOver(): void {
    const { over } = this;
    if (!over || !this.#imageItem) return;
    const dense = devicePixelRatio;
    const width = Math.round(this.clientWidth * dense);
    const height = Math.round(this.clientHeight * dense);
    if (over.width !== width || over.height !== height) {
      over.width = width;
      over.height = height;
    }
    const canvas = over.getContext("2d")!;
    canvas.setTransform(dense, 0, 0, dense, 0, 0);
    canvas.clearRect(0, 0, this.clientWidth, this.clientHeight);
    this.#drawRegion(canvas);
    if (this.#under?.id && this.outlines.visible)
      this.#drawBorder(canvas, this.#under.id, this.#under.x, this.#under.y, "#ffffff");
    this.#drawChosen(canvas);
  }

  #drawRegion(canvas: CanvasRenderingContext2D): void {
    let box: { x: number; y: number; width: number; height: number } | null = null;
    if (this.#drag) {
      const { from, to } = this.#drag;
      box = {
        x: Math.min(from.x, to.x),
        y: Math.min(from.y, to.y),
        width: Math.abs(to.x - from.x),
        height: Math.abs(to.y - from.y),
      };
    } else if (this.region) {
      const a = this.toElement(this.region.x0, this.region.y0);
      const b = this.toElement(this.region.x1, this.region.y1);
      box = { x: a.x, y: a.y, width: b.x - a.x, height: b.y - a.y };
    }
    if (!box) return;
    canvas.fillStyle = "rgb(255 210 60 / 8%)";
    canvas.fillRect(box.x, box.y, box.width, box.height);
    canvas.lineWidth = 3;
    canvas.strokeStyle = "rgb(0 0 0 / 55%)";
    canvas.strokeRect(box.x, box.y, box.width, box.height);
    canvas.lineWidth = 1.5;
    canvas.strokeStyle = SELECTED;
    canvas.strokeRect(box.x, box.y, box.width, box.height);
  }

  #drawBorder(canvas: CanvasRenderingContext2D, id: number, x: number, y: number, colour: string): boolean {
    const path = this.labels ? borderOf(this.labels, id, x, y) : null;
    if (!path) return false;
    const origin = this.toElement(0, 0);
    const ratio = this.ratio;
    canvas.save();
    canvas.translate(origin.x, origin.y);
    canvas.scale(ratio, ratio);
    canvas.lineCap = "square";
    canvas.lineWidth = 4 / ratio;
    canvas.strokeStyle = "rgb(0 0 0 / 60%)";
    canvas.stroke(path);
    canvas.lineWidth = 2 / ratio;
    canvas.strokeStyle = colour;
    canvas.stroke(path);
    canvas.restore();
    return true;
  }

  #drawChosen(canvas: CanvasRenderingContext2D): void {
    const { nuclei, chosen } = this;
    const ids = nuclei?.at("id");
    const xs = nuclei?.at("x_px");
    const ys = nuclei?.at("y_px");
    if (chosen < 0 || !ids || !xs || !ys) return;
    const x = xs[chosen]!;
    const y = ys[chosen]!;
    if (this.outlines.visible && this.ratio > 0.3)
      this.#drawBorder(canvas, ids[chosen]!, Math.floor(x), Math.floor(y), SELECTED);
    const at = this.toElement(x, y);
    const radius = Math.max(14, (this.labels?.diameter ?? 24) * this.ratio);
    canvas.beginPath();
    canvas.arc(at.x, at.y, radius, 0, 2 * Math.PI);
    canvas.lineWidth = 4;
    canvas.strokeStyle = "rgb(0 0 0 / 55%)";
    canvas.stroke();
    canvas.lineWidth = 2;
    canvas.strokeStyle = SELECTED;
    canvas.stroke();
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-slide": SgSlide;
  }
}
