// SPDX-License-Identifier: BSD-3-Clause
/** The nuclei of one image: their columns as they are asked for, and which are selected by ranges and a region. */
import { rowOf } from "./compose.ts";
import type { ColumnFacts, Numbers, Reader, TableFacts } from "./reader.ts";

/** Rows whose value lies in a range; both ends count. */
export interface RangeFilter {
  column: string;
  from: number;
  to: number;
}

/** A rectangle in full-resolution pixels; a nucleus is inside when its centroid is. */
export interface Region {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

/** What narrows the selection: each plot's brush and the region in the picture. All must hold. */
export interface Filters {
  histogram: RangeFilter | null;
  scatter: [RangeFilter, RangeFilter] | null;
  region: Region | null;
}

export const NO_FILTERS: Filters = { histogram: null, scatter: null, region: null };

export class Nuclei {
  readonly rows: number;
  readonly #columns = new Map<string, Promise<Numbers>>();
  readonly #ready = new Map<string, Numbers>();

  constructor(
    readonly table: TableFacts,
    private readonly reader: Reader,
    private readonly signal: AbortSignal,
  ) {
    this.rows = table.rows;
  }

  facts(name: string): ColumnFacts | undefined {
    return this.table.columns.find((column) => column.name === name);
  }

  /** The values of a column; downloaded once. */
  column(name: string): Promise<Numbers> {
    const known = this.#columns.get(name);
    if (known) return known;
    const facts = this.facts(name);
    if (!facts) return Promise.reject(new Error(`no column ${name}`));
    const asked = this.reader.column(facts, this.table.version, this.signal);
    this.#columns.set(name, asked);
    asked.then(
      (values) => this.#ready.set(name, values),
      () => this.#columns.delete(name),
    );
    return asked;
  }

  /** The values of a column that is here already. */
  at(name: string): Numbers | undefined {
    return this.#ready.get(name);
  }

  row(id: number): number {
    const ids = this.#ready.get("id");
    return ids instanceof Uint32Array ? rowOf(id, ids) : -1;
  }

  /** Which rows pass all filters; null when there is none. The columns of the filters must be here. */
  select(filters: Filters): Uint8Array | null {
    const ranges = [filters.histogram, ...(filters.scatter ?? [])].filter((one) => one !== null);
    if (ranges.length === 0 && !filters.region) return null;
    const selected = new Uint8Array(this.rows).fill(1);
    for (const { column, from, to } of ranges) {
      const values = this.at(column);
      if (!values) continue;
      for (let i = 0; i < selected.length; i++)
        if (!(values[i]! >= from && values[i]! <= to)) selected[i] = 0;
    }
    const xs = this.at("x_px");
    const ys = this.at("y_px");
    if (filters.region && xs && ys) {
      const { x0, y0, x1, y1 } = filters.region;
      for (let i = 0; i < selected.length; i++)
        if (!(xs[i]! >= x0 && xs[i]! < x1 && ys[i]! >= y0 && ys[i]! < y1)) selected[i] = 0;
    }
    return selected;
  }

  /** The nucleus whose centroid is nearest to a place, in full-resolution pixels, within a distance; -1 without. */
  nearest(x: number, y: number, within: number): number {
    const xs = this.at("x_px");
    const ys = this.at("y_px");
    if (!xs || !ys) return -1;
    let best = within * within;
    let found = -1;
    for (let i = 0; i < xs.length; i++) {
      const far = (xs[i]! - x) ** 2 + (ys[i]! - y) ** 2;
      if (far <= best) {
        best = far;
        found = i;
      }
    }
    return found;
  }
}

export interface Summary {
  rows: number;
  mean: number;
}

const means = new WeakMap<Numbers, Summary>();

/** How many of the rows have a number, and their mean. */
export function mean(values: Numbers, selected: Uint8Array | null): Summary {
  const known = selected ? undefined : means.get(values);
  if (known) return known;
  let sum = 0;
  let rows = 0;
  for (let i = 0; i < values.length; i++) {
    if ((selected && !selected[i]) || !Number.isFinite(values[i]!)) continue;
    sum += values[i]!;
    rows += 1;
  }
  const found = { rows, mean: rows ? sum / rows : Number.NaN };
  if (!selected) means.set(values, found);
  return found;
}

// --- columns in plain words

export interface Measure {
  name: string;
  group: string;
  label: string;
  unit: string;
}

const SHAPE: Record<string, string> = {
  area_um2: "Area",
  area_px: "Area in pixels",
  eccentricity: "Elongation (eccentricity)",
};
const PLACE: Record<string, string> = {
  x_um: "Across, from the left",
  y_um: "Down, from the top",
  x_px: "Across, from the left, in pixels",
  y_px: "Down, from the top, in pixels",
};
const EDGE: Record<string, string> = { touches_edge: "Cut off by the image's edge (1 = yes)" };
const UNITS: Record<string, string> = {
  um: "µm",
  um2: "µm²",
  px: "px",
  px2: "px²",
  counts: "counts",
  counts2: "counts²",
};
const LEFT_OUT = new Set(["id", "y0_px", "y1_px", "x0_px", "x1_px", "box_clipped"]);

/** The columns that a person may plot, in groups, with words and units. */
export function measures(table: TableFacts, channels: readonly string[]): Measure[] {
  const found: Measure[] = [];
  for (const column of table.columns) {
    if (LEFT_OUT.has(column.name)) continue;
    found.push({ name: column.name, ...named(column, channels), unit: UNITS[column.unit] ?? column.unit });
  }
  const order = ["Shape", ...channels.map((name) => brightness(name)), "Place", "Other"];
  const rank = (group: string): number => {
    const at = order.indexOf(group);
    return at < 0 ? order.length - 1 : at;
  };
  return found
    .map((one, at) => ({ one, at }))
    .sort((a, b) => rank(a.one.group) - rank(b.one.group) || a.at - b.at)
    .map(({ one }) => one);
}

const brightness = (channel: string): string => `Brightness in ${channel}`;

function named(column: ColumnFacts, channels: readonly string[]): { group: string; label: string } {
  if (SHAPE[column.name]) return { group: "Shape", label: SHAPE[column.name]! };
  if (PLACE[column.name]) return { group: "Place", label: PLACE[column.name]! };
  if (EDGE[column.name]) return { group: "Place", label: EDGE[column.name]! };
  const parts = /^c(\d+)_(box_)?(mean|median|variance|skewness)$/.exec(column.name);
  const channel = parts ? channels[Number(parts[1])] : undefined;
  if (parts && channel !== undefined) {
    return {
      group: brightness(channel),
      label: `${channel}: ${parts[3]}${parts[2] ? " of nucleus and surroundings" : ""}`,
    };
  }
  return { group: "Other", label: column.name.replaceAll("_", " ") };
}

/** A measure with its unit, as it stands at an axis. */
export const titled = (measure: Measure): string =>
  measure.unit ? `${measure.label} (${measure.unit})` : measure.label;

const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** A number as it is read: four digits that matter, and none after the point from a thousand on. */
export function shown(value: number): string {
  if (!Number.isFinite(value)) return "–";
  return Math.abs(value) >= 1000 ? whole.format(value) : plain.format(value);
}
