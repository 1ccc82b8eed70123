// SPDX-License-Identifier: BSD-3-Clause
/** What stands beside a Run's images: its settings, its history, what it cost, its files. */
import { LitElement, css, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { Api, Problem, type Costs, type ResultFile, type Run, type RunEvent, type Task } from "../api.ts";
import { shared } from "../elements/base.ts";
import "../elements/files.ts";
import { ordered } from "../elements/form.ts";
import { icon } from "../elements/icon.ts";
import { trouble } from "../elements/small.ts";
import { Listed } from "../listed.ts";
import { bytes, exactly, inTitles, many, moment, sentence, span, value } from "../words.ts";

const facts = css`
  dl.facts {
    display: grid;
    grid-template-columns: minmax(10rem, 18rem) minmax(0, 1fr);
    gap: 0;
  }
  dl.facts > * {
    padding: var(--sg-3) 0;
    border-bottom: 1px solid var(--sg-line);
  }
  dl.facts > :nth-last-child(-n + 2) {
    border-bottom: 0;
  }
  dl.facts dt {
    color: var(--sg-ink-2);
    font-size: var(--sg-size-s);
    padding-top: 0.8125rem;
  }
  dl.facts dd {
    overflow-wrap: anywhere;
    font-variant-numeric: tabular-nums;
  }
  .digest {
    font-family: var(--sg-mono);
    font-size: 0.8125rem;
    color: var(--sg-ink-2);
  }
  .card + .card {
    margin-top: var(--sg-5);
  }
  .card {
    display: grid;
    gap: var(--sg-3);
  }
  @media (max-width: 42rem) {
    dl.facts {
      grid-template-columns: 1fr;
    }
    dl.facts dt {
      border-bottom: 0;
      padding-bottom: 0;
    }
    dl.facts dd {
      padding-top: 0;
    }
  }
`;

@customElement("sg-run-settings")
export class SgRunSettings extends LitElement {
  static override styles = [shared, facts];
  @property({ attribute: false }) run!: Run;

  override render(): TemplateResult {
    const { run } = this;
    const properties = run.schema?.properties ?? {};
    const names = [
      ...new Set([...ordered(run.schema ?? {}).map(([name]) => name), ...Object.keys(run.parameters)]),
    ];
    const row = (term: string, what: unknown): TemplateResult =>
      html`<dt>${term}</dt>
        <dd>${what}</dd>`;
    const of = (name: string): string => {
      const given = run.parameters[name];
      const unit = properties[name]?.["x-unit"];
      return given === undefined || given === null ? "Not set" : `${value(given)}${unit ? ` ${unit}` : ""}`;
    };
    return html`<section class="card">
        <h2>Settings</h2>
        ${names.length ? html`<dl class="facts">${names.map((name) => row(properties[name]?.title ?? name, of(name)))}</dl>` : html`<p class="muted">This workflow has no settings.</p>`}
      </section>
      <section class="card">
        <h2>How it was made</h2>
        <dl class="facts">
          ${row("Workflow", `${run.title || run.workflow}, version ${run.version}`)}
          ${row("Exact version of the workflow", html`<span class="digest">${run.release}</span>`)}
          ${run.runtime ? row("Exact software it ran in", html`<span class="digest">${run.runtime}</span>`) : nothing}
          ${row("Where", run.site === "local" ? "The computer that slidegate runs on" : run.site)}
          ${row("Launched by", `${run.person}${run.group ? `, group ${run.group}` : ""}`)}
          ${row("Launched", exactly(run.created_at))}
          ${row("Number of the run", html`<span class="digest">${run.run}</span>`)}
        </dl>
      </section>`;
  }
}

@customElement("sg-run-history")
export class SgRunHistory extends LitElement {
  static override styles = [
    shared,
    css`
      ol {
        display: grid;
      }
      li {
        display: grid;
        grid-template-columns: 9.5rem minmax(0, 1fr);
        gap: var(--sg-4);
        padding: var(--sg-2) 0;
        border-bottom: 1px solid var(--sg-line);
      }
      time {
        color: var(--sg-ink-2);
        font-size: var(--sg-size-s);
        padding-top: 0.125rem;
      }
      li span {
        overflow-wrap: anywhere;
        line-height: 1.4;
      }
      .more {
        margin-top: var(--sg-4);
      }
      @media (max-width: 42rem) {
        li {
          grid-template-columns: 1fr;
          gap: 0;
        }
      }
    `,
  ];
  @property() base = "";
  @property() run = "";
  @property({ attribute: false }) schema: Run["schema"] = null;
  /** When the Run changed last: then what is new is asked for. */
  @property({ type: Number }) changed = 0;
  @state() private names: ReadonlyMap<string, string> = new Map();
  private readonly list: Listed<RunEvent> = new Listed(
    this,
    (after) => Api.at(this.base).events(this.run, after ?? this.list.items?.at(-1)?.seq),
    (event) => event.seq,
  );

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has("run")) void this.list.begin().then(() => this.#name());
    else if (changed.has("changed") && this.list.next === null) void this.#more();
  }

  async #more(): Promise<void> {
    await this.list.more();
    await this.#name();
  }

  /** What the images are called that are spoken of. */
  async #name(): Promise<void> {
    const tasks = (this.list.items ?? []).map((event) => event.task);
    const unknown = tasks.filter((task): task is string => task !== null && !this.names.has(task));
    const pages = new Set(unknown.map((task) => Math.floor((Number(task.split(".").at(-1)) - 1) / 200)));
    try {
      for (const page of pages) {
        const { items } = await Api.at(this.base).tasks(this.run, { limit: 200, after: page * 200 });
        this.names = new Map([
          ...this.names,
          ...items.map((task): [string, string] => [task.task, task.name]),
        ]);
      }
    } catch {
      // what happened is told without names, then
    }
  }

  override render(): TemplateResult {
    return html`<section class="card">
      ${trouble(this.list.problem, () => void this.#more())}
      <ol aria-label="What happened, oldest first">
        ${this.list.items?.map((event) => html`<li><time class="numbers" title=${exactly(event.at)}>${moment(event.at, true)}</time><span>${inTitles(sentence(event.words), this.schema)}${event.task ? html`<br /><span class="muted small">${this.names.get(event.task) ?? ""}</span>` : nothing}</span></li>`)}
      </ol>
      ${this.list.next !== null ? html`<div class="more"><button @click=${() => void this.#more()}>Show what came after</button></div>` : nothing}
    </section>`;
  }
}

@customElement("sg-run-costs")
export class SgRunCosts extends LitElement {
  static override styles = [
    shared,
    css`
      .costs {
        display: grid;
        grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr));
        gap: var(--sg-4);
      }
      .cost {
        display: grid;
        gap: var(--sg-1);
        align-content: start;
        margin: 0;
      }
      .cost b {
        font-size: var(--sg-size-xl);
        font-weight: 620;
        letter-spacing: -0.01em;
      }
    `,
  ];
  @property() base = "";
  @property() run = "";
  @property({ type: Number }) changed = 0;
  @state() private costs: Costs | null = null;
  @state() private problem: Problem | null = null;

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has("run") || changed.has("changed")) void this.#load();
  }

  async #load(): Promise<void> {
    try {
      this.costs = await Api.at(this.base).costs(this.run);
      this.problem = null;
    } catch (thrown) {
      this.problem = Problem.from(thrown);
    }
  }

  override render(): TemplateResult {
    const { costs } = this;
    const hours = (n: number | null): string =>
      n === null ? "Not known yet" : n < 0.1 ? span(n * 3600) : `${value(n)} hours`;
    const size = (n: number | null): string => (n === null ? "Not known yet" : bytes(n));
    const card = (title: string, what: string, about: string): TemplateResult =>
      html`<div class="card cost">
        <h3>${title}</h3>
        <b class="numbers">${what}</b>
        <p class="muted small">${about}</p>
      </div>`;
    return html`${trouble(this.problem, () => void this.#load())}
    ${
      costs
        ? html`<div class="costs">
            ${card("Computing", hours(costs.core_hours), "Time on processor cores, summed over all of them.")}
            ${costs.gpu_hours ? card("Graphics cards", hours(costs.gpu_hours), "Time on graphics cards.") : nothing}
            ${card("Moved", size(costs.bytes_moved), "Sent to where it was computed, and results brought back.")}
            ${card("Kept there", costs.bytes_at_site === 0 ? "Nothing" : size(costs.bytes_at_site), costs.bytes_at_site === 0 ? "Copies of the images go whenever their room is needed where it was computed." : "Copies of the images that are still where it was computed, so that the next run need not send them again.")}
          </div>`
        : nothing
    }`;
  }
}

@customElement("sg-run-files")
export class SgRunFiles extends LitElement {
  static override styles = [
    shared,
    css`
      .all {
        display: flex;
        flex-wrap: wrap;
        gap: var(--sg-4);
        align-items: center;
        justify-content: space-between;
        margin-bottom: var(--sg-5);
      }
      .all p {
        max-width: 40rem;
      }
      details {
        border-bottom: 1px solid var(--sg-line);
        content-visibility: auto;
        contain-intrinsic-size: auto 3rem;
      }
      summary {
        padding: var(--sg-3) var(--sg-1);
        cursor: pointer;
        font-weight: 550;
        overflow-wrap: anywhere;
      }
      sg-files,
      details p {
        display: block;
        padding: 0 var(--sg-1) var(--sg-4) var(--sg-5);
      }
    `,
  ];
  @property() base = "";
  @property() run = "";
  @property({ type: Number }) changed = 0;
  @state() private files: ReadonlyMap<number, ResultFile[] | Problem> = new Map();
  private readonly list = new Listed<Task>(
    this,
    (after) =>
      Api.at(this.base).tasks(this.run, { state: "succeeded", limit: 100, ...(after ? { after } : {}) }),
    (task) => task.number,
  );

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has("run")) void this.list.begin();
  }

  async #open(event: Event, task: Task): Promise<void> {
    if (!(event.target as HTMLDetailsElement).open || Array.isArray(this.files.get(task.number))) return;
    let found: ResultFile[] | Problem;
    try {
      found = await Api.at(this.base).files(this.run, task.number);
    } catch (thrown) {
      found = Problem.from(thrown);
    }
    this.files = new Map(this.files).set(task.number, found);
  }

  #list(task: Task): TemplateResult | typeof nothing {
    const files = this.files.get(task.number);
    if (!files) return html`<p class="muted small">Looking…</p>`;
    if (files instanceof Problem) return html`<p class="muted small">${files.title} ${files.detail}</p>`;
    return html`<sg-files
      .files=${files}
      .address=${(name: string) => Api.at(this.base).file(this.run, task.number, name)}
    ></sg-files>`;
  }

  override render(): TemplateResult {
    const { items, next, problem } = this.list;
    if (problem) return html`${trouble(problem, () => void this.list.load())}`;
    if (!items) return html``;
    if (!items.length)
      return html`<sg-notice kind="empty" sign="save" heading="No results yet"
        >As soon as the first image is finished, its files can be downloaded here.<button
          slot="do"
          @click=${() => void this.list.load()}
        >
          ${icon("again", 16)} Look again
        </button></sg-notice
      >`;
    return html`<section class="card">
      <div class="all">
        <div>
          <h2>Everything in one file</h2>
          <p class="muted small">
            All results of this run, with a description of how they were made (RO-Crate) that other programs
            and archives understand.
          </p>
        </div>
        <a class="button primary" href=${Api.at(this.base).archive(this.run)} download
          >${icon("save", 18)} Download all (ZIP)</a
        >
      </div>
      ${items.length === 1 ? nothing : html`<h3>By image (${many(items.length, "image")}${next !== null ? " so far" : ""})</h3>`}
      ${items.map(
        (task) =>
          html`<details ?open=${items.length === 1} @toggle=${(event: Event) => void this.#open(event, task)}>
            <summary>${task.name}</summary>
            ${this.#list(task)}
          </details>`,
      )}
      ${next !== null ? html`<p><button @click=${() => void this.list.more()}>Show more images</button></p>` : nothing}
    </section>`;
  }
}
