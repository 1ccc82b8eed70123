// SPDX-License-Identifier: BSD-3-Clause
/** What all elements share: type, links, buttons, fields, focus. Everything else is each element's own. */
import { css } from "lit";

export const shared = css`
  :host {
    display: block;
  }
  :host([hidden]),
  [hidden] {
    display: none !important;
  }
  *,
  *::before,
  *::after {
    box-sizing: border-box;
  }
  h1,
  h2,
  h3,
  p,
  ul,
  ol,
  dl,
  dd,
  figure {
    margin: 0;
    padding: 0;
  }
  ul,
  ol {
    list-style: none;
  }
  h1 {
    font-size: var(--sg-size-xxl);
    line-height: 1.2;
    font-weight: 650;
    letter-spacing: -0.02em;
    text-wrap: balance;
  }
  h2 {
    font-size: var(--sg-size-xl);
    line-height: 1.3;
    font-weight: 620;
    letter-spacing: -0.012em;
  }
  h3 {
    font-size: var(--sg-size-m);
    line-height: 1.4;
    font-weight: 620;
  }
  h2 + p {
    margin-top: var(--sg-1);
  }
  a {
    color: var(--sg-accent-ink);
    text-underline-offset: 0.18em;
    text-decoration-thickness: 1px;
  }
  a:hover {
    text-decoration-thickness: 2px;
  }
  .muted {
    color: var(--sg-ink-2);
  }
  .small {
    font-size: var(--sg-size-s);
  }
  .numbers {
    font-variant-numeric: tabular-nums;
  }
  .nowrap {
    white-space: nowrap;
  }
  code,
  pre {
    font-family: var(--sg-mono);
    font-size: 0.9em;
  }
  :focus {
    outline: none;
  }
  :focus-visible {
    outline: 3px solid var(--sg-focus);
    outline-offset: 2px;
    border-radius: var(--sg-radius-s);
  }
  .sr {
    position: absolute;
    width: 1px;
    height: 1px;
    margin: -1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  .row {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: var(--sg-3);
  }
  .spread {
    justify-content: space-between;
  }
  .stack {
    display: grid;
    gap: var(--sg-4);
  }
  .card {
    background: var(--sg-surface);
    border: 1px solid var(--sg-line);
    border-radius: var(--sg-radius);
    padding: var(--sg-5);
    box-shadow: var(--sg-shadow);
  }

  button,
  .button {
    display: inline-flex;
    align-items: center;
    justify-content: center;
    gap: var(--sg-2);
    min-height: 2.5rem;
    padding: 0.375rem 1rem;
    border-radius: var(--sg-radius-s);
    border: 1px solid var(--sg-line-strong);
    background: var(--sg-surface);
    color: var(--sg-ink);
    font: 550 var(--sg-size-s) / 1.4 var(--sg-font);
    text-decoration: none;
    cursor: pointer;
    user-select: none;
    transition:
      background-color 120ms,
      border-color 120ms;
  }
  button:hover:not(:disabled, [aria-disabled="true"]),
  .button:hover {
    background: var(--sg-sunken);
  }
  button:disabled,
  button[aria-disabled="true"] {
    cursor: not-allowed;
    color: var(--sg-ink-3);
    border-color: var(--sg-line);
    background: var(--sg-sunken);
  }
  button.primary,
  .button.primary {
    background: var(--sg-accent);
    border-color: var(--sg-accent);
    color: var(--sg-on-accent);
  }
  button.primary:hover:not(:disabled, [aria-disabled="true"]),
  .button.primary:hover {
    background: var(--sg-accent-hover);
    border-color: var(--sg-accent-hover);
  }
  button.primary:disabled,
  button.primary[aria-disabled="true"] {
    background: var(--sg-sunken);
    border-color: var(--sg-line);
    color: var(--sg-ink-3);
  }
  button.danger {
    color: var(--sg-bad);
    border-color: currentcolor;
  }
  button.danger:hover:not(:disabled) {
    background: var(--sg-bad-soft);
  }
  button.danger.primary {
    background: var(--sg-bad);
    color: light-dark(#fff, #2b0a0e);
    border-color: var(--sg-bad);
  }
  button.quiet,
  .button.quiet {
    border-color: transparent;
    background: transparent;
    color: var(--sg-accent-ink);
    padding-inline: 0.625rem;
  }
  button.quiet:hover:not(:disabled),
  .button.quiet:hover {
    background: var(--sg-accent-soft);
  }
  button.quiet.danger {
    color: var(--sg-bad);
  }
  button.large {
    min-height: 3rem;
    padding-inline: 1.5rem;
    font-size: var(--sg-size-m);
  }

  /* One of a few, side by side. */
  .switch {
    display: inline-flex;
    width: fit-content;
    border: 1px solid var(--sg-line-strong);
    border-radius: var(--sg-radius-s);
    overflow: hidden;
    background: var(--sg-surface);
  }
  .switch button {
    border: 0;
    border-radius: 0;
    min-height: 2.25rem;
  }
  .switch button[aria-pressed="true"] {
    background: var(--sg-accent-soft);
    color: var(--sg-accent-ink);
  }
  .switch button:focus-visible {
    outline-offset: -3px;
  }

  /* A field with a sign in it, to find something by its name. */
  .find {
    position: relative;
  }
  .find input[type="search"] {
    min-height: 2.375rem;
    padding-left: 2.25rem;
    font-size: var(--sg-size-s);
  }
  .find svg {
    position: absolute;
    left: 0.625rem;
    top: 0.5625rem;
    color: var(--sg-ink-3);
    pointer-events: none;
  }

  label,
  .label {
    font-weight: 580;
    font-size: var(--sg-size-s);
  }
  input:not([type="checkbox"], [type="radio"], [type="range"]),
  select,
  textarea {
    font: 400 var(--sg-size-m) / 1.4 var(--sg-font);
    color: var(--sg-ink);
    background: var(--sg-surface);
    border: 1px solid var(--sg-line-strong);
    border-radius: var(--sg-radius-s);
    padding: 0.4375rem 0.75rem;
    min-height: 2.5rem;
    width: 100%;
  }
  input[type="range"] {
    accent-color: var(--sg-accent);
    width: 100%;
  }
  input[type="checkbox"],
  input[type="radio"] {
    accent-color: var(--sg-accent);
    width: 1.125rem;
    height: 1.125rem;
    margin: 0;
  }
  input::placeholder {
    color: var(--sg-ink-3);
    opacity: 1;
  }
  [aria-invalid="true"]:not([type="range"]) {
    border-color: var(--sg-bad) !important;
    box-shadow: 0 0 0 1px var(--sg-bad);
  }

  @media (prefers-reduced-motion: reduce) {
    *,
    *::before,
    *::after {
      animation-duration: 1ms !important;
      animation-iteration-count: 1 !important;
      transition-duration: 1ms !important;
    }
  }
`;
