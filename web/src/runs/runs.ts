// SPDX-License-Identifier: BSD-3-Clause
/** The Runs that a person may see, newest first, as they go on. */
import { LitElement, css, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { Api, type RunFilter, type RunSummary, type Wish, type Workflow } from "../api.ts";
import { shared } from "../elements/base.ts";
import { icon } from "../elements/icon.ts";
import { trouble } from "../elements/small.ts";
import { Listed } from "../listed.ts";
import { address, paths } from "../router.ts";
import { count, ended, exactly, moment, sentence } from "../words.ts";
import { heard, images, remaining, standing, stateWord } from "./summary.ts";

const KEPT = "slidegate-runs";
const STATES: [string, string][] = [
  ["", "Any state"],
  ["active", "Running"],
  ["waiting", "Waiting"],
  ["succeeded", "Finished"],
  ["failed", "Failed"],
  ["cancelled", "Cancelled"],
];

/** `person` and `group` are those of who looks. */
@customElement("sg-runs")
export class SgRuns extends LitElement {
  static override styles = [
    shared,
    css`
      .head {
        display: flex;
        flex-wrap: wrap;
        gap: var(--sg-4);
        align-items: end;
        justify-content: space-between;
        margin-bottom: var(--sg-5);
      }
      form {
        display: flex;
        flex-wrap: wrap;
        gap: var(--sg-3);
        margin-bottom: var(--sg-5);
        align-items: end;
      }
      form > * {
        flex: 0 1 auto;
      }
      select,
      form input {
        min-height: 2.375rem !important;
        font-size: var(--sg-size-s) !important;
      }
      form select {
        width: auto;
      }
      .find {
        flex: 1 1 14rem;
        max-width: 22rem;
      }
      .list {
        display: grid;
        gap: var(--sg-3);
      }
      .run {
        display: grid;
        grid-template-columns: minmax(0, 1fr) auto;
        gap: var(--sg-1) var(--sg-4);
        padding: var(--sg-4) var(--sg-5);
        background: var(--sg-surface);
        border: 1px solid var(--sg-line);
        border-radius: var(--sg-radius);
        box-shadow: var(--sg-shadow);
        text-decoration: none;
        color: var(--sg-ink);
        content-visibility: auto;
        contain-intrinsic-size: auto 5.5rem;
      }
      a.run:hover {
        border-color: var(--sg-line-strong);
      }
      .run b {
        font-weight: 620;
      }
      .run sg-state {
        align-self: start;
        justify-self: end;
      }
      .meta {
        font-size: var(--sg-size-s);
        color: var(--sg-ink-2);
      }
      .when {
        font-size: var(--sg-size-s);
        color: var(--sg-ink-2);
        text-align: right;
        white-space: nowrap;
      }
      .bar {
        grid-column: 1 / -1;
        margin-top: var(--sg-2);
        display: grid;
        grid-auto-flow: column;
        grid-template-columns: 1fr;
        align-items: center;
        gap: var(--sg-4);
      }
      .why {
        grid-column: 1 / -1;
        font-size: var(--sg-size-s);
        color: var(--sg-warn);
        margin-top: var(--sg-1);
        overflow-wrap: anywhere;
      }
      .more {
        display: grid;
        place-items: center;
        margin-top: var(--sg-5);
      }
      .lost {
        font-size: var(--sg-size-s);
        color: var(--sg-warn);
        margin-bottom: var(--sg-3);
      }
      .launching {
        border-style: dashed;
      }
      @media (max-width: 42rem) {
        .run {
          padding: var(--sg-4);
        }
        .bar {
          grid-auto-flow: row;
          gap: var(--sg-1);
        }
        .when {
          grid-column: 1;
          text-align: left;
        }
      }
    `,
  ];

  @property() base = "";
  @property() person = "";
  @property() group = "";
  /** The person may launch Runs. */
  @property({ type: Boolean }) launches = false;
  /** Where Runs are launched elsewhere: how. */
  @property() how = "";
  /** There is nobody else. */
  @property({ type: Boolean }) alone = false;
  @state() private filter: RunFilter = keptFilter();
  @state() private opening: Wish[] = [];
  @state() private flows: Workflow[] = [];
  @state() private lost = false;
  private readonly list = new Listed<RunSummary>(
    this,
    (after) =>
      this.api.runs({ mine: true, limit: 30, ...this.filter, ...(after ? { cursor: String(after) } : {}) }),
    (run) => run.run,
  );
  private stop: (() => void) | null = null;
  private clock: ReturnType<typeof setInterval> | undefined;
  private soon: ReturnType<typeof setTimeout> | undefined;
  private typing: ReturnType<typeof setTimeout> | undefined;

  private get api(): Api {
    return Api.at(this.base);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.stop = this.api.watch(
      { runs: true },
      (run) => this.#heard(run),
      (lost) => (this.lost = lost),
    );
    this.clock = setInterval(() => this.requestUpdate(), 15_000);
    this.api.workflows().then(
      (flows) => (this.flows = flows),
      () => undefined,
    );
  }

  override disconnectedCallback(): void {
    this.stop?.();
    clearInterval(this.clock);
    clearTimeout(this.soon);
    clearTimeout(this.typing);
    super.disconnectedCallback();
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has("filter")) {
      void this.list.begin();
      void this.#open();
      try {
        sessionStorage.setItem(KEPT, JSON.stringify(this.filter));
      } catch {
        // not kept, then
      }
    }
  }

  async #load(): Promise<void> {
    await Promise.all([this.list.load(), this.#open()]);
  }

  /** Look at what is being launched: it is no Run yet. */
  async #open(): Promise<void> {
    this.opening = (await this.api.launches().catch(() => [])).filter((wish) => wish.state === "open");
    if (this.opening.length) this.#soon(1000);
  }

  #soon(milliseconds: number): void {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => void this.#load(), milliseconds);
  }

  #heard(run: RunSummary | null): void {
    if (!run || !this.list.renew([run])) this.#soon(300);
  }

  #set(change: RunFilter): void {
    const filter: RunFilter = { ...this.filter, ...change };
    this.filter = Object.fromEntries(
      Object.entries(filter).filter(([, each]) => each !== "" && each !== undefined),
    );
  }

  #typed(event: InputEvent): void {
    const image = (event.target as HTMLInputElement).value.trim();
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.#set({ image }), 300);
  }

  get #filtered(): boolean {
    return Boolean(this.filter.state || this.filter.workflow || this.filter.image);
  }

  #whose(): TemplateResult {
    const mine = this.filter.mine ?? true;
    return html`<span class="switch" role="group" aria-label="Whose runs">
      <button type="button" aria-pressed=${mine ? "true" : "false"} @click=${() => this.#set({ mine: true })}>
        Mine
      </button>
      <button
        type="button"
        aria-pressed=${mine ? "false" : "true"}
        @click=${() => this.#set({ mine: false })}
      >
        All I may see
      </button>
    </span>`;
  }

  #filters(): TemplateResult {
    const names = new Map(this.flows.map((flow) => [flow.name, flow.title]));
    return html`<form
      role="search"
      aria-label="Find runs"
      @submit=${(event: Event) => event.preventDefault()}
    >
      ${this.alone ? nothing : this.#whose()}
      <select
        aria-label="State"
        @change=${(event: Event) => this.#set({ state: (event.target as HTMLSelectElement).value })}
      >
        ${STATES.map(([value, word]) => html`<option value=${value} ?selected=${(this.filter.state ?? "") === value}>${word}</option>`)}
      </select>
      ${
        names.size > 1 || this.filter.workflow
          ? html`<select
              aria-label="Workflow"
              @change=${(event: Event) => this.#set({ workflow: (event.target as HTMLSelectElement).value })}
            >
              <option value="">Any workflow</option>
              ${[...names].map(([name, title]) => html`<option value=${name} ?selected=${this.filter.workflow === name}>${title}</option>`)}
            </select>`
          : nothing
      }
      <div class="find">
        ${icon("search", 18)}<input
          type="search"
          aria-label="Name of an image"
          placeholder="Name of an image"
          .value=${this.filter.image ?? ""}
          @input=${this.#typed}
        />
      </div>
    </form>`;
  }

  #opening(): TemplateResult[] {
    return this.opening.map((wish) => {
      const part = wish.total ? (wish.done ?? 0) / wish.total : null;
      const words = wish.trouble ?? wish.step ?? "Waiting for its turn";
      return html`<div class="run launching">
        <b>Launching</b><sg-state tone="busy" word="Launching"></sg-state>
        <span class="meta numbers"
          >${sentence(words)}${wish.total ? ` ${count(wish.done ?? 0)} of ${count(wish.total)}` : ""}</span
        >
        <div class="bar"><sg-progress .value=${part} label="Launching"></sg-progress></div>
      </div>`;
    });
  }

  #row = (run: RunSummary): TemplateResult => {
    const [word, tone] = stateWord(run);
    const over = ended(run.state);
    const left = remaining(run);
    return html`<a class="run" href=${address(paths.run(run.run))}>
      <span
        ><b>${run.title || run.workflow}</b>
        <span class="meta"
          >· ${images(run)}${run.person !== this.person ? ` · ${run.person}` : ""}</span
        ></span
      >
      <sg-state tone=${tone} word=${word}></sg-state>
      <span class="meta numbers">${standing(run)}</span>
      <time class="when numbers" title=${exactly(run.created_at)}>${moment(run.created_at)}</time>
      ${over || run.state === "waiting" ? nothing : html`<div class="bar"><sg-progress .value=${run.progress} label="Progress of ${run.title || run.workflow}"></sg-progress>${left ? html`<span class="meta numbers">${left}</span>` : nothing}</div>`}
      ${run.trouble && !over ? html`<span class="why">${run.trouble} ${heard(run.heard_at)}</span>` : nothing}
    </a>`;
  };

  #empty(): TemplateResult {
    if (this.#filtered) {
      return html`<sg-notice kind="empty" sign="search" heading="No run fits these filters"
        >Take one of them away to see more.<button
          slot="do"
          @click=${() => this.#set({ state: "", workflow: "", image: "" })}
        >
          Show all runs
        </button></sg-notice
      >`;
    }
    if (this.how) return html`<sg-notice kind="empty" heading="No runs yet">${this.how}</sg-notice>`;
    if (!this.launches) {
      return html`<sg-notice kind="empty" heading="No runs yet"
        >When somebody of your group launches one, it appears here: choose “All I may see”.</sg-notice
      >`;
    }
    return html`<sg-notice kind="empty" heading="No runs yet"
      >Choose some images and a workflow: the run and its results appear here, and stay.<a
        slot="do"
        class="button primary"
        href=${address("/launch")}
        >Choose images</a
      ></sg-notice
    >`;
  }

  override render(): TemplateResult {
    const { items, next, problem } = this.list;
    return html`<div class="head">
        <h1>Runs</h1>
        ${this.launches ? html`<a class="button primary" href=${address("/launch")}>${icon("plus", 18)} New run</a>` : nothing}
      </div>
      ${this.#filters()} ${trouble(problem, () => void this.#load())}
      ${this.lost && !problem ? html`<p class="lost" role="status">The live connection is interrupted; the page looks every few seconds instead.</p>` : nothing}
      <div class="list">
        ${this.#opening()} ${items ? repeat(items, (run) => run.run, this.#row) : nothing}
      </div>
      ${items?.length === 0 && !this.opening.length && !problem ? this.#empty() : nothing}
      ${next !== null ? html`<div class="more"><button @click=${() => void this.list.more()}>Show older runs</button></div>` : nothing}`;
  }
}

function keptFilter(): RunFilter {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT) ?? "{}") as RunFilter;
  } catch {
    return {};
  }
}
