// SPDX-License-Identifier: BSD-3-Clause
/** Choosing images, a workflow and its settings, and launching: two steps, with what is chosen always in view. */
import { LitElement, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import {
  Api,
  Problem,
  type Estimate,
  type LaunchBody,
  type Parameters,
  type Site,
  type Workflow,
} from "../api.ts";
import { shared } from "../elements/base.ts";
import "../elements/dialog.ts";
import type { SgDialog } from "../elements/dialog.ts";
import "../elements/form.ts";
import type { SgForm } from "../elements/form.ts";
import { icon } from "../elements/icon.ts";
import { trouble } from "../elements/small.ts";
import "../elements/thumb.ts";
import { go, paths } from "../router.ts";
import { ago, count, many, sentence, shortName } from "../words.ts";
import "./browser.ts";
import { keep, kept } from "./chosen.ts";
import { Facts } from "./facts.ts";
import { forecast, sizeOf } from "./forecast.ts";
import { newestBy } from "./offers.ts";
import { style } from "./style.ts";
import { keyFor, forgetKey } from "./once.ts";
import "./preview.ts";

/** `step` "settings" shows the second step; `from` takes images and settings of a Run. Asks to go on with `sg-go`. */
@customElement("sg-launch")
export class SgLaunch extends LitElement {
  static override styles = [shared, style];

  @property() base = "";
  @property() from = "";
  @property() step = "";
  @state() private at = "";
  @state() private chosen: ReadonlyMap<string, string> = kept();
  @state() private flows: Workflow[] | null = null;
  @state() private sites: Site[] = [];
  @state() private name = "";
  @state() private site = "";
  @state() private values: Parameters = {};
  @state() private faults: Record<string, string> = {};
  @state() private refused: Record<string, string> = {};
  @state() private filled: "" | "last" | "run" = "";
  @state() private estimate: Estimate | null = null;
  @state() private problem: Problem | null = null;
  @state() private failed: Problem | null = null;
  @state() private launching: { words: string; part: number | null } | null = null;
  @state() private showing = false;
  @state() private known: { run: string; outcome: string } | null = null;
  @query("sg-form") private form?: SgForm;
  @query("#known") private knownDialog!: SgDialog;
  @query("#chosen") private chosenDialog!: SgDialog;
  private facts!: Facts;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private asked = "";

  private get api(): Api {
    return Api.at(this.base);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.facts = new Facts(this.base);
    this.facts.addEventListener("change", () => this.requestUpdate());
    this.facts.want(this.chosen.keys());
    void this.#begin();
  }

  override disconnectedCallback(): void {
    clearTimeout(this.timer);
    super.disconnectedCallback();
  }

  async #begin(): Promise<void> {
    this.problem = null;
    try {
      const [flows, sites] = await Promise.all([this.api.workflows(), this.api.sites()]);
      this.sites = sites;
      this.flows = flows;
      if (this.from) await this.#like(this.from);
      else if (this.#offered.length) await this.#flow(this.#offered[0]!.name);
    } catch (thrown) {
      this.problem = Problem.from(thrown);
    }
  }

  /** The newest version of each workflow, wherever it is offered. */
  get #offered(): Workflow[] {
    return newestBy(this.flows ?? [], (flow) => flow.name).sort((a, b) => a.title.localeCompare(b.title));
  }

  /** The newest version of the chosen workflow at each site. */
  get #there(): Workflow[] {
    return newestBy(
      (this.flows ?? []).filter((flow) => flow.name === this.name),
      (flow) => flow.site,
    );
  }

  get #workflow(): Workflow | null {
    return this.#there.find((flow) => flow.site === this.site) ?? null;
  }

  async #flow(name: string): Promise<void> {
    this.name = name;
    this.#at("");
    this.#defaults();
    this.filled = "";
    const before = this.#form;
    try {
      const used = await this.api.lastUsed(name);
      if (this.name !== name || this.from || this.#form !== before) return; // somebody has begun to write
      if (used.site) this.#at(used.site);
      this.#take(used.parameters, "last");
    } catch {
      // the defaults do
    }
  }

  #at(site: string): void {
    const there = this.#there;
    this.site =
      (there.find((flow) => flow.site === site) ?? there.find((flow) => flow.site === "local") ?? there[0])
        ?.site ?? "";
  }

  #defaults(): void {
    const all = Object.entries(this.#workflow?.schema.properties ?? {});
    this.values = Object.fromEntries(
      all.filter(([, of]) => of.default !== undefined).map(([name, of]) => [name, of.default!]),
    );
    this.refused = {};
    this.filled = "";
    this.form?.fill(this.values);
  }

  #take(parameters: Parameters | null, filled: "last" | "run"): void {
    const known = this.#workflow?.schema.properties ?? {};
    const taken = Object.entries(parameters ?? {}).filter(([name, given]) => name in known && given !== null);
    if (taken.every(([name, given]) => known[name]?.default === given)) return;
    this.values = { ...this.values, ...Object.fromEntries(taken) };
    this.filled = filled;
    this.form?.fill(this.values);
  }

  /** Take images and settings of a Run. */
  async #like(run: string): Promise<void> {
    const [what, first] = await Promise.all([this.api.run(run), this.api.tasks(run, { limit: 200 })]);
    this.name = what.workflow;
    this.#at(what.site);
    this.#defaults();
    this.#take(what.parameters, "run");
    const images = first.items.map((task): [string, string] => [task.image, task.name]);
    for (let next = first.next; next !== null && images.length < 5000;) {
      const page = await this.api.tasks(run, { limit: 200, after: next });
      images.push(...page.items.map((task): [string, string] => [task.image, task.name]));
      next = page.next;
    }
    this.#choose(new Map(images));
  }

  #choose(chosen: ReadonlyMap<string, string>): void {
    this.chosen = chosen;
    this.facts.want(chosen.keys());
    keep(chosen);
  }

  get #usable(): ReadonlyMap<string, string> {
    return new Map([...this.chosen].filter(([image]) => !this.facts.get(image)?.problem));
  }

  /** What the form holds, also what cannot be read as a value. */
  get #form(): string {
    return JSON.stringify([this.values, this.faults]);
  }

  get #body(): LaunchBody {
    return {
      workflow: this.name,
      version: this.#workflow?.version ?? "",
      site: this.site,
      images: [...this.#usable.keys()],
      parameters: this.values,
      again: false,
    };
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has("step") && changed.get("step") !== undefined) window.scrollTo(0, 0);
    if (this.step === "settings") this.#estimateSoon();
    if (this.hasUpdated && changed.has("step"))
      this.dispatchEvent(
        new CustomEvent("sg-title", {
          detail: { title: this.step === "settings" ? "Settings" : "Choose images" },
          bubbles: true,
          composed: true,
        }),
      );
  }

  protected override updated(changed: PropertyValues): void {
    if (changed.get("step") !== undefined && changed.has("step"))
      this.renderRoot.querySelector<HTMLElement>("h1")?.focus();
  }

  #estimateSoon(): void {
    const { again: _again, ...body } = this.#body;
    const asked = JSON.stringify(body);
    if (asked === this.asked || !body.images.length || !this.#workflow || Object.keys(this.faults).length)
      return;
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

  /** Why this cannot be launched; empty where it can. */
  get #reason(): string {
    if (this.launching) return "Launching…";
    if (!this.#usable.size) return "Choose at least one image.";
    if (!this.#workflow)
      return this.flows?.length ? "Choose a workflow." : "No workflow can be used at the moment.";
    if (Object.keys(this.faults).length) return "Some settings need your attention.";
    return "";
  }

  async #launch(again = false): Promise<void> {
    if (this.launching) return;
    if (this.form && !(await this.form.check())) {
      this.faults = this.form.faults;
      return;
    }
    if (this.#reason) return;
    const body = { ...this.#body, again };
    this.failed = null;
    this.launching = { words: "Handing over…", part: null };
    try {
      const wish = await this.api.launch(body, keyFor(body));
      const answer = await this.api.granted<{ run: string; outcome: string }>(wish.id, (now) => {
        const words = now.trouble ?? now.step ?? "Waiting for its turn";
        this.launching = now.total
          ? {
              words: `${sentence(words)}: ${count(now.done ?? 0)} of ${count(now.total)}`,
              part: (now.done ?? 0) / now.total,
            }
          : { words: `${sentence(words)}…`, part: null };
      });
      forgetKey();
      this.launching = null;
      if (answer.outcome === "created" || again) this.#leave(answer.run);
      else {
        this.known = answer;
        await this.updateComplete;
        await this.knownDialog.show();
      }
    } catch (thrown) {
      const problem = Problem.from(thrown);
      this.launching = null;
      if (problem.status !== 0) forgetKey();
      if (problem.errors.length) {
        this.refused = Object.fromEntries(problem.errors.map((each) => [each.name, each.message]));
        await this.updateComplete;
        await this.form?.check();
      }
      this.failed = problem;
    }
  }

  #leave(run: string): void {
    this.#choose(new Map());
    go(this, paths.run(run));
  }

  #title(): TemplateResult {
    const second = this.step === "settings";
    const mark = (n: number, words: string, here: boolean): TemplateResult =>
      html`<li aria-current=${here ? "step" : nothing}><i aria-hidden="true">${n}</i>${words}</li>`;
    return html`<div class="title">
      <ol class="steps" aria-label="Steps">
        ${mark(1, "Images", !second)}${icon("right", 14)}${mark(2, "Workflow and settings", second)}
      </ol>
      <h1 tabindex="-1">${second ? "What should be done with them?" : "Which images?"}</h1>
    </div>`;
  }

  #images(): TemplateResult {
    return html`<sg-browser
      base=${this.base}
      at=${this.at}
      .chosen=${this.chosen}
      .facts=${this.facts}
      @sg-at=${(event: CustomEvent<{ at: string }>) => (this.at = event.detail.at)}
      @sg-chosen=${(event: CustomEvent<{ chosen: Map<string, string> }>) => this.#choose(event.detail.chosen)}
    ></sg-browser>`;
  }

  #where(): TemplateResult | typeof nothing {
    const there = this.#there;
    const site = this.sites.find((each) => each.site === this.site);
    const title = (id: string): string =>
      this.sites.find((each) => each.site === id)?.title || (id === "local" ? "This computer" : id);
    return html`<div class="where">
      ${
        there.length > 1
          ? html`<label for="site">Where it runs</label
              ><select
                id="site"
                @change=${(event: Event) => (this.site = (event.target as HTMLSelectElement).value)}
              >
                ${there.map((flow) => html`<option value=${flow.site} ?selected=${flow.site === this.site}>${title(flow.site)}</option>`)}
              </select>`
          : html`<p class="small"><span class="muted">Runs on</span> <b>${title(this.site)}</b></p>`
      }
      ${site?.trouble ? html`<sg-notice kind="warn" heading="${title(this.site)} does not answer at the moment">${site.trouble} ${site.heard_at ? `Last heard ${ago(site.heard_at)}.` : ""} You can launch anyway: the run starts when it answers again.</sg-notice>` : nothing}
    </div>`;
  }

  #settings(): TemplateResult {
    const flow = this.#workflow;
    const channels =
      [...this.#usable.keys()].map((image) => this.facts.get(image)?.channels).find((each) => each?.length) ??
      [];
    return html`<div class="two">
      <div>
        <section class="card" aria-labelledby="w">
          <h2 id="w">Workflow</h2>
          ${
            this.#offered.length
              ? html`<div class="flows" role="radiogroup" aria-labelledby="w">
                    ${this.#offered.map(
                      (each) =>
                        html`<label class="flow"
                          ><input
                            type="radio"
                            name="flow"
                            .checked=${each.name === this.name}
                            @change=${() => void this.#flow(each.name)}
                          /><b>${each.title}</b>
                          <p>${each.description}</p></label
                        >`,
                    )}
                  </div>
                  ${this.#where()}`
              : this.flows
                ? html`<sg-notice kind="warn" heading="No workflow can be used yet"
                    >slidegate is still setting up, or no place to compute was heard of yet. Wait a minute and
                    look again.
                    <button slot="do" @click=${() => void this.#begin()}>
                      ${icon("again", 16)} Look again
                    </button></sg-notice
                  >`
                : nothing
          }
        </section>
        ${
          flow
            ? html`<section class="card" aria-labelledby="s">
                <h2 id="s">Settings</h2>
                ${this.filled ? html`<div class="used"><span>${this.filled === "last" ? "These are the settings that you used last time." : "These are the settings of the earlier run."}</span><button class="quiet" @click=${this.#defaults}>Use the defaults</button></div>` : nothing}
                <sg-form
                  .schema=${flow.schema}
                  .values=${this.values}
                  .refused=${this.refused}
                  .suggest=${{ channel: channels }}
                  @sg-input=${(
                    event: CustomEvent<{ values: Parameters; faults: Record<string, string> }>,
                  ) => {
                    this.values = event.detail.values;
                    this.faults = event.detail.faults;
                  }}
                ></sg-form>
              </section>`
            : nothing
        }
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
                .parameters=${this.values}
                .images=${this.#usable}
                .facts=${this.facts}
                blocked=${Object.keys(this.faults).length ? "Some settings need your attention." : ""}
                @sg-refused=${(event: CustomEvent<{ errors: { name: string; message: string }[] }>) => (this.refused = Object.fromEntries(event.detail.errors.map((each) => [each.name, each.message])))}
              ></sg-preview>
            </section>`
          : nothing
      }
    </div>`;
  }

  #tray(): TemplateResult {
    const second = this.step === "settings";
    const n = this.#usable.size;
    const bad = this.chosen.size - n;
    const reason = this.#reason;
    const size = sizeOf([...this.#usable.keys()].map((image) => this.facts.get(image)));
    return html`<div class="tray" role="region" aria-label="What is chosen">
      <div>
        ${n ? html`<div class="chosen" aria-hidden="true">${[...this.#usable.keys()].slice(0, 4).map((image) => html`<sg-thumb base=${this.base} image=${image}></sg-thumb>`)}</div>` : nothing}
        <div class="facts numbers">
          <b aria-live="polite">${n ? many(n, "image") + " chosen" : "No image chosen yet"}</b
          >${size ? html` <span class="muted">· ${size}</span>` : nothing}
          ${
            n
              ? html`<button
                  class="quiet"
                  @click=${() => {
                    this.showing = true;
                    void this.chosenDialog.show();
                  }}
                >
                  Show
                </button>`
              : nothing
          }
          ${bad ? html`<p class="why">${many(bad, "image")} cannot be used and ${bad === 1 ? "is" : "are"} left out.</p>` : nothing}
          ${
            this.launching
              ? html`<p role="status">${this.launching.words}</p>
                  <sg-progress thin .value=${this.launching.part} label="Launching"></sg-progress>`
              : second
                ? html`<p class=${reason ? "why" : ""} id="why">${reason || forecast(this.estimate)}</p>`
                : nothing
          }
        </div>
        ${
          second
            ? html`<button @click=${() => go(this, "/launch")}>${icon("left", 16)} Images</button>
                <button
                  class="primary large"
                  aria-disabled=${reason ? "true" : "false"}
                  aria-describedby="why"
                  @click=${() => void this.#launch()}
                >
                  ${this.launching ? "Launching…" : "Launch"}
                </button>`
            : html`${n ? html`<button class="quiet" @click=${() => this.#choose(new Map())}>Choose none</button>` : nothing}
                <button
                  class="primary large"
                  ?disabled=${!n}
                  @click=${() => go(this, "/launch?step=settings")}
                >
                  Continue ${icon("right", 16)}
                </button>`
        }
      </div>
    </div>`;
  }

  #dialogs(): TemplateResult {
    const drop = (image: string): void => {
      const chosen = new Map(this.chosen);
      chosen.delete(image);
      this.#choose(chosen);
      if (!chosen.size) this.chosenDialog.close();
    };
    return html`<sg-dialog id="chosen" heading="What is chosen" @close=${() => (this.showing = false)}>
        <ul class="list">
          ${(this.showing ? [...this.chosen] : []).map(([image, name]) => html`<li><sg-thumb base=${this.base} image=${image}></sg-thumb><span>${name || shortName(image)}${this.facts.get(image)?.problem ? html`<br /><span class="small muted">Cannot be used: ${this.facts.get(image)!.problem!.message}</span>` : nothing}</span><button class="quiet" aria-label="Leave out ${name}" @click=${() => drop(image)}>${icon("cross", 16)}</button></li>`)}
        </ul>
        <button
          slot="do"
          @click=${() => {
            this.#choose(new Map());
            this.chosenDialog.close();
          }}
        >
          Choose none
        </button>
        <button slot="do" class="primary" @click=${() => this.chosenDialog.close()}>Done</button>
      </sg-dialog>
      <sg-dialog id="known" heading="You have run exactly this before">
        <p>
          The same images with the same settings
          ${this.known?.outcome === "finished" ? "have been run, and the results are there" : this.known?.outcome === "resumed" ? "are being run right now" : "were run before, and that run goes on now"}.
          Running them again would give the same answer.
        </p>
        <button
          slot="do"
          @click=${() => {
            this.knownDialog.close();
            void this.#launch(true);
          }}
        >
          Run again even so
        </button>
        <button
          slot="do"
          class="primary"
          @click=${() => {
            this.knownDialog.close();
            this.#leave(this.known!.run);
          }}
        >
          Show that run
        </button>
      </sg-dialog>`;
  }

  override render(): TemplateResult {
    return html`${this.#title()}
    ${this.problem ? html`<div class="open">${trouble(this.problem, () => void this.#begin())}</div>` : nothing}
    ${this.failed && !this.failed.errors.length ? html`<div class="open">${trouble(this.failed)}</div>` : nothing}
    ${this.step === "settings" ? this.#settings() : this.#images()} ${this.#tray()}${this.#dialogs()}`;
  }
}
