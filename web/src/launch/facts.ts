// SPDX-License-Identifier: BSD-3-Clause
/** What is known of images: asked for in small groups, a group after the other, and kept while the page is open. */
import { Api, Problem, pausing, type ImageFacts } from "../api.ts";
import { bytes, count, many } from "../words.ts";

const GROUP = 40;
const PAUSE = 3000;
/** Until what will not pass in a moment is looked at again; an answer is fresh for as long. */
const LONG_PAUSE = 30_000;

/** The code of what cannot be done before the person has let slidegate work in OMERO. */
export const NO_GRANT = "omero-no-grant";

export class Facts extends EventTarget {
  private readonly known = new Map<string, ImageFacts>();
  private readonly wanted = new Set<string>();
  /** Images that nobody may look at before the person has let slidegate work in OMERO: nothing is wrong with them. */
  private readonly closed = new Set<string>();
  private held = false;
  private working = false;
  private readonly ended = new AbortController();

  constructor(private readonly base: string) {
    super();
  }

  get(image: string): ImageFacts | undefined {
    return this.known.get(image);
  }

  /**
   * Ask for what is not known yet. Fires `change` when some is, and `closed` when something cannot be looked at without a
   * grant.
   */
  want(images: Iterable<string>): void {
    for (const image of images) if (!this.known.has(image) && !this.closed.has(image)) this.wanted.add(image);
    if (!this.working && !this.held && this.wanted.size) {
      this.working = true;
      setTimeout(() => void this.work(), 60);
    }
  }

  /** Ask for nothing until `false` is said: it could not be answered yet. */
  hold(held: boolean): void {
    this.held = held;
    this.want([]);
  }

  /** Nobody looks any more. */
  stop(): void {
    this.ended.abort();
  }

  private async work(): Promise<void> {
    const { signal } = this.ended;
    while (this.wanted.size && !signal.aborted) {
      const group = [...this.wanted].slice(0, GROUP);
      try {
        const found = await Api.at(this.base).describe(group, undefined, signal);
        for (const facts of found)
          if (facts.problem?.code === NO_GRANT) this.closed.add(facts.image);
          else this.known.set(facts.image, facts);
        for (const image of group) this.wanted.delete(image);
        const later = found.filter((facts) => facts.problem?.passes || this.closed.has(facts.image));
        this.#later(later.map((facts) => facts.image));
        this.dispatchEvent(new Event("change"));
        if (found.some((facts) => this.closed.has(facts.image))) this.dispatchEvent(new Event("closed"));
      } catch (thrown) {
        for (const image of group) if (this.wanted.delete(image)) this.wanted.add(image); // behind the others
        const pause = Problem.from(thrown).passes ? PAUSE : LONG_PAUSE;
        await pausing(pause, signal).catch(() => undefined);
      }
    }
    this.working = false;
  }

  /** Look again at what cannot be used for a while only. */
  #later(images: string[]): void {
    if (!images.length) return;
    void pausing(LONG_PAUSE, this.ended.signal).then(
      () => {
        for (const image of images) {
          this.closed.delete(image);
          this.wanted.add(image);
        }
        this.want([]);
      },
      () => undefined,
    );
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
