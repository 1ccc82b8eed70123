// SPDX-License-Identifier: BSD-3-Clause
/** What a workflow wrote while it worked on one image: the end of its log, in a drawer, as it grows. */
import { LitElement, css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { Api, Problem, pausing, type Run, type Task } from "../api.ts";
import { shared } from "../elements/base.ts";
import "../elements/dialog.ts";
import type { SgDialog } from "../elements/dialog.ts";
import { trouble } from "../elements/small.ts";
import { address, paths } from "../router.ts";
import { exactly, inTitles, moment, sentence, taskWord } from "../words.ts";

@customElement("sg-run-log")
export class SgLog extends LitElement {
  static override styles = [
    shared,
    css`
      pre {
        margin: 0;
        padding: var(--sg-4);
        background: var(--sg-sunken);
        border-radius: var(--sg-radius-s);
        font-size: 0.8125rem;
        line-height: 1.55;
        white-space: pre-wrap;
        overflow-wrap: anywhere;
      }
      .state {
        display: flex;
        gap: var(--sg-3);
        align-items: center;
        flex-wrap: wrap;
      }
    `,
  ];

  @property() base = "";
  @property() run = "";
  @property({ attribute: false }) of: Run | null = null;
  @state() private task: Task | null = null;
  @state() private text: string | null = null;
  @state() private problem: Problem | null = null;
  @query("sg-dialog") private dialog!: SgDialog;
  private asking: AbortController | null = null;

  async open(task: Task): Promise<void> {
    this.task = task;
    this.text = null;
    this.problem = null;
    await this.updateComplete;
    await this.dialog.show();
    await this.#follow(task);
  }

  async #follow(task: Task): Promise<void> {
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    try {
      for (;;) {
        const { text, ended } = await Api.at(this.base).log(this.run, task.number, asking.signal);
        this.text = text;
        this.problem = null;
        if (ended) return;
        await pausing(3000, asking.signal);
      }
    } catch (thrown) {
      if (!asking.signal.aborted) this.problem = Problem.from(thrown);
    }
  }

  override disconnectedCallback(): void {
    this.asking?.abort();
    super.disconnectedCallback();
  }

  /** The way to other settings, which may be what is needed. */
  #mend(): TemplateResult | typeof nothing {
    if (!this.of?.may.includes("again")) return nothing;
    const to = address(paths.again(this.run, "failed"));
    const one = this.of.counts.failed === 1;
    return html`<a slot="do" class="button" href=${to}
      >Run ${one ? "this image" : "the failed images"} with other settings</a
    >`;
  }

  override render(): TemplateResult {
    const { task } = this;
    const [word, tone] = task ? taskWord(task.state, task.wanted) : ["", "idle" as const];
    const text = this.text ?? (task?.error?.log.length ? task.error.log.join("\n") : null);
    return html`<sg-dialog drawer heading=${task?.name ?? ""} @close=${() => this.asking?.abort()}>
      ${
        task
          ? html`<div class="state">
                <sg-state tone=${tone} word=${word}></sg-state
                >${task.state === "succeeded" || task.error ? nothing : html`<span class="muted small">${sentence(task.waits ?? task.words)}</span>`}
              </div>
              ${task.error ? html`<sg-notice kind="bad" heading="Why it failed">${inTitles(task.error.message, this.of?.schema)}${this.#mend()}</sg-notice>` : nothing}
              ${task.trouble && !task.error ? html`<sg-notice kind="warn">${task.trouble}</sg-notice>` : nothing}
              ${task.confirmed_at ? html`<p class="muted small">Try ${task.attempt}. Last heard <time title=${exactly(task.confirmed_at)}>${moment(task.confirmed_at)}</time>.</p>` : nothing}
              <h3>Log</h3>
              ${this.problem && !text ? (this.problem.status === 404 || this.problem.status === 409 ? html`<p class="muted">${this.problem.detail || "Nothing has been written so far."}</p>` : trouble(this.problem, () => void this.#follow(task))) : nothing}
              ${text ? html`<pre tabindex="0" aria-label="Log">${text}</pre>` : this.text === "" ? html`<p class="muted">Nothing has been written so far.</p>` : this.problem ? nothing : html`<sg-progress label="Fetching the log"></sg-progress>`}`
          : nothing
      }
    </sg-dialog>`;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-run-log": SgLog;
  }
}
