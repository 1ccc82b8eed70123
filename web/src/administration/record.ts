// SPDX-License-Identifier: BSD-3-Clause
/** The record of who changed what, and what they were refused. */
import { LitElement, css, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { Api, type Note } from "../api.ts";
import { shared } from "../elements/base.ts";
import { trouble } from "../elements/small.ts";
import { table } from "../elements/table.ts";
import { Listed } from "../listed.ts";
import { exactly, moment, sentence } from "../words.ts";

const WORDS: Record<string, string> = {
  "session.begin": "Signed in",
  "session.end": "Signed out",
  "password.change": "Changed the own password",
  "images.see": "Looked into images",
  "runs.launch": "Launched a run",
  "runs.cancel": "Cancelled a run",
  "runs.retry": "Tried a run again",
  "runs.delete": "Deleted a run",
  "tokens.use": "Changed the keys for programs",
  "webhooks.use": "Changed the addresses that are told",
  "people.change": "Changed an account",
};

@customElement("sg-record")
export class SgRecord extends LitElement {
  static override styles = [
    shared,
    table,
    css`
      .who {
        display: flex;
        gap: var(--sg-3);
        align-items: center;
        margin-bottom: var(--sg-4);
      }
      .who select {
        width: auto;
        min-width: 12rem;
      }
      .refused {
        color: var(--sg-bad);
      }
      td {
        font-size: var(--sg-size-s);
        overflow-wrap: anywhere;
      }
      .more {
        margin-top: var(--sg-5);
        text-align: center;
      }
    `,
  ];

  @property() base = "";
  @state() private person = "";
  @state() private people: string[] = [];
  private readonly list = new Listed<Note>(
    this,
    (before) => Api.at(this.base).record(this.person, before),
    (note) => note.id,
  );

  override connectedCallback(): void {
    super.connectedCallback();
    Api.at(this.base)
      .people()
      .then(
        (people) => (this.people = people.map((each) => each.person)),
        () => undefined,
      );
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has("person")) void this.list.begin();
  }

  #row = (note: Note): TemplateResult =>
    html`<tr>
      <td class="numbers nowrap" title=${exactly(note.at)}>${moment(note.at)}</td>
      <td>${note.person || html`<span class="muted">nobody known</span>`}</td>
      <td>
        ${WORDS[note.action] ?? note.action}${note.target ? html` <span class="muted">${note.target}</span>` : nothing}
      </td>
      <td class=${note.outcome === "done" ? "" : "refused"}>${sentence(note.outcome)}</td>
      <td class="muted numbers">${note.address}</td>
    </tr>`;

  override render(): TemplateResult {
    const { items, next, problem } = this.list;
    return html`<div class="who">
        <label for="who" class="nowrap">Changes of</label>
        <select
          id="who"
          @change=${(event: Event) => (this.person = (event.target as HTMLSelectElement).value)}
        >
          <option value="">everybody</option>
          ${this.people.map((each) => html`<option>${each}</option>`)}
        </select>
      </div>
      ${trouble(problem, () => void this.list.load())}
      ${
        items?.length
          ? html`<div class="card" tabindex="0" role="region" aria-label="Record of changes">
              <table>
                <thead>
                  <tr>
                    <th scope="col">When</th>
                    <th scope="col">Who</th>
                    <th scope="col">What</th>
                    <th scope="col">Outcome</th>
                    <th scope="col">From</th>
                  </tr>
                </thead>
                <tbody>
                  ${items.map(this.#row)}
                </tbody>
              </table>
            </div>`
          : items
            ? html`<sg-notice kind="empty" sign="log" heading="Nothing was changed so far"></sg-notice>`
            : nothing
      }
      ${next !== null ? html`<div class="more"><button @click=${() => void this.list.more()}>Show what was before</button></div>` : nothing}`;
  }
}
