// SPDX-License-Identifier: BSD-3-Clause
/** Axes of plots: from values to places and back, plain or logarithmic, with round numbers to read. */
import { shown } from "./nuclei.ts";
import type { Numbers } from "./reader.ts";

export interface Axis {
  from: number;
  to: number;
  log: boolean;
}

/** The axis that shows all values but the outermost thousandth at each end, which would squeeze the rest. */
export function axisFor(values: Numbers, log: boolean): Axis {
  let usable = 0;
  const sample: number[] = [];
  const stride = Math.max(1, Math.floor(values.length / 20000));
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!Number.isFinite(value) || (log && value <= 0)) continue;
    usable += 1;
    if (value < least) least = value;
    if (value > most) most = value;
    if (usable % stride === 0) sample.push(value);
  }
  if (usable === 0) return { from: log ? 1 : 0, to: log ? 10 : 1, log };
  sample.sort((a, b) => a - b);
  const low = sample[Math.floor(sample.length * 0.001)] ?? least;
  const high = sample[Math.min(sample.length - 1, Math.ceil(sample.length * 0.999))] ?? most;
  if (log) {
    const from = Math.max(least, low / 1.1);
    return { from, to: Math.max(Math.min(most, high * 1.1), from * 1.01), log };
  }
  const spare = (high - low) * 0.06;
  let from = Math.max(least, low - spare);
  let to = Math.min(most, high + spare);
  if (from > 0 && from < 0.25 * to) from = 0;
  if (!(to > from)) {
    from -= 0.5;
    to += 0.5;
  }
  return { from, to, log };
}

/** The share of the axis (0 to 1) at which a value stands; outside values stand outside. */
export function share(axis: Axis, value: number): number {
  if (!axis.log) return (value - axis.from) / (axis.to - axis.from);
  return value > 0 ? Math.log(value / axis.from) / Math.log(axis.to / axis.from) : Number.NEGATIVE_INFINITY;
}

export function valueAt(axis: Axis, place: number): number {
  return axis.log ? axis.from * (axis.to / axis.from) ** place : axis.from + (axis.to - axis.from) * place;
}

export interface Tick {
  value: number;
  words: string;
}

/** About `wanted` round numbers on an axis. */
export function ticks(axis: Axis, wanted: number): Tick[] {
  const found: number[] = [];
  if (axis.log) {
    const decades = Math.log10(axis.to / axis.from);
    const steps = decades > wanted ? [1] : decades > wanted / 2.5 ? [1, 3] : [1, 2, 5];
    if (decades < 0.7) return ticks({ ...axis, log: false }, wanted);
    for (let power = Math.floor(Math.log10(axis.from)); power <= Math.ceil(Math.log10(axis.to)); power++) {
      for (const step of steps) found.push(step * 10 ** power);
    }
  } else {
    const rough = (axis.to - axis.from) / wanted;
    const ten = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((one) => one * ten).find((one) => one >= rough) ?? 10 * ten;
    for (let n = Math.ceil(axis.from / step - 1e-9); n * step <= axis.to + 1e-9 * step; n++)
      found.push(n * step);
  }
  const inside = found.filter(
    (value) => value >= axis.from * (axis.log ? 0.999 : 1) - 1e-12 && value <= axis.to * 1.0001,
  );
  return inside.map((value) => ({ value, words: short(value) }));
}

/** A round number in few letters: 20000 as 20k. */
function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (size >= 10_000) return `${Number((value / 1e3).toPrecision(3))}k`;
  return shown(Number(value.toPrecision(6)));
}

/** Count values in equal bins along an axis; those outside it are counted in the first and the last bin. */
export function binned(values: Numbers, axis: Axis, bins: number, selected: Uint8Array | null): Float64Array {
  const counts = new Float64Array(bins);
  const logged = axis.log ? Math.log(axis.to / axis.from) : 0;
  for (let i = 0; i < values.length; i++) {
    if (selected && !selected[i]) continue;
    const value = values[i]!;
    if (!Number.isFinite(value) || (axis.log && value <= 0)) continue;
    const place = axis.log
      ? Math.log(value / axis.from) / logged
      : (value - axis.from) / (axis.to - axis.from);
    counts[Math.min(bins - 1, Math.max(0, Math.floor(place * bins)))]! += 1;
  }
  return counts;
}
