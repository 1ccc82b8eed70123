// SPDX-License-Identifier: BSD-3-Clause
/** How the results page is laid out: the picture takes the room, the panel beside it scrolls by itself. */
import { css } from "lit";

export const style = css`
  :host {
    display: flex;
    flex-direction: column;
    gap: var(--sg-3);
    min-height: 34rem;
    height: var(--sg-results-height, calc(100dvh - 5.9rem));
  }
  header {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: var(--sg-2) var(--sg-4);
  }
  header .names {
    flex: 1 1 16rem;
    min-width: 0;
    display: flex;
    flex-wrap: wrap;
    align-items: baseline;
    gap: 0 var(--sg-3);
  }
  h1 {
    font-size: var(--sg-size-xl);
    overflow-wrap: anywhere;
  }
  header .back {
    display: inline-flex;
    align-items: center;
    gap: var(--sg-1);
    font-size: var(--sg-size-s);
    text-decoration: none;
  }
  header .back:hover {
    text-decoration: underline;
  }
  header .facts {
    font-size: var(--sg-size-s);
    color: var(--sg-ink-2);
  }
  .steps {
    display: flex;
    gap: var(--sg-1);
    align-items: center;
    font-size: var(--sg-size-s);
    color: var(--sg-ink-2);
  }
  .steps .button {
    min-height: 2.25rem;
    padding: 0 0.5rem;
  }
  .steps .button[aria-disabled="true"] {
    color: var(--sg-ink-3);
    border-color: var(--sg-line);
    pointer-events: none;
  }
  .both {
    flex: 1;
    min-height: 0;
    display: grid;
    grid-template-columns: minmax(0, 1fr) 24.5rem;
    gap: var(--sg-3);
  }
  .stage {
    position: relative;
    min-height: 22rem;
    display: grid;
  }
  .stage > sg-slide {
    min-height: 0;
  }
  .waits {
    display: grid;
    place-content: center;
    justify-items: center;
    gap: var(--sg-3);
    background: var(--sg-sunken);
    border-radius: var(--sg-radius);
    padding: var(--sg-6);
    text-align: center;
  }
  .waits sg-progress {
    width: 16rem;
  }

  .tools {
    position: absolute;
    top: var(--sg-3);
    right: var(--sg-3);
    display: grid;
    gap: 1px;
    border-radius: var(--sg-radius-s);
    overflow: hidden;
    box-shadow: 0 1px 6px rgb(0 0 0 / 50%);
  }
  .tools button {
    min-height: 2.375rem;
    width: 2.375rem;
    padding: 0;
    border: 0;
    border-radius: 0;
    background: rgb(24 27 35 / 88%);
    color: #fff;
  }
  .tools button:hover {
    background: rgb(58 63 78 / 95%) !important;
  }
  .tools button[aria-pressed="true"] {
    background: #ffd23c !important;
    color: #14161c;
  }
  .tools button:focus-visible {
    outline: 3px solid #c3bfff;
    outline-offset: -3px;
  }

  .legend {
    position: absolute;
    top: var(--sg-3);
    left: var(--sg-3);
    max-width: calc(100% - 6rem);
    display: flex;
    flex-wrap: wrap;
    gap: var(--sg-1);
    pointer-events: none;
  }
  .legend button {
    pointer-events: auto;
    min-height: 1.875rem;
    padding: 0 0.625rem 0 0.5rem;
    border: 0;
    border-radius: 99px;
    background: rgb(24 27 35 / 88%);
    color: #fff;
    font-size: var(--sg-size-xs);
  }
  .legend button:hover {
    background: rgb(58 63 78 / 95%) !important;
  }
  .legend button[aria-pressed="false"] {
    color: #a9afbd;
  }
  .legend svg.dot {
    width: 0.75rem;
    height: 0.75rem;
  }
  .legend [aria-pressed="false"] span {
    text-decoration: line-through;
  }
  .legend button:focus-visible {
    outline: 3px solid #c3bfff;
  }

  .readout {
    position: absolute;
    left: var(--sg-3);
    bottom: var(--sg-3);
    max-width: calc(100% - 13rem);
    padding: 0.4375rem 0.75rem;
    border-radius: var(--sg-radius-s);
    background: rgb(8 9 12 / 72%);
    color: #fff;
    font-size: var(--sg-size-xs);
    line-height: 1.45;
    font-variant-numeric: tabular-nums;
    pointer-events: none;
  }
  .readout b {
    font-weight: 600;
  }
  .readout i {
    display: inline-block;
    width: 0.5rem;
    height: 0.5rem;
    border-radius: 50%;
    margin-right: 0.3125rem;
  }
  .readout .values {
    display: flex;
    flex-wrap: wrap;
    gap: 0 0.875rem;
  }
  .readout .faint {
    color: #b8bdca;
  }
  .density {
    position: absolute;
    right: 1rem;
    bottom: 4.25rem;
    padding: 0.4375rem 0.625rem;
    border-radius: var(--sg-radius-s);
    background: rgb(8 9 12 / 62%);
    color: #fff;
    font-size: var(--sg-size-xs);
    pointer-events: none;
  }
  .density i {
    display: block;
    width: 9.5rem;
    height: 0.5rem;
    border-radius: 2px;
    margin: 0.25rem 0 0.125rem;
  }
  .density div {
    display: flex;
    justify-content: space-between;
  }
  .lost {
    position: absolute;
    top: 3.5rem;
    left: 50%;
    transform: translateX(-50%);
    max-width: 30rem;
    width: calc(100% - 8rem);
  }

  aside {
    min-height: 0;
    display: flex;
    flex-direction: column;
    background: var(--sg-surface);
    border: 1px solid var(--sg-line);
    border-radius: var(--sg-radius);
    overflow: hidden;
  }
  [role="tablist"] {
    display: flex;
    border-bottom: 1px solid var(--sg-line);
    padding: 0 var(--sg-2);
  }
  [role="tab"] {
    border: 0;
    background: none !important;
    border-radius: 0;
    padding: 0 var(--sg-3);
    min-height: 2.75rem;
    color: var(--sg-ink-2);
    border-bottom: 3px solid transparent;
    border-top: 3px solid transparent;
  }
  [role="tab"][aria-selected="true"] {
    color: var(--sg-ink);
    border-bottom-color: var(--sg-accent);
  }
  [role="tab"]:focus-visible {
    outline-offset: -4px;
  }
  [role="tabpanel"] {
    position: relative;
    flex: 1;
    overflow-y: auto;
    padding: var(--sg-4);
  }
  section + section {
    margin-top: var(--sg-5);
    padding-top: var(--sg-4);
    border-top: 1px solid var(--sg-line);
  }
  .pick {
    display: flex;
    align-items: center;
    gap: var(--sg-2);
    margin-bottom: var(--sg-2);
  }
  .pick select {
    min-height: 2.125rem;
    padding: 0.125rem 0.5rem;
    font-size: var(--sg-size-s);
    min-width: 0;
  }
  .pick .log {
    display: flex;
    align-items: center;
    gap: 0.375rem;
    font-weight: 400;
    color: var(--sg-ink-2);
    white-space: nowrap;
  }
  .pick .axis {
    width: 3.25rem;
    flex: none;
    font-weight: 400;
    color: var(--sg-ink-2);
  }
  .count {
    display: flex;
    align-items: baseline;
    flex-wrap: wrap;
    gap: 0 var(--sg-2);
    margin-bottom: var(--sg-2);
  }
  .count b {
    font-size: var(--sg-size-xl);
    font-weight: 640;
    letter-spacing: -0.012em;
    font-variant-numeric: tabular-nums;
  }
  .chips {
    display: flex;
    flex-wrap: wrap;
    gap: var(--sg-1);
    margin-bottom: var(--sg-3);
  }
  .chips button {
    min-height: 1.75rem;
    padding: 0 0.5rem 0 0.625rem;
    border-radius: 99px;
    font-size: var(--sg-size-xs);
    background: var(--sg-accent-soft);
    color: var(--sg-accent-ink);
    border-color: transparent;
    text-align: left;
  }
  table.means {
    width: 100%;
    border-collapse: collapse;
    margin-bottom: var(--sg-4);
    font-size: var(--sg-size-s);
    font-variant-numeric: tabular-nums;
  }
  table.means th,
  table.means td {
    padding: 0.1875rem 0;
    font-weight: 400;
    text-align: right;
  }
  table.means th:first-child {
    text-align: left;
    color: var(--sg-ink-2);
  }
  table.means thead th {
    font-size: var(--sg-size-xs);
    color: var(--sg-ink-2);
    border-bottom: 1px solid var(--sg-line);
  }
  table.means td:nth-child(2):not(:last-child) {
    font-weight: 620;
  }
  .hint {
    font-size: var(--sg-size-s);
    color: var(--sg-ink-2);
    margin-bottom: var(--sg-3);
  }
  .one {
    background: var(--sg-sunken);
    border-radius: var(--sg-radius-s);
    padding: var(--sg-3);
    margin-bottom: var(--sg-4);
  }
  .one .row {
    justify-content: space-between;
    flex-wrap: nowrap;
    gap: var(--sg-2);
  }
  .one dl {
    display: grid;
    grid-template-columns: 1fr auto;
    gap: 0.125rem var(--sg-3);
    font-size: var(--sg-size-s);
    margin-top: var(--sg-1);
  }
  .one dt {
    color: var(--sg-ink-2);
  }
  .one dd {
    text-align: right;
    font-variant-numeric: tabular-nums;
  }
  .one button {
    min-height: 1.75rem;
    padding: 0 0.5rem;
  }
  .actions {
    display: grid;
    gap: var(--sg-2);
    margin-bottom: var(--sg-4);
  }

  @media (max-width: 62rem) {
    :host {
      height: auto;
    }
    .both {
      grid-template-columns: minmax(0, 1fr);
      grid-template-rows: minmax(26rem, 60dvh) auto;
    }
  }
`;

