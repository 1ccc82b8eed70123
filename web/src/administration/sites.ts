// SPDX-License-Identifier: BSD-3-Clause
/** The places that compute: whether they answer, what they have to do, what they offer. */
import { LitElement, css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { Api, Problem, type Site, type Workflow } from "../api.ts";
import { shared } from "../elements/base.ts";
import { trouble } from "../elements/small.ts";
import { table } from "../elements/table.ts";
import { ago, count, exactly } from "../words.ts";

const PAUSE = 15_000;

@customElement("sg-sites")
export class SgSites extends LitElement {
  static override styles = [
    shared,
    table,
    css`
      .trouble {
        color: var(--sg-warn);
        font-size: var(--sg-size-s);
        max-width: 28rem;
      }
      .number {
        text-align: right;
        padding-right: var(--sg-6);
      }
    `,
  ];

  @property() base = "";
  @state() private sites: Site[] | null = null;
  @state() private flows: Workflow[] = [];
  @state() private problem: Problem | null = null;
  private timer: ReturnType<typeof setInterval> | undefined;

  override connectedCallback(): void {
    super.connectedCallback();
    void this.#load();
    this.timer = setInterval(() => void this.#load(), PAUSE);
  }

  override disconnectedCallback(): void {
    clearInterval(this.timer);
    super.disconnectedCallback();
  }

  async #load(): Promise<void> {
    const api = Api.at(this.base);
    try {
      [this.sites, this.flows] = await Promise.all([api.sites(), api.workflows()]);
      this.problem = null;
    } catch (thrown) {
      this.problem = Problem.from(thrown);
    }
  }

  #row = (site: Site): TemplateResult => {
    const flows = this.flows.filter((flow) => flow.site === site.site);
    return html`<tr>
      <td>
        <b>${site.title || site.site}</b>
        ${site.trouble ? html`<div class="trouble">${site.trouble}</div>` : nothing}
      </td>
      <td>
        <sg-state
          tone=${site.trouble ? "mixed" : site.heard_at ? "good" : "idle"}
          word=${site.trouble ? "No answer" : site.heard_at ? "Answers" : "Not asked yet"}
        ></sg-state>
      </td>
      <td class="small nowrap" title=${site.heard_at ? exactly(site.heard_at) : nothing}>
        ${site.heard_at ? ago(site.heard_at) : "never"}
      </td>
      <td class="number numbers">${count(site.queued)}</td>
      <td class="number numbers">${count(site.running)}</td>
      <td class="small">
        ${flows.length ? flows.map((flow) => html`<div>${flow.title} <span class="muted">${flow.version}</span></div>`) : html`<span class="muted">none</span>`}
      </td>
    </tr>`;
  };

  override render(): TemplateResult {
    const { sites } = this;
    return html`${trouble(this.problem, () => void this.#load())}
    ${
      sites?.length === 0
        ? html`<sg-notice kind="empty" sign="site" heading="No place to compute yet"
            >A cluster is added with the command <code>slidegate site add</code>.</sg-notice
          >`
        : sites
          ? html`<div class="card" tabindex="0" role="region" aria-label="Where it computes">
              <table>
                <thead>
                  <tr>
                    <th scope="col">Place</th>
                    <th scope="col">State</th>
                    <th scope="col">Last heard</th>
                    <th scope="col" class="number">Images waiting</th>
                    <th scope="col" class="number">Being computed</th>
                    <th scope="col">Workflows</th>
                  </tr>
                </thead>
                <tbody>
                  ${sites.map(this.#row)}
                </tbody>
              </table>
            </div>`
          : nothing
    }`;
  }
}
