// SPDX-License-Identifier: BSD-3-Clause
/** What was done with one image, beside it in OMERO.web: narrow, and as it goes on. */
import { css, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { Problem, pausing, type ImageTask } from "../api.ts";
import { icon } from "../elements/icon.ts";
import "../elements/small.ts";
import { address, paths } from "../router.ts";
import { count, ended, exactly, left, meaning, moment, sentence, taskWord } from "../words.ts";
import { OmeroFrame, numberOf } from "./frame.ts";

const LIVE_MS = 3000;
const QUIET_MS = 10_000;
const FEW = 4;

/** `image` is "omero:12". Asks again every few seconds, as long as it is seen. */
@customElement("sg-omero-image")
export class SgOmeroImage extends OmeroFrame {
  static override styles = [
    ...OmeroFrame.styles,
    css`
      .page {
        padding: var(--sg-3);
        font-size: var(--sg-size-s);
        background: none;
      }
      .stack {
        gap: var(--sg-3);
      }
      h2 {
        font-size: var(--sg-size-m);
      }
      .button.primary {
        width: 100%;
      }
      li {
        display: grid;
        gap: var(--sg-1);
        padding: var(--sg-3);
        background: var(--sg-surface);
        border: 1px solid var(--sg-line);
        border-radius: var(--sg-radius-s);
        overflow-wrap: anywhere;
      }
      .top {
        display: flex;
        flex-wrap: wrap;
        gap: var(--sg-1) var(--sg-2);
        justify-content: space-between;
        align-items: center;
      }
      .bad {
        color: var(--sg-bad);
      }
      .warn {
        color: var(--sg-warn);
      }
      ul {
        display: grid;
        gap: var(--sg-2);
      }
      .links {
        display: flex;
        flex-wrap: wrap;
        gap: var(--sg-1) var(--sg-4);
        font-weight: 550;
      }
    `,
  ];

  @property() image = "";
  @state() private tasks: ImageTask[] | null = null;
  /** It could not be asked when it was asked last. */
  @state() private lost: Problem | null = null;
  @state() private all = false;
  private seen = false;
  private asking: AbortController | null = null;
  private readonly eye = new IntersectionObserver((entries) => {
    this.seen = entries.at(-1)!.isIntersecting;
    this.#follow();
  });

  override connectedCallback(): void {
    super.connectedCallback();
    this.eye.observe(this);
    document.addEventListener("visibilitychange", this.#follow);
  }

  override disconnectedCallback(): void {
    this.eye.disconnect();
    this.seen = false;
    this.asking?.abort();
    document.removeEventListener("visibilitychange", this.#follow);
    super.disconnectedCallback();
  }

  protected override willUpdate(changed: PropertyValues): void {
    super.willUpdate(changed);
    if (!changed.has("image")) return;
    this.tasks = this.lost = null;
    this.all = false;
    this.#follow();
  }

  /** Ask now and then, while somebody looks. */
  readonly #follow = (): void => {
    this.asking?.abort();
    if (!this.seen || document.hidden || !this.isConnected || !numberOf(this.image)) return;
    const asking = (this.asking = new AbortController());
    void this.#ask(asking.signal).catch(() => undefined);
  };

  async #ask(signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        this.tasks = await this.api.imageTasks([`omero:${numberOf(this.image)}`], signal);
        this.lost = null;
      } catch (thrown) {
        if (signal.aborted) return;
        this.lost = Problem.from(thrown);
        if (!this.lost.passes) return;
      }
      const live = this.tasks?.some((task) => !ended(task.state));
      await pausing(live ? LIVE_MS : QUIET_MS, signal);
    }
  }

  #state(task: ImageTask): unknown {
    if (task.state === "failed" && task.error) return html`<p class="bad">${task.error.message}</p>`;
    if (task.trouble && !ended(task.state)) return html`<p class="warn">${task.trouble}</p>`;
    if (task.state === "running" && (task.total ?? 0) > 1) {
      const part = (task.done ?? 0) / task.total!;
      const words = [
        `${count(task.done ?? 0)} of ${count(task.total!)} parts`,
        task.left_seconds ? left(task.left_seconds) : "",
      ];
      return html`<sg-progress thin .value=${part} label="Progress of ${task.title}"></sg-progress>
        <p class="muted numbers">${words.filter(Boolean).join(" · ")}</p>`;
    }
    const words = sentence(task.waits ?? "") || meaning(task.state);
    return words ? html`<p class="muted numbers">${words}</p>` : nothing;
  }

  #task = (task: ImageTask): TemplateResult => {
    const [word, tone] = taskWord(task.state, task.wanted);
    const mine = task.person === this.session?.person;
    return html`<li>
      <div class="top">
        <b>${task.title || task.workflow}</b><sg-state tone=${tone} word=${word}></sg-state>
      </div>
      ${this.#state(task)}
      <p class="muted">
        <time title=${exactly(task.at)}>${sentence(moment(task.at))}</time
        >${mine ? nothing : `, by ${task.person}`}
      </p>
      <div class="links">
        ${link(address(paths.run(task.run)), "Run", task)}
        ${task.state === "succeeded" && task.published ? link(address(paths.results(task.run, task.number)), "Results", task) : nothing}
      </div>
    </li>`;
  };

  #launch(): unknown {
    if (!this.launches) return nothing;
    const there = this.launchUrl.includes("?")
      ? this.launchUrl
      : `${address("/launch")}?image=${numberOf(this.image)}`;
    return html`<a class="button primary" href=${there} target="_blank" rel="noopener"
      >${icon("plus", 16)} Run on cluster</a
    >`;
  }

  #list(): unknown {
    if (this.lost && !this.tasks) return this.trouble(this.lost);
    if (!this.tasks) return this.waits();
    if (!this.tasks.length) return html`<p class="muted">Nothing was run on this image so far.</p>`;
    const shown = this.all ? this.tasks : this.tasks.slice(0, FEW);
    const more = this.tasks.length - shown.length;
    return html`<ul aria-label="Runs of this image, newest first">
        ${shown.map(this.#task)}
      </ul>
      ${more ? html`<button class="quiet" @click=${() => (this.all = true)}>Show ${count(more)} older</button>` : nothing}
      ${this.lost ? html`<p class="warn" role="status">slidegate does not answer at the moment: this is what was last heard.</p>` : nothing}`;
  }

  protected override content(): TemplateResult {
    return html`<section class="stack" aria-labelledby="h">
      <h2 id="h">Runs of this image</h2>
      ${this.#launch()} ${this.#list()}
    </section>`;
  }
}

/** Opens beside OMERO.web's tree, which keeps what is selected in it. */
const link = (to: string, words: string, of: ImageTask): TemplateResult =>
  html`<a href=${to} target="_blank" rel="noopener" aria-label="${words} of ${moment(of.at)}">${words}</a>`;

declare global {
  interface HTMLElementTagNameMap {
    "sg-omero-image": SgOmeroImage;
  }
}
