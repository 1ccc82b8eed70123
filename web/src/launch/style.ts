// SPDX-License-Identifier: BSD-3-Clause
/** How the page looks on which a Run is launched. */
import { css } from "lit";

export const style = css`
  :host {
    display: flex;
    flex-direction: column;
    min-height: calc(100dvh - 3.75rem - var(--sg-6) - var(--sg-8));
  }
  .title {
    display: grid;
    gap: var(--sg-1);
    margin-bottom: var(--sg-5);
  }
  .steps {
    display: flex;
    gap: var(--sg-2);
    align-items: center;
    font-size: var(--sg-size-s);
    color: var(--sg-ink-2);
    margin-bottom: var(--sg-3);
  }
  .steps li {
    display: inline-flex;
    gap: var(--sg-2);
    align-items: center;
  }
  .steps li[aria-current] {
    color: var(--sg-ink);
    font-weight: 600;
  }
  .steps i {
    font-style: normal;
    display: inline-grid;
    place-items: center;
    width: 1.5rem;
    height: 1.5rem;
    border-radius: 99px;
    border: 1px solid var(--sg-line-strong);
    font-size: var(--sg-size-xs);
  }
  .steps [aria-current] i {
    background: var(--sg-accent);
    border-color: var(--sg-accent);
    color: var(--sg-on-accent);
  }
  .two {
    display: grid;
    grid-template-columns: minmax(0, 1fr) minmax(0, 27rem);
    gap: var(--sg-5);
    align-items: start;
  }
  .card {
    display: grid;
    gap: var(--sg-4);
    min-width: 0;
  }
  .card + .card {
    margin-top: var(--sg-5);
  }
  .flows {
    display: grid;
    gap: var(--sg-3);
  }
  .flow {
    display: grid;
    grid-template-columns: auto 1fr;
    gap: 0 var(--sg-3);
    padding: var(--sg-4);
    border: 1px solid var(--sg-line-strong);
    border-radius: var(--sg-radius);
    cursor: pointer;
    font-weight: 400;
    font-size: var(--sg-size-m);
  }
  .flow:has(:checked) {
    border-color: var(--sg-accent);
    box-shadow: 0 0 0 1px var(--sg-accent);
    background: var(--sg-accent-soft);
  }
  .flow:has(:focus-visible) {
    outline: 3px solid var(--sg-focus);
    outline-offset: 2px;
  }
  .flow input {
    margin-top: 0.1875rem;
  }
  .flow b {
    font-weight: 620;
  }
  .flow p {
    font-size: var(--sg-size-s);
    color: var(--sg-ink-2);
    grid-column: 2;
    line-height: 1.45;
    margin-top: var(--sg-1);
  }
  .regions {
    display: grid;
    grid-template-columns: auto 1fr;
    gap: 0 var(--sg-3);
    font-weight: 400;
    cursor: pointer;
  }
  .regions input {
    margin-top: 0.125rem;
  }
  .regions b {
    font-weight: 580;
  }
  .regions span {
    grid-column: 2;
  }
  .used {
    display: flex;
    flex-wrap: wrap;
    gap: var(--sg-1) var(--sg-3);
    align-items: center;
    justify-content: space-between;
    font-size: var(--sg-size-s);
    color: var(--sg-ink-2);
    background: var(--sg-sunken);
    border-radius: var(--sg-radius-s);
    padding: var(--sg-2) var(--sg-2) var(--sg-2) var(--sg-4);
  }
  .used button {
    min-height: 2rem;
  }
  sg-tray {
    position: sticky;
    bottom: 0;
    z-index: 5;
    margin: auto calc(-1 * var(--sg-5)) calc(-1 * var(--sg-8));
    padding: var(--sg-5) var(--sg-5) var(--sg-4);
  }
  .where {
    display: grid;
    gap: var(--sg-2);
  }
  .open {
    margin-bottom: var(--sg-5);
  }
  @media (max-width: 60rem) {
    .two {
      grid-template-columns: minmax(0, 1fr);
    }
  }
  @media (max-width: 42rem) {
    sg-tray {
      margin-inline: calc(-1 * var(--sg-4));
      padding-inline: var(--sg-3);
    }
  }
`;
