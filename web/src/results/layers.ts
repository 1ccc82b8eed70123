// SPDX-License-Identifier: BSD-3-Clause
/**
 * What OpenSeadragon draws: two layers of tiles that are downloaded as numbers and painted here. A change of colours,
 * contrast or selection paints the tiles that are seen anew, just before they are drawn, and downloads nothing.
 */
import OpenSeadragon from "openseadragon";
import {
  type Density,
  type Rgb,
  type Samples,
  type Shown,
  compose,
  lookup,
  outline,
  rgb,
  rowsOf,
} from "./compose.ts";
import type { Nuclei } from "./nuclei.ts";
import type { Picture, Reader, Size } from "./reader.ts";

/** A tile that is here: its canvas, its place in pixels of its level, and which style it was painted with. */
export interface Tile<D> {
  canvas: CanvasRenderingContext2D;
  level: number;
  x: number;
  y: number;
  width: number;
  height: number;
  data: D;
  stamp: number;
}

/** Tiles of one kind. `download` gets the numbers of a tile; `paint` fills its canvas. */
export abstract class Layer<D> {
  readonly tiles = new Map<string, Tile<D>>();
  #byCanvas = new WeakMap<CanvasRenderingContext2D, Tile<D>>();
  #stamp = 1;

  constructor(
    readonly kind: string,
    readonly picture: Picture,
    readonly failed: (thrown: unknown) => void,
  ) {}

  abstract download(level: number, row: number, column: number, signal: AbortSignal): Promise<D>;
  abstract paint(tile: Tile<D>): void;

  /** The tile source for OpenSeadragon, whose levels count from the coarsest. */
  source(transparent: boolean): OpenSeadragon.TileSource {
    const { levels, tile: side } = this.picture;
    const full = levels[0]!;
    const top = levels.length - 1;
    const source = new OpenSeadragon.TileSource({
      width: full.width,
      height: full.height,
      tileSize: side,
      tileOverlap: 0,
      minLevel: 0,
      maxLevel: top,
    });
    source.getTileUrl = (level: number, x: number, y: number) => `${this.kind}/${top - level}/${y}/${x}`;
    source.hasTransparency = () => transparent;
    source.downloadTileStart = (job: OpenSeadragon.ImageJob) => {
      const cancel = new AbortController();
      (job as unknown as { userData: { cancel?: AbortController } }).userData.cancel = cancel;
      const [level, row, column] = (job.src as string).split("/").slice(1).map(Number) as [
        number,
        number,
        number,
      ];
      this.#load(level, row, column, cancel.signal).then(
        (canvas) => job.finish(canvas, null as unknown as XMLHttpRequest, "context2d"),
        (thrown: unknown) => {
          if (cancel.signal.aborted) return;
          job.fail("The tile could not be read.", null as unknown as XMLHttpRequest);
          this.failed(thrown);
        },
      );
    };
    source.downloadTileAbort = (job: OpenSeadragon.ImageJob) =>
      (job as unknown as { userData: { cancel?: AbortController } }).userData.cancel?.abort();
    return source;
  }

  /** All tiles are to be painted anew before they are drawn next. */
  restyle(): void {
    this.#stamp += 1;
  }

  /** Called before a tile is drawn. */
  refresh(canvas: CanvasRenderingContext2D): void {
    const tile = this.#byCanvas.get(canvas);
    if (!tile || tile.stamp === this.#stamp) return;
    tile.stamp = this.#stamp;
    this.paint(tile);
  }

  /** The finest tile that is here for a pixel of the full resolution, and the pixel's place in it. */
  finest(x: number, y: number): { tile: Tile<D>; at: number } | null {
    for (let level = 0; level < this.picture.levels.length; level++) {
      const size = this.picture.levels[level]!;
      const column = Math.min(Math.floor(x / 2 ** level), size.width - 1);
      const row = Math.min(Math.floor(y / 2 ** level), size.height - 1);
      const side = this.picture.tile;
      const tile = this.tiles.get(`${level}/${Math.floor(row / side)}/${Math.floor(column / side)}`);
      if (tile && tile.canvas.canvas.width > 0)
        return { tile, at: (row - tile.y) * tile.width + (column - tile.x) };
    }
    return null;
  }

  async #load(
    level: number,
    row: number,
    column: number,
    signal: AbortSignal,
  ): Promise<CanvasRenderingContext2D> {
    const data = await this.download(level, row, column, signal);
    if (signal.aborted) throw new DOMException("not wanted any more", "AbortError");
    const { x, y, width, height } = place(this.picture.levels[level]!, this.picture.tile, row, column);
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    const tile: Tile<D> = {
      canvas: canvas.getContext("2d")!,
      level,
      x,
      y,
      width,
      height,
      data,
      stamp: this.#stamp,
    };
    this.#sweep();
    this.tiles.set(`${level}/${row}/${column}`, tile);
    this.#byCanvas.set(tile.canvas, tile);
    this.paint(tile);
    return tile.canvas;
  }

  /** Forget tiles that OpenSeadragon has let go of: it empties their canvases. */
  #sweep(): void {
    for (const [name, tile] of this.tiles) if (tile.canvas.canvas.width === 0) this.tiles.delete(name);
  }
}

