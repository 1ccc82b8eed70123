// SPDX-License-Identifier: BSD-3-Clause
/** Reads one image's results from the API: what the picture is, tiles, and the table column by column. */
import { Api, Problem, type ResultFile, type Wish } from "../api.ts";
import type { Samples } from "./compose.ts";

export interface Size {
  height: number;
  width: number;
}

export interface ChannelFacts {
  name: string;
  low: number;
  high: number;
  smallest: number;
  largest: number;
  histogram: number[];
}

export interface Picture {
  name: string;
  /** (channels, rows, columns) */
  shape: [number, number, number];
  dtype: "uint8" | "uint16";
  channels: ChannelFacts[];
  pixel_size_um: number | null;
  levels: Size[];
  tile: number;
  version: string;
  labels: { levels: Size[]; version: string } | null;
  labels_problem: string | null;
}

export interface ColumnFacts {
  name: string;
  unit: string;
  about: string;
  dtype: "float32" | "int32" | "uint32";
}

export interface TableFacts {
  rows: number;
  columns: ColumnFacts[];
  version: string;
  file: string;
}

export interface FileFacts extends ResultFile {
  sha256: string;
}

export type Numbers = Float32Array | Int32Array | Uint32Array;

const TRIES = 5;

export class Reader {
  readonly api: Api;
  readonly #at: string;

  constructor(base: string, run: string, number: number) {
    this.api = Api.at(base);
    this.#at = `runs/${encodeURIComponent(run)}/tasks/${number}`;
  }

  /** The picture; waits while a worker makes it ready, and tells `on` how far that is. */
  async picture(on: (wish: Wish) => void, signal: AbortSignal): Promise<Picture> {
    for (let turn = 0; turn < 5; turn++) {
      const response = await this.api.fetch("GET", this.api.url(`${this.#at}/picture`), { signal });
      if (response.status !== 202) return (await response.json()) as Picture;
      const wish = (await response.json()) as Wish;
      on(wish);
      await this.api.granted(wish.id, on, signal);
    }
    throw new Problem(
      0,
      "picture-not-at-hand",
      "The picture could not be made ready.",
      "It was made ready several times, and was gone again each time: the folder for pictures may be too small.",
    );
  }

  table(signal: AbortSignal): Promise<TableFacts> {
    return this.api.get<TableFacts>(`${this.#at}/table`, {}, signal);
  }

  async files(signal: AbortSignal): Promise<FileFacts[]> {
    return (await this.api.get<{ items: FileFacts[] }>(`${this.#at}/files`, {}, signal)).items;
  }

  fileUrl(name: string, view = false): string {
    const path = `${this.#at}/files/${name.split("/").map(encodeURIComponent).join("/")}`;
    return this.api.url(path, view ? { view: true } : {});
  }

  archiveUrl(): string {
    return this.api.url(`${this.#at}/archive`);
  }

  async column(facts: ColumnFacts, version: string, signal: AbortSignal): Promise<Numbers> {
    const octets = await this.#octets(`table/${encodeURIComponent(facts.name)}`, version, signal);
    if (facts.dtype === "float32") return new Float32Array(octets);
    return facts.dtype === "int32" ? new Int32Array(octets) : new Uint32Array(octets);
  }

  async tile(
    picture: Picture,
    level: number,
    row: number,
    column: number,
    signal: AbortSignal,
  ): Promise<Samples> {
    const octets = await this.#octets(`tiles/${level}/${row}/${column}`, picture.version, signal);
    return picture.dtype === "uint8" ? new Uint8Array(octets) : new Uint16Array(octets);
  }

  async labels(
    version: string,
    level: number,
    row: number,
    column: number,
    signal: AbortSignal,
  ): Promise<Uint32Array> {
    return new Uint32Array(await this.#octets(`labels/${level}/${row}/${column}`, version, signal));
  }

  /** Octets; asks again a little later when the server is busy or does not answer. */
  async #octets(path: string, version: string, signal: AbortSignal): Promise<ArrayBuffer> {
    const url = this.api.url(`${this.#at}/${path}`, { v: version });
    for (let turn = 1; ; turn++) {
      try {
        const response = await this.api.fetch("GET", url, {
          headers: { Accept: "application/octet-stream, application/problem+json" },
          signal,
        });
        return await response.arrayBuffer();
      } catch (thrown) {
        const passing =
          thrown instanceof Problem && (thrown.status === 0 || thrown.status === 429 || thrown.status >= 502);
        if (!passing || turn === TRIES || signal.aborted) throw thrown;
        await new Promise((done) => setTimeout(done, 300 * turn * turn));
      }
    }
  }
}
