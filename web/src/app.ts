// SPDX-License-Identifier: BSD-3-Clause
/** The frame around the pages: who is here, where to go, and the page that the address means. */
import { LitElement, css, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { Api, Problem, SIGNED_OUT, type Session } from "./api.ts";
import { shared } from "./elements/base.ts";
import { icon } from "./elements/icon.ts";
import "./elements/small.ts";
import { trouble } from "./elements/small.ts";
import { placeOf, type Place } from "./router.ts";
import { isDark, SCHEME, setTheme } from "./theme.ts";
import "./account/sign-in.ts";

/** Each page is fetched when it is first shown. */
const LOAD: Record<string, () => Promise<unknown>> = {
  launch: () => import("./launch/launch.ts"),
  runs: () => import("./runs/runs.ts"),
  run: () => import("./run/run.ts"),
  results: () => import("./results/index.ts"),
  account: () => import("./account/account.ts"),
  administration: () => import("./administration/administration.ts"),
};

const TITLES: Record<string, string> = {
  launch: "New run",
  runs: "Runs",
  run: "Run",
  results: "Results",
  account: "Your account",
  administration: "Administration",
  missing: "Not found",
  home: "slidegate",
};

@customElement("sg-app")
export class SgApp extends LitElement {
  static override styles = [
    shared,
    css`
      :host {
        min-height: 100dvh;
        display: grid;
        grid-template: auto 1fr auto / minmax(0, 1fr);
      }
      .skip {
        position: absolute;
        left: var(--sg-4);
        top: -4rem;
        z-index: 20;
        background: var(--sg-accent);
        color: var(--sg-on-accent);
        padding: var(--sg-2) var(--sg-4);
        border-radius: var(--sg-radius-s);
      }
      .skip:focus {
        top: var(--sg-2);
      }
      header {
        position: sticky;
        top: 0;
        z-index: 10;
        background: color-mix(in srgb, var(--sg-surface) 92%, transparent);
        backdrop-filter: blur(10px);
        border-bottom: 1px solid var(--sg-line);
      }
      .bar {
        max-width: var(--sg-width);
        margin: 0 auto;
        padding: 0 var(--sg-5);
        min-height: 3.75rem;
        display: flex;
        align-items: center;
        gap: var(--sg-5);
      }
      .bar.wide {
        max-width: none;
      }
      .brand {
        display: inline-flex;
        align-items: center;
        gap: 0.625rem;
        color: var(--sg-ink);
        text-decoration: none;
        font-weight: 680;
        font-size: var(--sg-size-l);
        letter-spacing: -0.02em;
      }
      nav {
        display: flex;
        gap: var(--sg-1);
        align-self: stretch;
      }
      nav a {
        display: inline-flex;
        align-items: center;
        padding: 0 var(--sg-3);
        color: var(--sg-ink-2);
        text-decoration: none;
        font-weight: 550;
        font-size: var(--sg-size-s);
        border-bottom: 2px solid transparent;
        border-top: 2px solid transparent;
        white-space: nowrap;
      }
      nav a:hover {
        color: var(--sg-ink);
      }
      nav a[aria-current="page"] {
        color: var(--sg-ink);
        border-bottom-color: var(--sg-accent);
      }
      nav a:focus-visible {
        outline-offset: -3px;
      }
      .end {
        margin-left: auto;
        display: flex;
        align-items: center;
        gap: var(--sg-1);
      }
      .end button,
      .end a {
        min-height: 2.25rem;
        color: var(--sg-ink-2);
        text-decoration: none;
      }
      .end button {
        width: 2.25rem;
        padding: 0;
      }
      .end a {
        display: inline-flex;
        align-items: center;
        gap: var(--sg-2);
        padding: 0 var(--sg-2);
        font-size: var(--sg-size-s);
        font-weight: 550;
        border-radius: var(--sg-radius-s);
      }
      .end a:hover {
        background: var(--sg-sunken);
        color: var(--sg-ink);
      }
      main {
        width: 100%;
        max-width: var(--sg-width);
        margin: 0 auto;
        padding: var(--sg-6) var(--sg-5) var(--sg-8);
      }
      main:focus {
        outline: none;
      }
      main.wide {
        max-width: none;
        padding: var(--sg-4) var(--sg-5) var(--sg-4);
      }
      footer {
        height: 0;
      }
      @media (max-width: 42rem) {
        .bar {
          padding: 0 var(--sg-3);
          gap: var(--sg-2);
        }
        .brand span,
        .end a span {
          display: none;
        }
        nav a {
          padding: 0 var(--sg-2);
        }
        main {
          padding: var(--sg-5) var(--sg-4) var(--sg-7);
        }
      }
    `,
  ];

  @property() base = "";
  @state() private session: Session | null = null;
  @state() private known = false;
  @state() private problem: Problem | null = null;
  @state() private place: Place = placeOf(location.pathname);
  @state() private query = location.search;
  @state() private ready: string | null = null;
  @state() private dark = isDark();
  @state() private said = "";

  private get api(): Api {
    return Api.at(this.base);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    window.addEventListener("popstate", this.#moved);
    window.addEventListener(SIGNED_OUT, this.#signedOut);
    SCHEME.addEventListener("change", this.#themed);
    this.addEventListener("click", this.#clicked);
    this.addEventListener("sg-go", this.#go);
    this.addEventListener("sg-title", this.#titled);
    void this.#begin();
  }

  override disconnectedCallback(): void {
    window.removeEventListener("popstate", this.#moved);
    window.removeEventListener(SIGNED_OUT, this.#signedOut);
    SCHEME.removeEventListener("change", this.#themed);
    super.disconnectedCallback();
  }

  /** Whether the person may launch Runs at all. */
  get #launches(): boolean {
    return this.session?.may.includes("runs.launch") ?? false;
  }

  async #begin(): Promise<void> {
    this.problem = null;
    try {
      this.session = await this.api.session();
    } catch (thrown) {
      const problem = Problem.from(thrown);
      if (problem.status !== 401) this.problem = problem;
    }
    this.known = true;
    await this.#home();
  }

  /** "/" means the runs where there are some, and a new one where there are none. */
  async #home(): Promise<void> {
    if (this.place.page !== "home" || !this.session) return;
    let to = "/runs";
    try {
      const page = await this.api.runs({ limit: 1 });
      if (page.items.length === 0 && this.#launches) to = "/launch";
    } catch {
      // the page of runs says what is wrong
    }
    history.replaceState(null, "", to);
    this.#moved();
  }

  #signedOut = (): void => {
    this.session = null;
  };

  /** The computer changed between light and dark. */
  #themed = (): void => {
    this.dark = isDark();
  };

  #moved = (): void => {
    const before = JSON.stringify(this.place);
    this.place = placeOf(location.pathname);
    this.query = location.search;
    if (JSON.stringify(this.place) !== before) {
      this.said = TITLES[this.place.page] ?? "";
      void this.updateComplete.then(() => {
        window.scrollTo(0, 0);
        this.renderRoot.querySelector<HTMLElement>("main")?.focus({ preventScroll: true });
      });
    }
    if (this.place.page === "home") void this.#home();
  };

  #visit(path: string): void {
    history.pushState(null, "", path);
    this.#moved();
  }

  #go = (event: Event): void => {
    this.#visit((event as CustomEvent<{ path: string }>).detail.path);
  };

  #titled = (event: Event): void => {
    document.title = `${(event as CustomEvent<{ title: string }>).detail.title} · slidegate`;
  };

  /** Links to pages of ours do not load the page anew. */
  #clicked = (event: MouseEvent): void => {
    if (
      event.defaultPrevented ||
      event.button !== 0 ||
      event.ctrlKey ||
      event.metaKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    const link = event
      .composedPath()
      .find(
        (node): node is HTMLAnchorElement => node instanceof HTMLAnchorElement && node.hasAttribute("href"),
      );
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (placeOf(link.pathname).page === "missing" || link.getAttribute("href")!.startsWith("#")) return;
    event.preventDefault();
    this.#visit(link.pathname + link.search);
  };

  override willUpdate(changed: PropertyValues): void {
    if (changed.has("place")) {
      const page = this.place.page;
      document.title = page === "home" ? "slidegate" : `${TITLES[page]} · slidegate`;
      if (LOAD[page]) {
        this.ready = null;
        LOAD[page]().then(
          () => (this.ready = page),
          () =>
            (this.problem = new Problem(
              0,
              "no-page",
              "This page could not be loaded.",
              "The server may have been updated, or does not answer. Load the page again.",
            )),
        );
      }
    }
  }

  #page(): TemplateResult | typeof nothing {
    const { place } = this;
    if (place.page === "missing") {
      return html`<sg-notice kind="empty" sign="search" heading="There is no page here.">
        The address may be mistyped. <a slot="do" class="button" href="/runs">Go to your runs</a>
      </sg-notice>`;
    }
    if (this.ready !== place.page) return nothing;
    switch (place.page) {
      case "launch":
        return html`<sg-launch
          base=${this.base}
          from=${new URLSearchParams(this.query).get("from") ?? ""}
          only=${new URLSearchParams(this.query).get("only") ?? ""}
          step=${new URLSearchParams(this.query).get("step") ?? ""}
        ></sg-launch>`;
      case "runs":
        return html`<sg-runs
          ?launches=${this.#launches}
          ?alone=${this.session!.embedded}
          base=${this.base}
          person=${this.session!.person}
          group=${this.session!.group}
        ></sg-runs>`;
      case "run":
        return html`<sg-run base=${this.base} run=${place.run}></sg-run>`;
      case "results":
        return html`<sg-results base=${this.base} run=${place.run} number=${place.number}></sg-results>`;
      case "account":
        return html`<sg-account base=${this.base} @sg-left=${this.#signedOut}></sg-account>`;
      case "administration":
        return html`<sg-administration base=${this.base} person=${this.session!.person}></sg-administration>`;
      default:
        return nothing;
    }
  }

  #toggle(): void {
    this.dark = !this.dark;
    setTheme(this.dark ? "dark" : "light");
  }

  override render(): TemplateResult {
    const page = this.place.page;
    const link = (path: string, title: string, here: boolean): TemplateResult =>
      html`<a href=${path} aria-current=${here ? "page" : nothing}>${title}</a>`;
    return html`
      <a class="skip" href="#main" @click=${this.#skip}>Skip to the page</a>
      <header>
        <div class="bar ${page === "results" ? "wide" : ""}">
          <a class="brand" href="/" aria-label="slidegate, first page">${mark}<span>slidegate</span></a>
          ${
            this.session
              ? html`<nav aria-label="Pages">
                  ${this.#launches ? link("/launch", "New run", page === "launch") : nothing}
                  ${link("/runs", "Runs", page === "runs" || page === "run" || page === "results")}
                  ${this.session.role === "administrator" && !this.session.embedded ? link("/administration", "Administration", page === "administration") : nothing}
                </nav>`
              : nothing
          }
          <div class="end">
            <button
              class="quiet"
              @click=${this.#toggle}
              aria-label=${this.dark ? "Use light colours" : "Use dark colours"}
              title=${this.dark ? "Use light colours" : "Use dark colours"}
            >
              ${icon(this.dark ? "sun" : "moon")}
            </button>
            ${this.session ? html`<a href="/account" aria-current=${page === "account" ? "page" : nothing} aria-label="Your account: ${this.session.person}">${icon("person")}<span>${this.session.person}</span></a>` : nothing}
          </div>
        </div>
      </header>
      <main id="main" tabindex="-1" class=${page === "results" ? "wide" : ""}>
        ${
          this.problem
            ? trouble(this.problem, () => void this.#begin())
            : !this.known
              ? nothing
              : this.session
                ? this.#page()
                : html`<sg-sign-in base=${this.base} @sg-signed-in=${this.#begin}></sg-sign-in>`
        }
      </main>
      <footer><span class="sr" aria-live="polite">${this.said}</span></footer>
    `;
  }

  #skip(event: Event): void {
    event.preventDefault();
    this.renderRoot.querySelector<HTMLElement>("main")?.focus();
  }
}

const mark = html`<svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
  <rect width="32" height="32" rx="8" fill="#4a3fa3" />
  <path d="M7 24V13a9 9 0 0 1 18 0v11" fill="none" stroke="#fff" stroke-width="2.6" stroke-linecap="round" />
  <ellipse cx="16" cy="17.5" rx="4.2" ry="5.2" fill="#ffb3c7" transform="rotate(24 16 17.5)" />
</svg>`;
