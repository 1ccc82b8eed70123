// SPDX-License-Identifier: BSD-3-Clause
/** From numbers to pixels: channels in colours, outlines of nuclei, density. Pure functions on arrays, no DOM. */

export type Rgb = readonly [number, number, number];
export type Samples = Uint8Array | Uint16Array;

/** How one channel is shown: counts at or below `low` are black, at or above `high` its full colour. */
export interface Shown {
  visible: boolean;
  colour: string;
  low: number;
  high: number;
}

export function rgb(colour: string): Rgb {
  const n = Number.parseInt(colour.slice(1), 16);
  return [(n >> 16) & 255, (n >> 8) & 255, n & 255];
}

/** For each count the colour of a channel, packed as three sums of ten bits, so that channels are added in one step. */
export function lookup(shown: Shown, size: number): Uint32Array {
  const table = new Uint32Array(size);
  if (!shown.visible) return table;
  const [r, g, b] = rgb(shown.colour);
  const span = Math.max(shown.high - shown.low, 1);
  for (let count = 0; count < size; count++) {
    const share = Math.min(1, Math.max(0, (count - shown.low) / span));
    table[count] = (Math.round(r * share) << 20) | (Math.round(g * share) << 10) | Math.round(b * share);
  }
  return table;
}

/** Add the channels of a tile (channel after channel) into opaque pixels (little-endian RGBA). */
export function compose(
  samples: Samples,
  pixels: Uint32Array,
  tables: readonly Uint32Array[],
  shown: readonly Shown[],
): void {
  const area = pixels.length;
  const used = tables
    .map((table, channel) => ({ table, at: channel * area }))
    .filter((_, channel) => shown[channel]!.visible);
  if (used.length <= 4) {
    const [one, two, three, four] = used;
    for (let i = 0; i < area; i++) {
      let sum = one ? one.table[samples[one.at + i]!]! : 0;
      if (two) sum += two.table[samples[two.at + i]!]!;
      if (three) sum += three.table[samples[three.at + i]!]!;
      if (four) sum += four.table[samples[four.at + i]!]!;
      pixels[i] = opaque(sum >>> 20, (sum >>> 10) & 1023, sum & 1023);
    }
    return;
  }
  for (let i = 0; i < area; i++) {
    let r = 0;
    let g = 0;
    let b = 0;
    for (const { table, at } of used) {
      const sum = table[samples[at + i]!]!;
      r += sum >>> 20;
      g += (sum >>> 10) & 1023;
      b += sum & 1023;
    }
    pixels[i] = opaque(r, g, b);
  }
}

function opaque(r: number, g: number, b: number): number {
  return (0xff000000 | ((b > 255 ? 255 : b) << 16) | ((g > 255 ? 255 : g) << 8) | (r > 255 ? 255 : r)) >>> 0;
}

export function packed([r, g, b]: Rgb, alpha: number): number {
  return ((Math.round(alpha * 255) << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/** For each pixel of a label tile its row in the table, plus 1; 0 for background, and for what the table does not have. */
export function rowsOf(labels: Uint32Array, ids: Uint32Array): Int32Array {
  const rows = new Int32Array(labels.length);
  let last = 0;
  let row = 0;
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i]!;
    if (label === 0) continue;
    if (label !== last) {
      last = label;
      row = rowOf(label, ids) + 1;
    }
    rows[i] = row;
  }
  return rows;
}

/** The row of an id in the sorted ids; -1 when there is none. */
export function rowOf(id: number, ids: Uint32Array): number {
  let low = 0;
  let high = ids.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const found = ids[middle]!;
    if (found === id) return middle;
    if (found < id) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}

export interface OutlineStyle {
  line: Rgb;
  selected: Rgb;
  /** Whether something is selected, so that the rest steps back. */
  some: boolean;
  /** Side of a usual nucleus in pixels of the tile: the smaller, the lighter the line, so that the picture is seen. */
  size: number;
}

/**
 * Draw outlines: the pixels of a nucleus that touch another nucleus or the background. Those that are selected get
 * another colour and a light filling. Pixels beyond the tile count as the same nucleus.
 */
export function outline(
  labels: Uint32Array,
  rows: Int32Array,
  width: number,
  pixels: Uint32Array,
  selected: Uint8Array,
  style: OutlineStyle,
): void {
  const height = labels.length / width;
  const strength = style.size >= 16 ? 1 : style.size >= 9 ? 0.7 : 0.4;
  const plain = packed(style.line, strength * (style.some ? 0.45 : 1));
  const bright = packed(style.selected, 1);
  const filling = packed(style.selected, 0.24);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const label = labels[i]!;
      if (label === 0) {
        pixels[i] = 0;
        continue;
      }
      const edge =
        (x > 0 && labels[i - 1] !== label) ||
        (x + 1 < width && labels[i + 1] !== label) ||
        (y > 0 && labels[i - width] !== label) ||
        (y + 1 < height && labels[i + width] !== label);
      const row = rows[i]! - 1;
      if (row >= 0 && selected[row] === 1) pixels[i] = edge ? bright : filling;
      else pixels[i] = edge ? plain : 0;
    }
  }
}