/** The picture: always on dark ground. */
export const slideStyle = css`
  :host {
    position: relative;
    background: #08090c;
    border-radius: var(--sg-radius);
    overflow: hidden;
    contain: strict;
  }
  .view,
  .over {
    position: absolute;
    inset: 0;
  }
  .over {
    width: 100%;
    height: 100%;
    pointer-events: none;
  }
  .view .openseadragon-canvas:focus-visible {
    outline: none;
  }
  :host(:focus-within) .ring {
    position: absolute;
    inset: 0;
    border-radius: inherit;
    pointer-events: none;
  }
  .view:has(:focus-visible) + .over + .ring {
    box-shadow: inset 0 0 0 3px var(--sg-focus);
  }
  .bar {
    position: absolute;
    right: 1rem;
    bottom: 1rem;
    pointer-events: none;
    color: #fff;
    font: 600 var(--sg-size-xs) / 1 var(--sg-font);
    text-align: center;
    padding: 0.5rem 0.625rem;
    border-radius: var(--sg-radius-s);
    background: rgb(8 9 12 / 62%);
  }
  .bar i {
    display: block;
    height: 6px;
    margin-top: 0.375rem;
    border: 2px solid #fff;
    border-top: 0;
  }
  :host(.choosing) .view {
    cursor: crosshair;
  }
`;
