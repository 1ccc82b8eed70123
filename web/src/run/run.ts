// SPDX-License-Identifier: BSD-3-Clause
/** One Run: how it stands, what can be done with it, its images and everything that is known of it. */
import { LitElement, css, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { Api, Problem, type Run, type RunSummary } from "../api.ts";
import { shared } from "../elements/base.ts";
import "../elements/dialog.ts";
import type { SgDialog } from "../elements/dialog.ts";
import { icon } from "../elements/icon.ts";
import { trouble } from "../elements/small.ts";
import "../elements/tabs.ts";
import { address, entitle, go, paths } from "../router.ts";
import { heard, remaining, shares, standing, stateWord } from "../runs/summary.ts";
import { ended, exactly, many, moment } from "../words.ts";
import "./facts.ts";
import "./images.ts";

const TABS: [string, string][] = [
  ["images", "Images"],
  ["settings", "Settings"],
  ["files", "Files"],
  ["history", "What happened"],
  ["costs", "Costs"],
];

@customElement("sg-run")
export class SgRun extends LitElement {
  static override styles = [
    shared,
    css`
      .trail {
        font-size: var(--sg-size-s);
        margin-bottom: var(--sg-3);
        display: flex;
        gap: var(--sg-1);
        align-items: center;
        color: var(--sg-ink-2);
      }
      .head {
        display: flex;
        flex-wrap: wrap;
        gap: var(--sg-3) var(--sg-5);
        justify-content: space-between;
        align-items: start;
      }
      .name {
        display: flex;
        flex-wrap: wrap;
        gap: var(--sg-2) var(--sg-4);
        align-items: center;
      }
      .sub {
        color: var(--sg-ink-2);
        font-size: var(--sg-size-s);
        margin-top: var(--sg-2);
      }
      .do {
        display: flex;
        flex-wrap: wrap;
        gap: var(--sg-2);
      }
      .standing {
        margin: var(--sg-5) 0;
        display: grid;
        gap: var(--sg-3);
      }
      .standing .words {
        display: flex;
        flex-wrap: wrap;
        gap: var(--sg-1) var(--sg-4);
        justify-content: space-between;
      }
      .standing b {
        font-weight: 600;
        font-size: var(--sg-size-l);
      }
      .choice {
        display: grid;
        grid-template-columns: auto 1fr;
        gap: 0 var(--sg-3);
        font-weight: 400;
        cursor: pointer;
      }
      .choice input {
        margin-top: 0.25rem;
      }
      .choice b {
        font-weight: 600;
      }
      .choice span {
        grid-column: 2;
      }
      .busy {
        display: grid;
        gap: var(--sg-2);
        margin-bottom: var(--sg-4);
      }
    `,
  ];

  @property() base = "";
  @property() run = "";
  @state() private what: Run | null = null;
  @state() private tab = "images";
  @state() private problem: Problem | null = null;
  @state() private failed: Problem | null = null;
  @state() private lost = false;
  /** The server did not answer when it was last asked. */
  @state() private silent = false;
  @state() private doing = "";
  @state() private withResults = false;
  @state() private said = "";
  @state() private site = "";
  @query("#cancel") private cancelDialog!: SgDialog;
  @query("#delete") private deleteDialog!: SgDialog;
  private stop: (() => void) | null = null;
  private clock: ReturnType<typeof setInterval> | undefined;

  private get api(): Api {
    return Api.at(this.base);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.clock = setInterval(() => this.requestUpdate(), 15_000);
    if (this.hasUpdated) this.#follow();
  }

  override disconnectedCallback(): void {
    this.stop?.();
    clearInterval(this.clock);
    super.disconnectedCallback();
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has("run") || changed.has("base")) this.#follow();
  }

  #follow(): void {
    this.stop?.();
    this.what = null;
    this.tab = "images";
    void this.#load();
    this.stop = this.api.watch(
      { run: this.run },
      (summary) => this.#heard(summary),
      (lost) => (this.lost = lost),
    );
  }

  async #load(): Promise<void> {
    const { run } = this;
    try {
      const what = await this.api.run(run);
      if (run !== this.run) return;
      this.#take(what);
      this.problem = null;
      this.silent = false;
    } catch (thrown) {
      if (run !== this.run) return;
      const problem = Problem.from(thrown);
      this.silent = problem.passes;
      if (!problem.passes || !this.what) this.problem = problem;
    }
  }

  #heard(summary: RunSummary | null): void {
    if (summary && this.what) this.#take({ ...this.what, ...summary });
    else void this.#load();
  }

  #take(what: Run): void {
    if (this.what && this.what.state !== what.state) this.said = `${stateWord(what)[0]}. ${standing(what)}`;
    if (this.what?.site !== what.site) this.#named(what.site);
    this.what = what;
    entitle(this, what.title || what.workflow);
  }

  /** What the place is called where the Run is computed. */
  #named(site: string): void {
    this.api.sites().then(
      (sites) =>
        (this.site = (sites.find((each) => each.site === site)?.title ?? "").replace(/^This /, "this ")),
      () => undefined,
    );
  }

  async #act(words: string, act: () => Promise<unknown>): Promise<boolean> {
    this.doing = words;
    this.failed = null;
    try {
      await act();
      await this.#load();
      return true;
    } catch (thrown) {
      this.failed = Problem.from(thrown);
      return false;
    } finally {
      this.doing = "";
    }
  }

  async #delete(): Promise<void> {
    this.deleteDialog.close();
    this.stop?.();
    this.doing = "Deleting…";
    this.failed = null;
    try {
      await this.api.remove(this.run, this.withResults);
      go(this, "/runs");
    } catch (thrown) {
      this.failed = Problem.from(thrown);
      this.stop = this.api.watch(
        { run: this.run },
        (summary) => this.#heard(summary),
        (lost) => (this.lost = lost),
      );
    }
    this.doing = "";
  }

  #actions(run: Run): TemplateResult {
    const bad = (run.counts.failed ?? 0) + (run.counts.cancelled ?? 0);
    const may = (what: string): boolean => run.may.includes(what);
    return html`<div class="do">
      ${run.tasks === 1 && run.counts.succeeded === 1 ? html`<a class="button primary" href=${address(paths.results(run.run, 1))}>Show the results</a>` : nothing}
      ${may("retry") && bad ? html`<button @click=${() => void this.#act("Starting again…", () => this.api.retry(run.run))}>${icon("again", 16)} Try ${run.counts.failed ? "the failed" : "the cancelled"} again</button>` : nothing}
      ${may("cancel") ? html`<button @click=${() => this.cancelDialog.show()}>${icon("stop", 16)} Cancel</button>` : nothing}
      ${may("again") ? html`<a class="button" href=${address(paths.again(run.run))}>${icon("plus", 16)} Run again</a>` : nothing}
      ${may("delete") ? html`<button class="quiet danger" @click=${() => this.deleteDialog.show()}>${icon("bin", 16)} ${run.publish ? "Undo or delete" : "Delete"}</button>` : nothing}
    </div>`;
  }

  #standing(run: Run): TemplateResult {
    const over = ended(run.state);
    return html`<section class="standing card" aria-label="How it stands">
      <div class="words"><b>${standing(run)}</b><span class="muted numbers">${remaining(run)}</span></div>
      <sg-progress
        .value=${over ? 1 : run.progress}
        .parts=${shares(run)}
        label="Progress of the run"
      ></sg-progress>
      ${run.trouble && !over ? html`<sg-notice kind="warn">${run.trouble} ${heard(run.heard_at, true)}</sg-notice>` : !over && heard(run.heard_at) ? html`<p class="muted small">${heard(run.heard_at)}</p>` : nothing}
      ${this.lost ? html`<p class="muted small" role="status">${this.silent ? "The server does not answer at the moment: this is what was last heard. The page asks again every few seconds." : "The live connection is interrupted; the page looks every few seconds instead."}</p>` : nothing}
    </section>`;
  }

  #panel(run: Run): TemplateResult {
    switch (this.tab) {
      case "settings":
        return html`<sg-run-settings .run=${run}></sg-run-settings>`;
      case "files":
        return html`<sg-run-files base=${this.base} run=${run.run} changed=${run.changed_at}></sg-run-files>`;
      case "history":
        return html`<sg-run-history
          base=${this.base}
          run=${run.run}
          .schema=${run.schema}
          changed=${run.changed_at}
        ></sg-run-history>`;
      case "costs":
        return html`<sg-run-costs base=${this.base} run=${run.run} changed=${run.changed_at}></sg-run-costs>`;
      default:
        return html`<sg-run-images base=${this.base} run=${run.run} .summary=${run}></sg-run-images>`;
    }
  }

  #dialogs(run: Run): TemplateResult {
    const open =
      run.tasks - (run.counts.succeeded ?? 0) - (run.counts.failed ?? 0) - (run.counts.cancelled ?? 0);
    const choice = (results: boolean, title: string, about: string): TemplateResult =>
      html`<label class="choice"
        ><input
          type="radio"
          name="what"
          .checked=${this.withResults === results}
          @change=${() => (this.withResults = results)}
        /><b>${title}</b><span class="muted small">${about}</span></label
      >`;
    return html`<sg-dialog id="cancel" heading="Cancel this run?">
        <p>
          ${many(open, "image")} that ${open === 1 ? "is" : "are"} not finished will be stopped. Results that
          are already there stay. You can try the cancelled images again later.
        </p>
        <button slot="do" @click=${() => this.cancelDialog.close()}>Go on computing</button>
        <button
          slot="do"
          class="danger primary"
          @click=${() => {
            this.cancelDialog.close();
            void this.#act("Cancelling…", () => this.api.cancel(run.run));
          }}
        >
          Cancel the run
        </button>
      </sg-dialog>
      <sg-dialog id="delete" heading="Delete this run?">
        <p>
          The run, its history and its log are removed, and copies of its images where it was computed are let
          go of. Your images are not touched. This cannot be undone.
        </p>
        <div class="stack" role="radiogroup" aria-label="What is deleted">
          ${choice(false, "Keep the results", run.publish ? "What was written to OMERO stays on the images." : "Tables, label images and reports stay in the results folder.")}
          ${run.publish ? choice(true, "Undo: take the results out of OMERO too", "Tables, files, ROIs, key-value pairs, tags and images that this run made are removed. What you or others added or changed stays.") : choice(true, "Delete the results too", "Nothing of this run is left.")}
        </div>
        <button slot="do" @click=${() => this.deleteDialog.close()}>Keep the run</button>
        <button slot="do" class="danger primary" @click=${() => void this.#delete()}>
          ${this.withResults ? "Delete run and results" : "Delete the run"}
        </button>
      </sg-dialog>`;
  }

  override render(): TemplateResult {
    if (this.problem && !this.what) {
      return this.problem.status === 404
        ? html`<sg-notice kind="empty" sign="search" heading="This run is not here"
            >It may have been deleted, or it belongs to somebody else.<a
              slot="do"
              class="button"
              href=${address("/runs")}
              >Go to your runs</a
            ></sg-notice
          >`
        : html`${trouble(this.problem, () => void this.#load())}`;
    }
    const run = this.what;
    if (!run) return html``;
    const [word, tone] = stateWord(run);
    return html`<nav class="trail" aria-label="Where you are">
        <a href=${address("/runs")}>Runs</a>${icon("right", 14)}<span>${run.title || run.workflow}</span>
      </nav>
      <div class="head">
        <div>
          <div class="name">
            <h1>${run.title || run.workflow}</h1>
            <sg-state tone=${tone} word=${word}></sg-state>
          </div>
          <p class="sub numbers">
            ${many(run.tasks, "image")} · launched
            <time title=${exactly(run.created_at)}>${moment(run.created_at)}</time> by ${run.person} · on
            ${this.site || (run.site === "local" ? "this computer" : run.site)}
          </p>
        </div>
        ${this.#actions(run)}
      </div>
      ${this.#standing(run)}
      ${this.doing ? html`<div class="busy" role="status"><span>${this.doing}</span><sg-progress label=${this.doing}></sg-progress></div>` : nothing}
      ${trouble(this.failed)}
      <sg-tabs
        .tabs=${TABS}
        chosen=${this.tab}
        label="About this run"
        @sg-tab=${(event: CustomEvent<{ name: string }>) => (this.tab = event.detail.name)}
        >${this.#panel(run)}</sg-tabs
      >
      ${this.#dialogs(run)}
      <div class="sr" role="status">${this.said}</div>`;
  }
}
