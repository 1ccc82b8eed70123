// SPDX-License-Identifier: BSD-3-Clause
/** The images of a Run: all of them in a list of which only what is seen is built and asked for anew. */
import { LitElement, css, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { Api, type Page, type Run, type Task, type TaskState } from "../api.ts";
import { shared } from "../elements/base.ts";
import "../elements/rows.ts";
import type { SgRows } from "../elements/rows.ts";
import { trouble } from "../elements/small.ts";
import { Listed } from "../listed.ts";
import { count, ended } from "../words.ts";
import "./log.ts";
import type { SgLog } from "./log.ts";
import "./mosaic.ts";
import "./task-row.ts";

const PAGE = 200;
const GROUPS: [string, string, (state: TaskState) => boolean][] = [
  ["all", "All", () => true],
  ["busy", "Under way", (state) => !ended(state) && state !== "waiting" && state !== "queued"],
  ["waiting", "Waiting", (state) => state === "waiting" || state === "queued"],
  ["succeeded", "Finished", (state) => state === "succeeded"],
  ["failed", "Failed", (state) => state === "failed"],
  ["cancelled", "Cancelled", (state) => state === "cancelled"],
];

/** `summary` is the Run as last heard: when it is another, what is in view is asked for anew. */
@customElement("sg-run-images")
export class SgRunImages extends LitElement {
  static override styles = [
    shared,
    css`
      .chips {
        display: flex;
        flex-wrap: wrap;
        gap: var(--sg-2);
        margin-bottom: var(--sg-4);
      }
      .chips button {
        border-radius: 99px;
        min-height: 2.125rem;
        padding-inline: 0.875rem;
        font-weight: 500;
      }
      .chips button[aria-pressed="true"] {
        background: var(--sg-accent-soft);
        border-color: var(--sg-accent);
        color: var(--sg-accent-ink);
      }
      .list {
        background: var(--sg-surface);
        border: 1px solid var(--sg-line);
        border-radius: var(--sg-radius);
        overflow: clip;
        box-shadow: var(--sg-shadow);
        min-width: 0;
      }
      .two {
        display: grid;
        grid-template-columns: minmax(0, 1fr);
        gap: var(--sg-5);
        align-items: start;
      }
      .two.watching {
        grid-template-columns: minmax(0, 1fr) minmax(0, 24rem);
      }
      .two.single {
        grid-template-columns: minmax(0, 1fr);
      }
      .two.single aside {
        position: static;
      }
      aside {
        position: sticky;
        top: 5rem;
        padding: var(--sg-4);
      }
      @media (max-width: 60rem) {
        .two.watching {
          grid-template-columns: minmax(0, 1fr);
        }
        .watching aside {
          position: static;
        }
        .watching:not(.single) aside {
          order: -1;
        }
      }
    `,
  ];

  @property() base = "";
  @property() run = "";
  @property({ attribute: false }) summary: Run | null = null;
  @state() private whole = false;
  @state() private group = "all";
  @state() private chosen: number | null = null;
  private readonly list = new Listed<Task>(
    this,
    (after) => this.#page(after),
    (task) => task.number,
  );
  @query("sg-rows") private rows?: SgRows;
  @query("sg-run-log") private log!: SgLog;
  private seen = { first: 0, last: 30 };
  private fresh: ReturnType<typeof setTimeout> | undefined;
  private sweep: ReturnType<typeof setInterval> | undefined;
  private refreshed = 0;

  override connectedCallback(): void {
    super.connectedCallback();
    this.sweep = setInterval(() => void this.#refresh(true), 20_000);
  }

  override disconnectedCallback(): void {
    clearTimeout(this.fresh);
    clearInterval(this.sweep);
    super.disconnectedCallback();
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has("run")) void this.#all();
    else if (changed.has("summary") && this.whole) this.#soon();
  }

  private get tasks(): readonly Task[] {
    return this.list.items ?? [];
  }

  #page(after: string | number | undefined): Promise<Page<Task>> {
    return Api.at(this.base).tasks(this.run, { limit: PAGE, ...(after ? { after } : {}) });
  }

  async #all(): Promise<void> {
    this.whole = false;
    this.whole = await this.list.all();
  }

  /** What is in view is fresh within about a second of a change; the rest follows every 20 seconds. */
  #soon(): void {
    if (this.fresh) return;
    const wait = Math.max(50, 1000 - (performance.now() - this.refreshed));
    this.fresh = setTimeout(() => {
      this.fresh = undefined;
      void this.#refresh(false);
    }, wait);
  }

  async #refresh(everything: boolean): Promise<void> {
    if (
      !this.whole ||
      (everything &&
        this.summary &&
        ended(this.summary.state) &&
        this.tasks.every((task) => ended(task.state)))
    )
      return;
    this.refreshed = performance.now();
    const { run } = this;
    const shown = this.#shown.slice(this.seen.first, this.seen.last).map((task) => task.number);
    if (this.#watched) shown.push(this.#watched.number);
    const settling = this.summary && ended(this.summary.state);
    const wanted = everything || settling ? this.tasks.map((task) => task.number) : shown;
    const pages = new Set(wanted.map((number) => Math.floor((number - 1) / PAGE)));
    try {
      for (const page of pages) {
        const { items } = await this.#page(page * PAGE);
        if (run !== this.run || !this.isConnected) return;
        this.list.renew(items);
      }
    } catch {
      // the page above says when the server does not answer
    }
  }

  get #shown(): readonly Task[] {
    const fits = GROUPS.find(([name]) => name === this.group)![2];
    return this.group === "all" ? this.tasks : this.tasks.filter((task) => fits(task.state));
  }

  /** The image whose parts are shown: the one chosen, or the first that is being computed. */
  get #watched(): Task | null {
    const chosen = this.tasks.find((task) => task.number === this.chosen);
    if (chosen && (chosen.state === "running" || this.tasks.length === 1)) return chosen;
    return this.tasks.find((task) => task.state === "running") ?? null;
  }

  #counts(): Map<string, number> {
    const counts = new Map<string, number>();
    const known = this.summary?.counts ?? {};
    for (const [name, , fits] of GROUPS) {
      counts.set(
        name,
        name === "all"
          ? (this.summary?.tasks ?? this.tasks.length)
          : Object.entries(known).reduce(
              (sum, [state, n]) => sum + (fits(state as TaskState) ? (n ?? 0) : 0),
              0,
            ),
      );
    }
    return counts;
  }

  #row = (task: Task): TemplateResult =>
    html`<sg-task-row
      base=${this.base}
      run=${this.run}
      .task=${task}
      .of=${this.summary}
      ?alone=${this.tasks.length === 1}
      ?watched=${this.#watched?.number === task.number && this.tasks.length > 1}
      @sg-log=${() => void this.log.open(task)}
      @sg-watch=${() => (this.chosen = task.number)}
    ></sg-task-row>`;

  override render(): TemplateResult {
    const counts = this.#counts();
    const shown = this.#shown;
    const watched = this.#watched;
    return html` ${trouble(this.list.problem, () => void this.#all())}
      ${
        this.tasks.length > 1
          ? html`<div class="chips" role="group" aria-label="Show images">
              ${GROUPS.filter(([name]) => name === "all" || counts.get(name)).map(
                ([name, word]) =>
                  html`<button
                    class="numbers"
                    aria-pressed=${this.group === name ? "true" : "false"}
                    @click=${() => (this.group = name)}
                  >
                    ${word} ${count(counts.get(name) ?? 0)}
                  </button>`,
              )}
            </div>`
          : nothing
      }
      <div class="two ${watched ? "watching" : ""} ${this.tasks.length === 1 ? "single" : ""}">
        <div class="list">
          ${
            shown.length
              ? html`<sg-rows
                  .items=${shown}
                  .row=${this.#row}
                  rowheight="76"
                  label="Images"
                  @sg-seen=${(event: CustomEvent<{ first: number; last: number }>) => {
                    this.seen = event.detail;
                    this.#soon();
                  }}
                ></sg-rows>`
              : this.whole
                ? html`<sg-notice kind="empty" heading="No image is in this state now"
                    ><button slot="do" @click=${() => (this.group = "all")}>
                      Show all images
                    </button></sg-notice
                  >`
                : nothing
          }
        </div>
        ${watched ? html`<aside class="card" aria-label="The slide that is being computed"><sg-mosaic base=${this.base} run=${this.run} image=${watched.image} name=${watched.name} number=${watched.number} ?active=${watched.state === "running"} ?large=${this.tasks.length === 1}></sg-mosaic></aside>` : nothing}
      </div>
      <sg-run-log base=${this.base} run=${this.run} .of=${this.summary}></sg-run-log>`;
  }

  protected override updated(): void {
    this.rows?.requestUpdate();
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-run-images": SgRunImages;
  }
}
