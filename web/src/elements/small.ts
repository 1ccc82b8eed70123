// SPDX-License-Identifier: BSD-3-Clause
/** Small elements: the state of something, progress, and notices for what is empty, wrong or on its way. */
import { LitElement, css, html, nothing, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { styled } from "./styled.ts";
import type { Tone } from "../words.ts";
import { shared } from "./base.ts";
import { icon, type Sign } from "./icon.ts";

const TONES: Record<Tone, Sign> = {
  idle: "clock",
  busy: "dots",
  good: "check",
  bad: "alert",
  off: "stop",
  mixed: "alert",
};

/** A state as a word with a sign: colour is never the only difference. */
@customElement("sg-state")
export class SgState extends LitElement {
  static override styles = [
    shared,
    css`
      :host {
        display: inline-flex;
      }
      span {
        display: inline-flex;
        align-items: center;
        gap: 0.375rem;
        padding: 0.125rem 0.625rem 0.125rem 0.5rem;
        border-radius: 99px;
        font-size: var(--sg-size-xs);
        font-weight: 580;
        line-height: 1.5rem;
        white-space: nowrap;
        background: var(--sg-sunken);
        color: var(--sg-ink-2);
      }
      .busy {
        background: var(--sg-accent-soft);
        color: var(--sg-accent-ink);
      }
      .good {
        background: var(--sg-good-soft);
        color: var(--sg-good);
      }
      .bad {
        background: var(--sg-bad-soft);
        color: var(--sg-bad);
      }
      .mixed {
        background: var(--sg-warn-soft);
        color: var(--sg-warn);
      }
    `,
  ];

  @property() tone: Tone = "idle";
  @property() word = "";

  override render(): TemplateResult {
    return html`<span class=${this.tone}>${icon(TONES[this.tone], 14)}${this.word}</span>`;
  }
}

/**
 * A bar: `value` from 0 to 1, or null where nobody can know. `label` is what is measured, for those who cannot see it. `parts`
 * divide it by how things ended.
 */
@customElement("sg-progress")
export class SgProgress extends LitElement {
  static override styles = [
    shared,
    css`
      div {
        height: 0.5rem;
        border-radius: 99px;
        background: var(--sg-sunken);
        overflow: hidden;
        display: flex;
        gap: 2px;
      }
      :host([thin]) div {
        height: 0.25rem;
      }
      i {
        display: block;
        height: 100%;
        background: var(--sg-accent);
        transition: width 400ms;
      }
      i:only-of-type {
        border-radius: inherit;
      }
      i.good {
        background: var(--sg-good);
      }
      i.bad {
        background: var(--sg-bad);
      }
      i.off {
        background: var(--sg-line-strong);
      }
      i.mixed {
        background: var(--sg-warn);
      }
      i.unknown {
        width: 30%;
        animation: to-and-fro 1.8s ease-in-out infinite alternate;
      }
      @keyframes to-and-fro {
        from {
          margin-left: 0;
        }
        to {
          margin-left: 70%;
        }
      }
      @media (prefers-reduced-motion: reduce) {
        i.unknown {
          margin-left: 35%;
          animation: none;
        }
      }
    `,
  ];

  @property({ type: Number }) value: number | null = null;
  @property() label = "Progress";
  @property() tone: Tone = "busy";
  @property({ attribute: false }) parts: readonly [Tone, number][] | null = null;

  override render(): TemplateResult {
    const parts = this.parts?.filter(([, share]) => share > 0);
    const known = this.value !== null && Number.isFinite(this.value);
    const percent = known ? Math.round(Math.min(1, Math.max(0, this.value!)) * 1000) / 10 : 0;
    return html`<div
      role="progressbar"
      aria-label=${this.label}
      aria-valuemin="0"
      aria-valuemax="100"
      aria-valuenow=${known ? Math.round(percent) : nothing}
    >
      ${
        parts
          ? parts.map(
              ([tone, share]) =>
                html`<i class=${tone} ${styled({ width: `${(100 * share).toFixed(2)}%` })}></i>`,
            )
          : html`<i
              class=${known ? this.tone : "unknown"}
              ${styled(known ? { width: `${percent}%` } : {})}
            ></i>`
      }
    </div>`;
  }
}

/** What is empty, wrong, or on its way: a heading, an explanation (slot), and what to do (slot "do"). */
@customElement("sg-notice")
export class SgNotice extends LitElement {
  static override styles = [
    shared,
    css`
      section {
        display: grid;
        grid-template-columns: auto 1fr;
        gap: var(--sg-2) var(--sg-3);
        padding: var(--sg-4) var(--sg-5);
        border-radius: var(--sg-radius);
        background: var(--sg-sunken);
        color: var(--sg-ink);
      }
      section > svg {
        margin-top: 0.125rem;
        color: var(--sg-ink-2);
      }
      .bad {
        background: var(--sg-bad-soft);
      }
      .bad > svg {
        color: var(--sg-bad);
      }
      .warn {
        background: var(--sg-warn-soft);
      }
      .warn > svg {
        color: var(--sg-warn);
      }
      .good {
        background: var(--sg-good-soft);
      }
      .good > svg {
        color: var(--sg-good);
      }
      .empty {
        display: flex;
        flex-direction: column;
        align-items: center;
        text-align: center;
        background: none;
        padding: var(--sg-7) var(--sg-5);
        gap: var(--sg-3);
      }
      .empty > svg {
        width: 2.5rem;
        height: 2.5rem;
        color: var(--sg-ink-3);
      }
      .empty .body {
        max-width: 34rem;
      }
      .title {
        font-weight: 620;
      }
      .empty .title {
        font-size: var(--sg-size-l);
      }
      .body {
        display: grid;
        gap: var(--sg-2);
        overflow-wrap: anywhere;
      }
      .empty .body {
        justify-items: center;
      }
      .body ::slotted(p) {
        margin: 0;
      }
      .do {
        display: flex;
        flex-wrap: wrap;
        gap: var(--sg-2);
        margin-top: var(--sg-1);
      }
      .what:not(.has),
      .do:not(.has) {
        display: none;
      }
      .empty .do {
        justify-content: center;
        margin-top: var(--sg-3);
      }
      .empty .what {
        color: var(--sg-ink-2);
      }
    `,
  ];

  @property() kind: "empty" | "bad" | "warn" | "good" | "info" = "info";
  @property() heading = "";
  @property() sign: Sign | "" = "";

  override render(): TemplateResult {
    const signs: Record<string, Sign> = {
      empty: "image",
      bad: "alert",
      warn: "alert",
      good: "check",
      info: "clock",
    };
    return html`<section class=${this.kind} role=${this.kind === "bad" ? "alert" : nothing}>
      ${icon(this.sign || signs[this.kind] || "clock")}
      <div class="body">
        ${this.heading ? html`<div class="title">${this.heading}</div>` : nothing}
        <div class="what"><slot @slotchange=${this.#said}></slot></div>
        <div class="do"><slot name="do" @slotchange=${this.#filled}></slot></div>
      </div>
    </section>`;
  }

  #said(event: Event): void {
    const slot = event.target as HTMLSlotElement;
    const words = slot.assignedNodes().some((node) => node.textContent?.trim());
    slot.parentElement!.classList.toggle("has", words);
  }

  #filled(event: Event): void {
    const slot = event.target as HTMLSlotElement;
    slot.parentElement!.classList.toggle("has", slot.assignedElements().length > 0);
  }
}

/** A sentence about a Problem (or about anything that was thrown), with a way to try again. */
export function trouble(
  problem: { status: number; title: string; detail: string; request?: string | null } | null,
  again?: () => void,
): TemplateResult | typeof nothing {
  if (!problem) return nothing;
  const own = problem.status === 0 || problem.status === 409; // said by these pages, or of a wish: the title says something
  const short = problem.detail.length < 140;
  return html`<sg-notice
    kind="bad"
    heading=${own || !problem.detail || !short ? problem.title : problem.detail}
  >
    ${own || !short ? problem.detail : nothing}
    ${problem.status >= 500 && problem.request ? html`<p class="small">If it happens again, tell whoever runs slidegate here this number: <code>${problem.request}</code></p>` : nothing}
    ${again ? html`<button slot="do" @click=${again}>${icon("again", 16)} Try again</button>` : nothing}
  </sg-notice>`;
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-state": SgState;
    "sg-progress": SgProgress;
    "sg-notice": SgNotice;
  }
}
