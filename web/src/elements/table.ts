// SPDX-License-Identifier: BSD-3-Clause
/** How tables look that are read line by line. */
import { css } from "lit";

export const table = css`
  .card {
    padding: var(--sg-2) var(--sg-5);
    overflow-x: auto;
  }
  table {
    width: 100%;
    border-collapse: collapse;
  }
  th {
    text-align: left;
    font-size: var(--sg-size-xs);
    font-weight: 580;
    color: var(--sg-ink-2);
    padding: var(--sg-3) var(--sg-4) var(--sg-2) 0;
  }
  td {
    padding: var(--sg-3) var(--sg-4) var(--sg-3) 0;
    border-top: 1px solid var(--sg-line);
    vertical-align: baseline;
  }
  th:last-child,
  td:last-child {
    padding-right: 0;
  }
  @media (max-width: 42rem) {
    table {
      min-width: 38rem;
    }
  }
`;
