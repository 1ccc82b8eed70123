// SPDX-License-Identifier: BSD-3-Clause
/** Lists that the server gives in pages. */
import type { ReactiveController, ReactiveControllerHost } from "lit";
import { Problem, type Page } from "./api.ts";

type Ask<T> = (after: string | number | undefined) => Promise<Page<T>>;

/** The pages of a list, one after the other. */
export async function* pagesOf<T>(ask: Ask<T>): AsyncGenerator<T[], void> {
  let after: string | number | undefined;
  do {
    const page = await ask(after);
    yield page.items;
    after = page.next ?? undefined;
  } while (after !== undefined);
}

/**
 * A list as an element shows it: a page, more when they are wanted, and what is known anew when something has changed. Draws
 * its element when it does. `key` tells items apart: none is listed twice.
 */
export class Listed<T> implements ReactiveController {
  /** What came so far; null before the first page. */
  items: readonly T[] | null = null;
  /** There is more; `more` asks for it. */
  next: string | number | null = null;
  problem: Problem | null = null;
  /** Counts beginnings: an answer to what was asked before the last one is dropped. */
  private era = 0;
  private asked = 0;
  private further = false;

  constructor(
    private readonly host: ReactiveControllerHost,
    private readonly ask: Ask<T>,
    private readonly key: (item: T) => unknown,
  ) {
    host.addController(this);
  }

  hostDisconnected(): void {
    this.era += 1;
  }

  /** Ask for another list: what is shown goes at once. */
  begin(): Promise<void> {
    this.era += 1;
    this.items = null;
    this.next = null;
    this.problem = null;
    this.further = false;
    this.host.requestUpdate();
    return this.load();
  }

  /** Ask for the first page anew; pages that came after it stay. */
  load(): Promise<void> {
    const asked = (this.asked += 1);
    return this.#take(undefined, (page) => {
      if (asked !== this.asked) return;
      const fresh = new Set(page.items.map(this.key));
      const later = this.further ? (this.items ?? []).slice(page.items.length) : [];
      this.items = [...page.items, ...later.filter((item) => !fresh.has(this.key(item)))];
      if (!this.further) this.next = page.next;
    });
  }

  /** Add the next page. */
  more(): Promise<void> {
    return this.#take(this.next ?? undefined, (page) => {
      const known = new Set(this.items?.map(this.key));
      this.items = [...(this.items ?? []), ...page.items.filter((item) => !known.has(this.key(item)))];
      this.next = page.next;
      this.further = true;
    });
  }

  /** Begin, and add all pages; says whether all came. */
  async all(): Promise<boolean> {
    await this.begin();
    const { era } = this;
    while (era === this.era && this.next !== null && !this.problem) await this.more();
    return era === this.era && !this.problem;
  }

  /** Put what is known anew in the place of what was known; says whether anything was. */
  renew(items: readonly T[]): boolean {
    const fresh = new Map(items.map((item) => [this.key(item), item]));
    const had = this.items?.some((item) => fresh.has(this.key(item))) ?? false;
    if (had) this.items = this.items!.map((item) => fresh.get(this.key(item)) ?? item);
    this.host.requestUpdate();
    return had;
  }

  async #take(after: string | number | undefined, use: (page: Page<T>) => void): Promise<void> {
    const { era } = this;
    try {
      const page = await this.ask(after);
      if (era !== this.era) return;
      use(page);
      this.problem = null;
    } catch (thrown) {
      if (era !== this.era) return;
      this.problem = Problem.from(thrown);
    }
    this.host.requestUpdate();
  }
}
