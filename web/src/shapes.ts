// SPDX-License-Identifier: BSD-3-Clause
/** What the API v1 says and is told. Times are seconds since 1970. */

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type Parameters = Record<string, Json>;

export interface Session {
  person: string;
  role: "viewer" | "researcher" | "lead" | "administrator";
  group: string;
  csrf: string;
  ends_at: number;
  may: string[];
  /** There is a password here that the person can change. */
  has_password: boolean;
  embedded: boolean;
}

export interface SchemaProperty {
  type?: "string" | "number" | "integer" | "boolean";
  enum?: Json[];
  const?: Json;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  pattern?: string;
  default?: Json;
  title?: string;
  description?: string;
  "x-unit"?: string;
  "x-advanced"?: boolean;
  "x-order"?: number;
}

export interface Schema {
  title?: string;
  required?: string[];
  properties?: Record<string, SchemaProperty>;
}

export interface Workflow {
  site: string;
  name: string;
  version: string;
  title: string;
  description: string;
  release: string;
  schema: Schema;
  each: string[];
  outputs: Record<string, { type: string; path?: string; title?: string }>;
  heard_at: number | null;
  trouble: string | null;
}

export interface Site {
  site: string;
  title: string;
  heard_at: number | null;
  trouble: string | null;
  queued: number;
  running: number;
}

export interface Folder {
  at: string;
  name: string;
}

export interface ImageEntry {
  image: string;
  name: string;
}

export interface Listing {
  at: string;
  trail: Folder[];
  folders: Folder[];
  images: ImageEntry[];
  truncated: boolean;
}

export interface ImageFacts {
  image: string;
  name?: string;
  /** (channels, rows, columns) */
  shape?: [number, number, number];
  dtype?: string;
  channels?: string[];
  pixel_size_um?: number | null;
  bytes?: number;
  /** Why it cannot be used; `passes`: it may be gone in a while. */
  problem?: { code: string; message: string; passes?: boolean };
}

export interface ProblemBody {
  type?: string;
  title: string;
  status: number;
  detail?: string;
  code: string;
  instance?: string;
  request?: string;
  errors?: { name: string; message: string }[];
}

export interface Wish<A = Record<string, unknown>> {
  id: string;
  kind: string;
  state: "open" | "granted" | "refused";
  asked_at: number;
  ended_at: number | null;
  step: string | null;
  done: number | null;
  total: number | null;
  trouble: string | null;
  answer: A | null;
  problem: { code: string; message: string } | null;
}

export interface Estimate {
  images: number;
  known_images: number;
  bytes: number | null;
  pixels: number | null;
  staging_seconds: number | null;
  computing_seconds: number | null;
  queue: { queued: number; running: number };
  basis: string;
}

/** What becomes of results in OMERO. */
export interface Publish {
  objects: "sample" | "all-on-duplicate";
  labels: "none" | "attachment" | "image";
  tags: string[];
}

export interface LaunchBody {
  workflow: string;
  version?: string;
  site: string;
  images: string[];
  parameters: Parameters;
  /** False: as if nobody had drawn regions on the images. */
  regions?: false;
  /** For images of OMERO only. */
  publish?: Publish;
  again: boolean;
}

export interface PreviewBody {
  workflow: string;
  version?: string;
  image: string;
  /** y0, x0, y1, x1 in pixels of the full image */
  region: [number, number, number, number];
  parameters: Parameters;
}

export interface PreviewAnswer {
  picture: string;
  plain: string;
  width: number;
  height: number;
  facts: Record<string, Json>;
  hint?: string | null;
}

export type TaskState =
  | "waiting"
  | "staging"
  | "submitting"
  | "queued"
  | "running"
  | "collecting"
  | "publishing"
  | "succeeded"
  | "failed"
  | "cancelled";

export interface RunSummary {
  run: string;
  state: string;
  counts: Partial<Record<TaskState, number>>;
  tasks: number;
  person: string;
  group: string;
  site: string;
  workflow: string;
  version: string;
  title: string;
  /** The name of its first image. */
  first?: string;
  created_at: number;
  changed_at: number;
  heard_at: number | null;
  trouble: string | null;
  progress: number;
  left_seconds: number | null;
  may: string[];
}

export interface Run extends RunSummary {
  parameters: Parameters;
  release: string;
  runtime: string | null;
  schema: Schema | null;
  outputs: Record<string, { type: string; path?: string; title?: string }>;
  /** What becomes of results in OMERO; null where they do not go there. */
  publish?: Publish | null;
}

export interface Task {
  task: string;
  number: number;
  name: string;
  image: string;
  state: TaskState;
  wanted: "run" | "cancel";
  words: string;
  attempt: number;
  step: string | null;
  done: number | null;
  total: number | null;
  left_seconds: number | null;
  confirmed_at: number | null;
  trouble: string | null;
  waits: string | null;
  error: { code: string; message: string; log: string[] } | null;
  published: boolean;
  usage: Record<string, Json> | null;
  summary: Record<string, Json> | null;
}

export interface RunEvent {
  seq: number;
  at: number;
  kind: string;
  task: string | null;
  words: string;
  body: Record<string, Json>;
}

export interface Costs {
  core_hours: number | null;
  gpu_hours: number | null;
  bytes_moved: number | null;
  bytes_at_site: number | null;
  images: number;
}

export interface Units {
  step: string;
  shape: [number, number] | null;
  side: number | null;
  units: number;
  /** base64 of a bitmap: bit i (lowest first in each byte) says that unit i, row by row, has finished */
  done: string;
  current: number[];
}

export interface ResultFile {
  name: string;
  bytes: number;
  type: string;
  /** What it is among the outputs of the workflow: report, labels, ... */
  role: string | null;
}

export interface Page<T> {
  items: T[];
  next: string | number | null;
}

export interface RunFilter {
  mine?: boolean;
  group?: string;
  person?: string;
  state?: string;
  workflow?: string;
  image?: string;
  cursor?: string;
  limit?: number;
}

/** An image that somebody selected in OMERO.web. */
export interface SelectedImage {
  /** "omero:12" */
  image: string;
  name: string;
  /** The number of its group. */
  group: number;
  dataset: string;
  width?: number;
  height?: number;
  channels?: number;
  usable: boolean;
  why: string;
  /** Of how many planes one has to be chosen. */
  planes?: { z: number; t: number } | null;
}

export interface Selection {
  images: SelectedImage[];
  groups: { id: number; name: string; usable: number; images: number }[];
}

/** What was done with an image. */
export interface ImageTask extends Task {
  run: string;
  person: string;
  workflow: string;
  version: string;
  title: string;
  at: number;
}

/** Whether slidegate may work in OMERO in one's name. */
export interface Grant {
  /** The OMERO that the server knows. */
  omero: string | null;
  /** One's login name there. */
  name: string | null;
  /** It needs a session of one's own for that. */
  needed: boolean;
  granted: boolean;
  granted_at: number | null;
  ends_at: number | null;
}

export interface Token {
  id: number;
  name: string;
  at: number;
  used_at: number | null;
  ends_at: number | null;
}

export interface Webhook {
  id: number;
  url: string;
  at: number;
}

/** A line of the record of who changed what. */
export interface Note {
  id: number;
  at: number;
  person: string | null;
  action: string;
  target: string | null;
  /** "done", or the code of what was in the way. */
  outcome: string;
  request: string | null;
  address: string | null;
}

export interface Person {
  person: string;
  role: Session["role"];
  group: string;
  active: boolean;
  has_password: boolean;
}