/** Nuclei per mm² on a coarse grid, smoothed; `cell` is the side of a cell in pixels of the image. */
export interface Density {
  cell: number;
  width: number;
  height: number;
  /** nuclei per mm² (per megapixel where the size of a pixel is not known) */
  values: Float32Array;
  most: number;
}

/** Count nuclei in cells of about 50 µm and smooth with a binomial kernel of five cells. */
export function density(
  xs: Float32Array,
  ys: Float32Array,
  imageWidth: number,
  imageHeight: number,
  micrometres: number | null,
): Density {
  const cell = Math.max(micrometres ? 50 / micrometres : 128, Math.max(imageWidth, imageHeight) / 512);
  const width = Math.max(1, Math.ceil(imageWidth / cell));
  const height = Math.max(1, Math.ceil(imageHeight / cell));
  const counts = new Float32Array(width * height);
  for (let i = 0; i < xs.length; i++) {
    const column = Math.min(width - 1, Math.floor(xs[i]! / cell));
    const row = Math.min(height - 1, Math.floor(ys[i]! / cell));
    counts[row * width + column]! += 1;
  }
  const side = micrometres ? (cell * micrometres) / 1000 : cell / 1000;
  const values = smooth(smooth(counts, width, height, 1), width, height, width);
  let most = 0;
  for (let i = 0; i < values.length; i++) {
    values[i]! /= side * side;
    most = Math.max(most, values[i]!);
  }
  return { cell, width, height, values, most };
}

function smooth(values: Float32Array, width: number, height: number, step: number): Float32Array {
  const result = new Float32Array(values.length);
  const along = step === 1 ? width : height;
  const kernel = [1, 4, 6, 4, 1];
  for (let i = 0; i < values.length; i++) {
    const at = step === 1 ? i % width : Math.floor(i / width);
    let sum = 0;
    for (let k = -2; k <= 2; k++) {
      const inside = Math.min(along - 1, Math.max(0, at + k));
      sum += kernel[k + 2]! * values[i + (inside - at) * step]!;
    }
    result[i] = sum / 16;
  }
  return result;
}

/** Stops of a ramp from dark violet to light yellow, even in lightness and safe for the colour-blind. */
export const RAMP: readonly Rgb[] = [
  [58, 30, 110],
  [122, 40, 132],
  [190, 56, 110],
  [238, 96, 70],
  [252, 165, 60],
  [252, 236, 160],
];

export function ramp(share: number): Rgb {
  const at = Math.min(0.9999, Math.max(0, share)) * (RAMP.length - 1);
  const low = RAMP[Math.floor(at)]!;
  const high = RAMP[Math.floor(at) + 1]!;
  const part = at - Math.floor(at);
  return [0, 1, 2].map((i) => Math.round(low[i]! + (high[i]! - low[i]!) * part)) as unknown as Rgb;
}

/** Colour a density grid into pixels: nothing where there is nothing. */
export function colourDensity(grid: Density, pixels: Uint32Array): void {
  for (let i = 0; i < grid.values.length; i++) {
    const share = grid.most > 0 ? grid.values[i]! / grid.most : 0;
    pixels[i] = packed(ramp(share), Math.min(0.62, share * 1.8));
  }
}
