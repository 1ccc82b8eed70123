// SPDX-License-Identifier: BSD-3-Clause
/** One image of a Run: a row of fixed height. */
import { LitElement, css, html, nothing, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import type { Run, Task } from "../api.ts";
import { shared } from "../elements/base.ts";
import { icon } from "../elements/icon.ts";
import "../elements/thumb.ts";
import { address, imageAddress, paths } from "../router.ts";
import { count, ended, headline, inTitles, left, meaning, sentence, taskWord } from "../words.ts";

/** Fires `sg-log` and `sg-watch` with {task}. */
@customElement("sg-task-row")
export class SgTaskRow extends LitElement {
  static override shadowRootOptions = { ...LitElement.shadowRootOptions, delegatesFocus: true };
  static override styles = [
    shared,
    css`
      :host {
        height: 100%;
      }
      .row {
        height: 100%;
        display: grid;
        grid-template-columns: 3.25rem minmax(0, 1fr) auto auto;
        gap: 0 var(--sg-4);
        align-items: center;
        padding: 0 var(--sg-4);
        border-bottom: 1px solid var(--sg-line);
      }
      .row.watched {
        background: var(--sg-accent-soft);
      }
      sg-thumb {
        width: 3.25rem;
        height: 3.25rem;
      }
      .what {
        min-width: 0;
        display: grid;
        gap: 0.125rem;
      }
      .name {
        font-weight: 580;
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      a.name {
        color: inherit;
        text-decoration: none;
      }
      a.name:hover {
        text-decoration: underline;
      }
      .words {
        font-size: var(--sg-size-s);
        color: var(--sg-ink-2);
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
        line-height: 1.4;
      }
      .bad {
        color: var(--sg-bad);
      }
      .warn {
        color: var(--sg-warn);
      }
      .line {
        display: flex;
        gap: var(--sg-3);
        align-items: center;
      }
      .line sg-progress {
        flex: 1 1 2rem;
        max-width: 16rem;
      }
      .line .words {
        flex: none;
      }
      .watched sg-progress {
        --sg-sunken: var(--sg-surface);
      }
      .do {
        display: flex;
        gap: var(--sg-1);
        min-width: 11rem;
        justify-content: flex-end;
      }
      .do button,
      .do .button {
        min-height: 2.25rem;
        padding-inline: var(--sg-3);
      }
      @media (max-width: 48rem) {
        .row {
          grid-template-columns: 2.75rem minmax(0, 1fr) auto;
          gap: 0 var(--sg-3);
          padding: 0 var(--sg-2);
        }
        sg-thumb {
          width: 2.75rem;
          height: 2.75rem;
        }
        sg-state {
          display: none;
        }
        .do {
          min-width: 0;
        }
        .do span {
          display: none;
        }
      }
    `,
  ];

  @property() base = "";
  @property() run = "";
  @property({ attribute: false }) task!: Task;
  /** The Run that it belongs to, for what its workflow calls things. */
  @property({ attribute: false }) of: Pick<Run, "outputs" | "schema"> | null = null;
  @property({ type: Boolean }) watched = false;
  /** There is no other image to watch. */
  @property({ type: Boolean }) alone = false;

  #words(): TemplateResult {
    const { task } = this;
    if (task.error && task.state === "failed")
      return html`<span class="words bad" title=${inTitles(task.error.message, this.of?.schema)}
        >${inTitles(task.error.message, this.of?.schema)}</span
      >`;
    if (task.trouble && !ended(task.state))
      return html`<span class="words warn" title=${task.trouble}>${task.trouble}</span>`;
    const busy = task.state === "running" && (task.total ?? 0) > 1;
    if (busy) {
      const words = [
        `${count(task.done ?? 0)} of ${count(task.total!)} parts`,
        task.left_seconds ? left(task.left_seconds) : "",
      ]
        .filter(Boolean)
        .join(" · ");
      return html`<span class="line"
        ><sg-progress
          thin
          .value=${(task.done ?? 0) / task.total!}
          label="Progress of ${task.name}"
        ></sg-progress
        ><span class="words numbers">${words}</span></span
      >`;
    }
    const found = task.state === "succeeded" ? headline(task.summary, this.of?.outputs) : "";
    return html`<span class="words numbers" title=${task.waits ?? nothing}
      >${found || sentence(task.waits ?? "") || meaning(task.state)}</span
    >`;
  }

  #tell(name: string): void {
    this.dispatchEvent(new CustomEvent(name, { detail: { task: this.task }, bubbles: true, composed: true }));
  }

  override render(): TemplateResult {
    const { task } = this;
    const [word, tone] = taskWord(task.state, task.wanted);
    const done = task.state === "succeeded" && task.published;
    const elsewhere = imageAddress(task.image);
    const results = address(paths.results(this.run, task.number));
    return html`<div class="row ${this.watched ? "watched" : ""}">
      <sg-thumb base=${this.base} image=${task.image}></sg-thumb>
      <div class="what">
        ${done ? html`<a class="name" href=${results} tabindex="-1" title=${task.name}>${task.name}</a>` : html`<span class="name" title=${task.name}>${task.name}</span>`}${this.#words()}
      </div>
      <sg-state tone=${tone} word=${word}></sg-state>
      <div class="do">
        ${task.state === "running" && !this.alone ? html`<button class="quiet" aria-pressed=${this.watched ? "true" : "false"} aria-label="Watch ${task.name}" @click=${() => this.#tell("sg-watch")}>${icon("eye", 18)}<span>Watch</span></button>` : nothing}
        ${done ? html`<a class="button" href=${results} aria-label="Results of ${task.name}">Results</a>` : nothing}
        ${elsewhere ? html`<a class="button quiet" href=${elsewhere} aria-label="${task.name} in OMERO">${icon("image", 18)}<span>In OMERO</span></a>` : nothing}
        <button
          class="quiet"
          aria-label="${task.state === "failed" ? "Why" : "Log"}: ${task.name}"
          @click=${() => this.#tell("sg-log")}
        >
          ${icon(task.state === "failed" ? "alert" : "log", 18)}<span
            >${task.state === "failed" ? "Why?" : "Log"}</span
          >
        </button>
      </div>
    </div>`;
  }
}
