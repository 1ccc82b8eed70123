// SPDX-License-Identifier: BSD-3-Clause
/** What is known of images: asked for in small groups, a group after the other, and kept while the page is open. */
import { Api, Problem, pausing, type ImageFacts } from "../api.ts";
import { bytes, count, many } from "../words.ts";

const GROUP = 40;
const TRIES = 20;
const PAUSE = 3000;

export class Facts extends EventTarget {
  private readonly known = new Map<string, ImageFacts>();
  private readonly wanted = new Set<string>();
  private working = false;

  constructor(private readonly base: string) {
    super();
  }

  get(image: string): ImageFacts | undefined {
    return this.known.get(image);
  }

  /** Ask for what is not known yet; `change` is fired when some is. */
  want(images: Iterable<string>): void {
    for (const image of images) if (!this.known.has(image)) this.wanted.add(image);
    if (!this.working && this.wanted.size) {
      this.working = true;
      setTimeout(() => void this.work(), 60);
    }
  }

  get waiting(): number {
    return this.wanted.size;
  }

  private async work(): Promise<void> {
    let tries = 0;
    while (this.wanted.size) {
      const group = [...this.wanted].slice(0, GROUP);
      try {
        for (const facts of await Api.at(this.base).describe(group)) this.known.set(facts.image, facts);
        for (const image of group) this.wanted.delete(image);
        tries = 0;
      } catch (thrown) {
        tries += 1;
        if (Problem.from(thrown).passes && tries < TRIES) await pausing(PAUSE);
        else this.wanted.clear(); // asked again when wanted again; launching checks anyway
      }
      this.dispatchEvent(new Event("change"));
    }
    this.working = false;
  }
}

/** An image in two lines of few words: "27,437 × 19,284 px", "3 channels · 2.1 GB". */
export function inWords(facts: ImageFacts): [string, string] {
  if (!facts.shape) return ["", ""];
  const [c, y, x] = facts.shape;
  return [
    `${count(x)} × ${count(y)} px`,
    `${many(c, "channel")}${facts.bytes ? ` · ${bytes(facts.bytes)}` : ""}`,
  ];
}