function place(
  size: Size,
  side: number,
  row: number,
  column: number,
): { x: number; y: number; width: number; height: number } {
  const x = column * side;
  const y = row * side;
  return { x, y, width: Math.min(side, size.width - x), height: Math.min(side, size.height - y) };
}

const buffers = new Map<string, ImageData>();

/** Pixels to paint a tile with; used again for the next tile of that size. */
function buffer(width: number, height: number): { image: ImageData; pixels: Uint32Array } {
  const key = `${width} ${height}`;
  let image = buffers.get(key);
  if (!image) buffers.set(key, (image = new ImageData(width, height)));
  return { image, pixels: new Uint32Array(image.data.buffer) };
}

/** The picture itself. */
export class ImageLayer extends Layer<Samples> {
  #shown: readonly Shown[] = [];
  #tables: Uint32Array[] = [];

  constructor(
    private readonly reader: Reader,
    picture: Picture,
    failed: (thrown: unknown) => void,
  ) {
    super("image", picture, failed);
  }

  style(shown: readonly Shown[]): void {
    const size = this.picture.dtype === "uint8" ? 256 : 65536;
    this.#tables = shown.map((one, at) => {
      const before = this.#shown[at];
      const same =
        before &&
        before.visible === one.visible &&
        before.colour === one.colour &&
        before.low === one.low &&
        before.high === one.high;
      return same ? this.#tables[at]! : lookup(one, size);
    });
    this.#shown = shown.map((one) => ({ ...one }));
    this.restyle();
  }

  override download(level: number, row: number, column: number, signal: AbortSignal): Promise<Samples> {
    return this.reader.tile(this.picture, level, row, column, signal);
  }

  override paint(tile: Tile<Samples>): void {
    const { image, pixels } = buffer(tile.width, tile.height);
    compose(tile.data, pixels, this.#tables, this.#shown);
    tile.canvas.putImageData(image, 0, 0);
  }
}

/** Labels of a tile; at coarse levels, where outlines would be dust, there are none and density is painted. */
export interface Labelled {
  labels: Uint32Array | null;
  rows: Int32Array | null;
}

const SMALLEST_OUTLINE = 5;

/** Outlines of nuclei, or their density where the picture is small. */
export class NucleiLayer extends Layer<Labelled> {
  nuclei: Nuclei | null = null;
  density: { grid: Density; canvas: HTMLCanvasElement } | null = null;
  /** Side of a usual nucleus, in pixels of the full resolution. */
  diameter = 24;
  #line: Rgb = [255, 255, 255];
  #selectedColour: Rgb = [255, 210, 60];
  #selected: Uint8Array | null = null;

  constructor(
    private readonly reader: Reader,
    picture: Picture,
    failed: (thrown: unknown) => void,
  ) {
    super("labels", picture, failed);
  }

  style(line: string, selectedColour: string, selected: Uint8Array | null): void {
    this.#line = rgb(line);
    this.#selectedColour = rgb(selectedColour);
    this.#selected = selected;
    this.restyle();
  }

  /** Whether a level is too coarse for outlines. */
  isCoarse(level: number): boolean {
    return this.picture.labels === null || this.diameter / 2 ** level < SMALLEST_OUTLINE;
  }

