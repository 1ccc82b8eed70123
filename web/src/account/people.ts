// SPDX-License-Identifier: BSD-3-Clause
import { LitElement, html, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { shared } from "../elements/base.ts";

@customElement("sg-people")
export class SgPeople extends LitElement {
  static override styles = [shared];
  @property() base = "";
  @property() run = "";

  override render(): TemplateResult {
    return html`<h1>people</h1>`;
  }
}
