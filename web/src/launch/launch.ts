// SPDX-License-Identifier: BSD-3-Clause
/** Choosing images, a workflow and its settings, and launching: two steps, with what is chosen always in view. */
import { html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import type { Task } from "../api.ts";
import { icon } from "../elements/icon.ts";
import { trouble } from "../elements/small.ts";
import { entitle, go, paths } from "../router.ts";
import "./browser.ts";
import { keep, kept } from "./chosen.ts";
import { forecast } from "./forecast.ts";
import { LaunchPage } from "./page.ts";
import { stated } from "./stated.ts";
import "./tray.ts";

/** `step` "settings" shows the second step. Asks to go on with `sg-go`. */
@customElement("sg-launch")
export class SgLaunch extends LaunchPage {
  @property() step = "";
  @state() private at = "";
  @state() private chosen: ReadonlyMap<string, string> = kept();

  override connectedCallback(): void {
    super.connectedCallback();
    this.facts.want(this.chosen.keys());
  }

  protected override take(tasks: Task[]): void {
    this.#choose(new Map(tasks.map((task) => [task.image, task.name])));
  }

  #choose(chosen: ReadonlyMap<string, string>): void {
    this.chosen = chosen;
    this.facts.want(chosen.keys());
    keep(chosen);
  }

  protected override get usable(): ReadonlyMap<string, string> {
    return new Map([...this.chosen].filter(([image]) => !this.facts.get(image)?.problem));
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has("step") && changed.get("step") !== undefined) window.scrollTo(0, 0);
    if (this.step === "settings" && this.choice.settled) this.estimateSoon();
    if (this.hasUpdated && changed.has("step"))
      entitle(this, this.step === "settings" ? "Settings" : "Choose images");
  }

  protected override updated(changed: PropertyValues): void {
    if (changed.get("step") !== undefined && changed.has("step"))
      this.renderRoot.querySelector<HTMLElement>("h1")?.focus();
  }

  protected override leave(run: string): void {
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
      @sg-chosen=${this.#chose}
    ></sg-browser>`;
  }

  #chose(event: CustomEvent<{ chosen: Map<string, string> }>): void {
    this.#choose(event.detail.chosen);
  }

  override render(): TemplateResult {
    const second = this.step === "settings";
    const { workflow, values } = this.choice;
    const said = stated(this.usable, (image) => this.facts.get(image), workflow?.schema, values);
    return html`${this.#title()}
      ${this.problem && second ? html`<div class="open">${trouble(this.problem, () => void this.begin())}</div>` : nothing}
      ${this.failed && !this.failed.errors.length ? html`<div class="open">${trouble(this.failed)}</div>` : nothing}
      ${second ? this.settings(said) : this.#images()}
      <sg-tray
        base=${this.base}
        .chosen=${this.chosen}
        .facts=${this.facts}
        ?settings=${second}
        reason=${this.reason}
        doubt=${said.doubt}
        forecast=${forecast(this.estimate)}
        .launching=${this.launching}
        @sg-chosen=${this.#chose}
        @sg-launch=${() => void this.launch()}
      ></sg-tray>
      ${this.knownBefore()}`;
  }
}
