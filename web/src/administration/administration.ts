// SPDX-License-Identifier: BSD-3-Clause
/** What an administrator looks after: people, the places that compute, and the record of who changed what. */
import { LitElement, css, html, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { shared } from "../elements/base.ts";
import "../elements/tabs.ts";
import "./people.ts";
import "./record.ts";
import "./sites.ts";

const TABS: [string, string][] = [
  ["people", "People"],
  ["sites", "Where it computes"],
  ["record", "Record of changes"],
];

/** `person` is who looks. */
@customElement("sg-administration")
export class SgAdministration extends LitElement {
  static override styles = [
    shared,
    css`
      h1 {
        margin-bottom: var(--sg-4);
      }
    `,
  ];

  @property() base = "";
  @property() person = "";
  @state() private tab = "people";

  #panel(): TemplateResult {
    if (this.tab === "sites") return html`<sg-sites base=${this.base}></sg-sites>`;
    if (this.tab === "record") return html`<sg-record base=${this.base}></sg-record>`;
    return html`<sg-people base=${this.base} person=${this.person}></sg-people>`;
  }

  override render(): TemplateResult {
    return html`<h1>Administration</h1>
      <sg-tabs
        .tabs=${TABS}
        chosen=${this.tab}
        label="What is looked after"
        @sg-tab=${(event: CustomEvent<{ name: string }>) => (this.tab = event.detail.name)}
        >${this.#panel()}</sg-tabs
      >`;
  }
}
