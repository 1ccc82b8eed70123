// SPDX-License-Identifier: BSD-3-Clause
/** What all pages share on which a Run is launched, wherever its images were chosen. */
import { LitElement, html, nothing, type TemplateResult } from "lit";
import { property, query, state } from "lit/decorators.js";
import { Api, Problem, type Estimate, type LaunchBody, type Run, type Task, type Workflow } from "../api.ts";
import { shared } from "../elements/base.ts";
import "../elements/dialog.ts";
import type { SgDialog } from "../elements/dialog.ts";
import "../elements/form.ts";
import type { SgForm } from "../elements/form.ts";
import { icon } from "../elements/icon.ts";
import "../elements/small.ts";
import { pagesOf } from "../listed.ts";
import { ago } from "../words.ts";
import { Choice } from "./choice.ts";
import { Facts } from "./facts.ts";
import { launch, type Launched, type Launching } from "./once.ts";
import "./preview.ts";
import type { Stated } from "./stated.ts";
import { style } from "./style.ts";

const MOST = 5000;
const AGAIN = 3000;
const FAULTY = "Some settings need your attention.";

/** `from` takes images and settings of a Run, `only` those images that are in a state. */
export abstract class LaunchPage extends LitElement {
  static override styles = [shared, style];

  @property() base = "";
  @property() from = "";
  @property() only = "";
  @state() protected estimate: Estimate | null = null;
  @state() protected problem: Problem | null = null;
  @state() protected failed: Problem | null = null;
  @state() protected launching: Launching | null = null;
  @state() private known: Launched | null = null;
  @query("sg-form") private form?: SgForm;
  @query("#known") private knownDialog!: SgDialog;
  protected readonly choice: Choice = new Choice(this, () => this.api);
  protected facts!: Facts;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private again: ReturnType<typeof setTimeout> | undefined;
  private asked = "";

  protected get api(): Api {
    return Api.at(this.base);
  }

  /** The images that can be used, with their names. */
  protected abstract get usable(): ReadonlyMap<string, string>;
  /** Take images of a Run. */
  protected abstract take(tasks: Task[], run: Run): void | Promise<void>;
  /** There is a Run: show it. */
  protected abstract leave(run: string): void;

  override connectedCallback(): void {
    super.connectedCallback();
    this.facts = new Facts(this.base);
    this.facts.addEventListener("change", () => this.requestUpdate());
    void this.begin();
  }

  override disconnectedCallback(): void {
    clearTimeout(this.timer);
    clearTimeout(this.again);
    this.facts.stop();
    super.disconnectedCallback();
  }

  protected async begin(): Promise<void> {
    clearTimeout(this.again);
    try {
      await this.choice.begin();
      const first = this.choice.offered[0];
      if (this.from) await this.like(this.from);
      else if (first) await this.choice.choose(first.name);
      this.problem = null;
    } catch (thrown) {
      this.problem = Problem.from(thrown);
    }
    const passes = this.problem ? this.problem.passes : !this.choice.offered.length;
    if (passes && this.isConnected) this.again = setTimeout(() => void this.begin(), AGAIN);
  }

  private async like(run: string): Promise<void> {
    const like = await this.api.run(run);
    this.choice.like(like);
    const tasks: Task[] = [];
    const state = this.only || undefined;
    for await (const page of pagesOf((after) => this.api.tasks(run, { limit: 200, state, after }))) {
      tasks.push(...page);
      if (tasks.length >= MOST) break;
    }
    await this.take(tasks, like);
  }

