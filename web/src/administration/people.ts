// SPDX-License-Identifier: BSD-3-Clause
/** Who may sign in, and as what. */
import { LitElement, css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { Api, Problem, type Person, type Session } from "../api.ts";
import { shared } from "../elements/base.ts";
import "../elements/dialog.ts";
import type { SgDialog } from "../elements/dialog.ts";
import { icon } from "../elements/icon.ts";
import { trouble } from "../elements/small.ts";
import { table } from "../elements/table.ts";
import { ROLES } from "../words.ts";

/** `person` is who looks. */
@customElement("sg-people")
export class SgPeople extends LitElement {
  static override styles = [
    shared,
    table,
    css`
      .head {
        display: flex;
        flex-wrap: wrap;
        gap: var(--sg-3);
        justify-content: space-between;
        align-items: center;
        margin-bottom: var(--sg-5);
      }
      td:last-child {
        text-align: right;
      }
      .off {
        color: var(--sg-ink-3);
      }
      form {
        display: grid;
        gap: var(--sg-4);
      }
      form > div {
        display: grid;
        gap: var(--sg-1);
      }
      .check {
        display: inline-flex;
        gap: var(--sg-2);
        align-items: center;
        font-weight: 500;
      }
    `,
  ];

  @property() base = "";
  @property() person = "";
  @state() private people: Person[] | null = null;
  @state() private problem: Problem | null = null;
  @state() private failed: Problem | null = null;
  @state() private edited: Person | null = null;
  @query("sg-dialog") private dialog!: SgDialog;
  @query("form") private form!: HTMLFormElement;

  override connectedCallback(): void {
    super.connectedCallback();
    void this.#load();
  }

  async #load(): Promise<void> {
    try {
      this.people = await Api.at(this.base).people();
      this.problem = null;
    } catch (thrown) {
      this.problem = Problem.from(thrown);
    }
  }

  async #open(person: Person | null): Promise<void> {
    this.edited = person;
    this.failed = null;
    await this.updateComplete;
    this.form.reset();
    await this.dialog.show();
  }

  async #save(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const data = new FormData(this.form);
    const text = (name: string): string => String(data.get(name) ?? "").trim();
    const password = String(data.get("password") ?? "");
    const api = Api.at(this.base);
    try {
      const said = { role: text("role"), group: text("group"), ...(password ? { password } : {}) };
      if (this.edited)
        await api.changePerson(this.edited.person, { ...said, active: data.get("active") !== null });
      else await api.addPerson({ person: text("person"), ...said });
      this.dialog.close();
      await this.#load();
    } catch (thrown) {
      this.failed = Problem.from(thrown);
    }
  }

  #fields(): TemplateResult {
    const { edited } = this;
    return html`<form id="f" @submit=${this.#save}>
      ${trouble(this.failed)}
      ${edited ? nothing : html`<div><label for="person">Name to sign in with</label><input id="person" name="person" required maxlength="100" autocomplete="off" autocapitalize="none" spellcheck="false" /></div>`}
      <div>
        <label for="role">Role</label
        ><select id="role" name="role">
          ${(Object.keys(ROLES) as Session["role"][]).map((role) => html`<option value=${role} ?selected=${role === (edited?.role ?? "researcher")}>${ROLES[role][0]}: ${ROLES[role][1]}</option>`)}
        </select>
      </div>
      <div>
        <label for="group">Group</label
        ><input
          id="group"
          name="group"
          maxlength="100"
          value=${edited?.group ?? ""}
          autocomplete="off"
        /><span class="muted small">People of one group see each other's runs.</span>
      </div>
      <div>
        <label for="password">${edited ? "New password" : "Password"}</label
        ><input
          id="password"
          name="password"
          type="password"
          minlength="10"
          maxlength="200"
          autocomplete="new-password"
          ?required=${!edited}
        /><span class="muted small"
          >At least 10 characters.${edited ? " Leave it empty to keep the present one." : ""}</span
        >
      </div>
      ${edited ? html`<label class="check"><input type="checkbox" name="active" ?checked=${edited.active} ?disabled=${edited.person === this.person} /> May sign in</label>${edited.person === this.person ? html`<input type="hidden" name="active" value="on" />` : nothing}` : nothing}
    </form>`;
  }

  override render(): TemplateResult {
    return html`<div class="head">
        <p class="muted">Who may sign in, and what they may do. Runs stay when somebody leaves.</p>
        <button class="primary" @click=${() => this.#open(null)}>${icon("plus", 18)} Add a person</button>
      </div>
      ${trouble(this.problem, () => void this.#load())}
      ${
        this.people
          ? html`<div class="card">
              <table>
                <thead>
                  <tr>
                    <th scope="col">Name</th>
                    <th scope="col">Role</th>
                    <th scope="col">Group</th>
                    <th scope="col">Signing in</th>
                    <th><span class="sr">Change</span></th>
                  </tr>
                </thead>
                <tbody>
                  ${this.people.map(
                    (each) =>
                      html`<tr class=${each.active ? "" : "off"}>
                        <td>
                          <b>${each.person}</b
                          >${each.person === this.person ? html` <span class="muted small">(you)</span>` : nothing}
                        </td>
                        <td>${ROLES[each.role][0]}</td>
                        <td>${each.group || html`<span class="muted">none</span>`}</td>
                        <td class="small">
                          ${!each.active ? "Not allowed" : each.has_password ? "With a password" : "No password yet"}
                        </td>
                        <td>
                          <button
                            class="quiet"
                            aria-label="Change ${each.person}"
                            @click=${() => this.#open(each)}
                          >
                            Change
                          </button>
                        </td>
                      </tr>`,
                  )}
                </tbody>
              </table>
            </div>`
          : nothing
      }
      <sg-dialog heading=${this.edited ? this.edited.person : "Add a person"}
        >${this.#fields()}
        <button slot="do" @click=${() => this.dialog.close()}>Close</button>
        <button slot="do" class="primary" @click=${() => this.form.requestSubmit()}>
          ${this.edited ? "Save" : "Add"}
        </button></sg-dialog
      >`;
  }
}
