// SPDX-License-Identifier: BSD-3-Clause
/**
 * What images themselves say about settings. A setting called `channel` takes a channel's name, or its number from 0; one called
 * `pixel_size_um` stands for what an image does not state.
 */
import type { ImageFacts, Parameters, Schema } from "../api.ts";
import { many, value } from "../words.ts";

export interface Stated {
  /** Names of channels, where all images have the same. */
  channels: string[];
  /** What holds where nothing is entered, by name of the setting. */
  placeholders: Record<string, string>;
  /** What speaks against what is entered, or against nothing being entered, by name of the setting. */
  doubts: Record<string, string>;
  /** The same in one sentence; empty where nothing does. */
  doubt: string;
}

export function stated(
  images: ReadonlyMap<string, string>,
  factsOf: (image: string) => ImageFacts | undefined,
  schema: Schema | undefined,
  values: Parameters,
): Stated {
  const said: Stated = { channels: [], placeholders: {}, doubts: {}, doubt: "" };
  const known = [...images].flatMap(([image, name]) => {
    const facts = factsOf(image);
    return facts?.shape ? [{ name, facts }] : [];
  });
  const names = known.map(({ facts }) => JSON.stringify(facts.channels ?? []));
  if (new Set(names).size === 1) said.channels = (known[0]!.facts.channels ?? []).filter(Boolean);
  if (!schema?.properties?.["pixel_size_um"]) return said;
  const sizes = [...new Set(known.map(({ facts }) => facts.pixel_size_um ?? null))];
  if (sizes.length === 1 && sizes[0]) said.placeholders["pixel_size_um"] = value(sizes[0]);
  const [doubt, more] = sizeDoubt(known, values["pixel_size_um"]);
  if (doubt) said.doubts["pixel_size_um"] = `${doubt} ${more}`.trim();
  said.doubt = doubt;
  return said;
}

function sizeDoubt(known: { name: string; facts: ImageFacts }[], given: unknown): [string, string] {
  const which = (some: { name: string }[], one: string, more: string): string =>
    some.length === 1 ? `${some[0]!.name} ${one}` : `${many(some.length, "image")} ${more}`;
  const bare = known.filter(({ facts }) => !facts.pixel_size_um);
  if (typeof given === "number") {
    const others = known.filter(({ facts }) => facts.pixel_size_um && facts.pixel_size_um !== given);
    const doubt = `This replaces the size of a pixel that ${which(others, "states", "state")}.`;
    return [others.length ? doubt : "", ""];
  }
  if (!bare.length) return ["", ""];
  const lack = `${which(bare, "does", "do")} not state the size of a pixel, and cannot be analysed without it.`;
  const apart = "What is entered holds for all that are chosen: run such images apart.";
  return [lack, bare.length === known.length ? "" : apart];
}