  get #takesRegions(): boolean {
    return this.choice.workflow?.each.includes("regions") ?? false;
  }

  protected get body(): LaunchBody {
    const { name, site, workflow, values } = this.choice;
    return {
      workflow: name,
      version: workflow?.version ?? "",
      site,
      images: [...this.usable.keys()],
      parameters: values,
      ...(this.#takesRegions && !this.choice.regions ? { regions: false as const } : {}),
      again: false,
    };
  }

  protected estimateSoon(): void {
    const { again: _again, publish: _publish, regions: _regions, ...body } = this.body;
    const asked = JSON.stringify(body);
    if (asked === this.asked || !body.images.length || !body.version || this.faulty) return;
    this.asked = asked;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.api.estimate(body).then(
        (estimate) => {
          if (this.asked === asked) this.estimate = estimate;
        },
        () => (this.estimate = null),
      );
    }, 350);
  }

  protected get faulty(): boolean {
    return Object.keys(this.choice.faults).length > 0;
  }

  /** Why this cannot be launched; empty where it can. */
  protected get reason(): string {
    if (this.launching) return "Launching…";
    if (!this.usable.size) return "Choose at least one image.";
    if (!this.choice.workflow)
      return this.choice.flows?.length ? "Choose a workflow." : "No workflow can be used at the moment.";
    if (!this.choice.settled) return "Looking up your settings…";
    return this.faulty ? FAULTY : "";
  }

  protected async launch(again = false): Promise<void> {
    if (this.launching) return;
    if (this.form && !(await this.form.check())) {
      this.choice.input(this.choice.values, this.form.faults);
      return;
    }
    if (this.reason) return;
    this.failed = null;
    try {
      const answer = await launch(this.api, { ...this.body, again }, (now) => (this.launching = now));
      this.launching = null;
      if (answer.outcome === "created" || again) this.leave(answer.run);
      else {
        this.known = answer;
        await this.updateComplete;
        await this.knownDialog.show();
      }
    } catch (thrown) {
      const problem = Problem.from(thrown);
      this.launching = null;
      this.failed = problem;
      if (problem.errors.length) {
        this.choice.refuse(problem.errors);
        await this.updateComplete;
        await this.form?.check();
      }
    }
  }

  private flows(): TemplateResult {
    const { choice } = this;
    if (!choice.offered.length)
      return html`<sg-notice kind="warn" heading="No workflow can be used yet"
        >slidegate is still setting up, or no place to compute was heard of yet. Wait a minute and look again.
        <button slot="do" @click=${() => void this.begin()}>
          ${icon("again", 16)} Look again
        </button></sg-notice
      >`;
    return html`<div class="flows" role="radiogroup" aria-labelledby="w">
        ${choice.offered.map(
          (each) =>
            html`<label class="flow"
              ><input
                type="radio"
                name="flow"
                .checked=${each.name === choice.name}
                @change=${() => void choice.choose(each.name)}
              /><b>${each.title}</b>
              <p>${each.description}</p></label
            >`,
        )}
      </div>
      ${this.#where()}`;
  }

  #where(): TemplateResult {
    const { choice } = this;
    const { there, place, site } = choice;
    const title = choice.titleOf(site);
    const pick = (event: Event): void => choice.runAt((event.target as HTMLSelectElement).value);
    return html`<div class="where">
      ${
        there.length > 1
          ? html`<label for="site">Where it runs</label
              ><select id="site" @change=${pick}>
                ${there.map((flow) => html`<option value=${flow.site} ?selected=${flow.site === site}>${choice.titleOf(flow.site)}</option>`)}
              </select>`
          : html`<p class="small"><span class="muted">Runs on</span> <b>${title}</b></p>`
      }
      ${place?.trouble ? html`<sg-notice kind="warn" heading="${title} does not answer at the moment">${place.trouble} ${place.heard_at ? `Last heard ${ago(place.heard_at)}.` : ""} You can launch anyway: the run starts when it answers again.</sg-notice>` : nothing}
    </div>`;
  }

  private settingsForm(flow: Workflow, said: Stated): TemplateResult {
    const { choice } = this;
    const filled =
      choice.filled === "last"
        ? "These are the settings that you used last time."
        : "These are the settings of the earlier run.";
    return html`<section class="card" aria-labelledby="s">
      <h2 id="s">Settings</h2>
      ${choice.filled ? html`<div class="used"><span>${filled}</span><button class="quiet" @click=${() => choice.defaults()}>Use the defaults</button></div>` : nothing}
      <sg-form
        .schema=${flow.schema}
        .values=${choice.values}
        .refused=${choice.refused}
        .suggest=${{ channel: said.channels }}
        .placeholders=${said.placeholders}
        .doubts=${said.doubts}
        @sg-input=${(event: CustomEvent<Pick<Choice, "values" | "faults">>) => choice.input(event.detail.values, event.detail.faults)}
      ></sg-form>
      ${this.#takesRegions ? this.#regions() : nothing}
    </section>`;
  }

  #regions(): TemplateResult {
    const { choice } = this;
    return html`<label class="regions"
      ><input
        type="checkbox"
        .checked=${choice.regions}
        @change=${(event: Event) => choice.useRegions((event.target as HTMLInputElement).checked)}
      /><b>Use regions that were drawn on the images</b
      ><span class="muted small"
        >Where there are any, what is found is also counted in each of them.</span
      ></label
    >`;
  }

  /** Workflow, settings and preview; `more` stands below the settings. */
  protected settings(said: Stated, more: unknown = nothing): TemplateResult {
    const { choice } = this;
    const flow = choice.settled ? choice.workflow : null;
    return html`<div class="two">
      <div>
        <section class="card" aria-labelledby="w">
          <h2 id="w">Workflow</h2>
          ${choice.flows ? this.flows() : nothing}
        </section>
        ${flow ? html`${this.settingsForm(flow, said)}${more}` : nothing}
      </div>
      ${
        flow
          ? html`<section class="card" aria-labelledby="p">
              <div>
                <h2 id="p">Preview</h2>
                <p class="muted small">See what these settings find, before they run on everything.</p>
              </div>
              <sg-preview
                base=${this.base}
                .workflow=${flow}
                .parameters=${choice.values}
                .images=${this.usable}
                .facts=${this.facts}
                blocked=${this.faulty ? FAULTY : ""}
                @sg-refused=${(event: CustomEvent<Pick<Problem, "errors">>) => choice.refuse(event.detail.errors)}
              ></sg-preview>
            </section>`
          : nothing
      }
    </div>`;
  }

  /** Says that the same was done before. */
  protected knownBefore(): TemplateResult {
    const dialog = (): SgDialog => this.knownDialog;
    return html`<sg-dialog id="known" heading="You have run exactly this before">
      <p>
        The same images with the same settings
        ${this.known?.outcome === "finished" ? "have been run, and the results are there" : this.known?.outcome === "resumed" ? "are being run right now" : "were run before, and that run goes on now"}.
        Running them again would give the same answer.
      </p>
      <button
        slot="do"
        @click=${() => {
          dialog().close();
          void this.launch(true);
        }}
      >
        Run again even so
      </button>
      <button
        slot="do"
        class="primary"
        @click=${() => {
          dialog().close();
          this.leave(this.known!.run);
        }}
      >
        Show that run
      </button>
    </sg-dialog>`;
  }
}