  override async download(
    level: number,
    row: number,
    column: number,
    signal: AbortSignal,
  ): Promise<Labelled> {
    const labels = this.picture.labels;
    if (!labels || this.isCoarse(level) || !labels.levels[level]) return { labels: null, rows: null };
    return { labels: await this.reader.labels(labels.version, level, row, column, signal), rows: null };
  }

  override paint(tile: Tile<Labelled>): void {
    tile.canvas.clearRect(0, 0, tile.width, tile.height);
    if (tile.data.labels) this.#paintOutlines(tile, tile.data.labels);
    else this.#paintDensity(tile);
  }

  #paintOutlines(tile: Tile<Labelled>, labels: Uint32Array): void {
    const ids = this.nuclei?.at("id");
    if (!tile.data.rows && ids instanceof Uint32Array) tile.data.rows = rowsOf(labels, ids);
    const { image, pixels } = buffer(tile.width, tile.height);
    const style = {
      line: this.#line,
      selected: this.#selectedColour,
      some: this.#selected !== null,
      size: this.diameter / 2 ** tile.level,
    };
    outline(
      labels,
      tile.data.rows ?? new Int32Array(labels.length),
      tile.width,
      pixels,
      this.#selected ?? NONE,
      style,
    );
    tile.canvas.putImageData(image, 0, 0);
  }

  #paintDensity(tile: Tile<Labelled>): void {
    const { canvas } = tile;
    const scale = 2 ** tile.level;
    if (this.density) {
      const { grid, canvas: coloured } = this.density;
      const cell = grid.cell / scale;
      canvas.globalAlpha = this.#selected ? 0.3 : 1;
      canvas.imageSmoothingEnabled = true;
      canvas.imageSmoothingQuality = "high";
      canvas.drawImage(coloured, -tile.x, -tile.y, grid.width * cell, grid.height * cell);
      canvas.globalAlpha = 1;
    }
    const xs = this.nuclei?.at("x_px");
    const ys = this.nuclei?.at("y_px");
    if (!this.#selected || !xs || !ys) return;
    canvas.fillStyle = `rgb(${this.#selectedColour.join(" ")})`;
    const side = Math.max(2, Math.min(4, this.diameter / scale));
    for (let i = 0; i < this.#selected.length; i++) {
      if (!this.#selected[i]) continue;
      const x = xs[i]! / scale - tile.x;
      const y = ys[i]! / scale - tile.y;
      if (x > -side && y > -side && x < tile.width + side && y < tile.height + side)
        canvas.fillRect(x - side / 2, y - side / 2, side, side);
    }
  }
}

const NONE = new Uint8Array(0);

/** The border of one nucleus as a path in pixels of the full resolution, from the tiles of the finest level that is here. */
export function borderOf(layer: NucleiLayer, id: number, x: number, y: number): Path2D | null {
  const found = layer.finest(x, y);
  if (!found?.tile.data.labels) return null;
  const level = found.tile.level;
  const path = new Path2D();
  for (const tile of layer.tiles.values()) {
    if (tile.level !== level || !tile.data.labels || tile.canvas.canvas.width === 0) continue;
    trace(tile, tile.data.labels, id, path);
  }
  return path;
}

function trace(tile: Tile<Labelled>, labels: Uint32Array, id: number, path: Path2D): void {
  const { width, height } = tile;
  const scale = 2 ** tile.level;
  const line = (x0: number, y0: number, x1: number, y1: number): void => {
    path.moveTo((tile.x + x0) * scale, (tile.y + y0) * scale);
    path.lineTo((tile.x + x1) * scale, (tile.y + y1) * scale);
  };
  let i = labels.indexOf(id);
  if (i < 0) return;
  const end = labels.lastIndexOf(id);
  for (; i <= end; i++) {
    if (labels[i] !== id) continue;
    const x = i % width;
    const y = Math.floor(i / width);
    if (x > 0 && labels[i - 1] !== id) line(x, y, x, y + 1);
    if (x + 1 < width && labels[i + 1] !== id) line(x + 1, y, x + 1, y + 1);
    if (y > 0 && labels[i - width] !== id) line(x, y, x + 1, y);
    if (y + 1 < height && labels[i + width] !== id) line(x, y + 1, x + 1, y + 1);
  }
}
