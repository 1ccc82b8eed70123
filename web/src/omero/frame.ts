// SPDX-License-Identifier: BSD-3-Clause
/**
 * What the elements for OMERO.web share: they reach slidegate through OMERO.web's app, know where its pages are, bring their own
 * look with them, and say in words when they cannot be used.
 */
import { LitElement, css, html, unsafeCSS, type PropertyValues, type TemplateResult } from "lit";
import { property, state } from "lit/decorators.js";
import { Api, Problem, SIGNED_OUT, type Session } from "../api.ts";
import { shared } from "../elements/base.ts";
import { icon } from "../elements/icon.ts";
import { trouble } from "../elements/small.ts";
import { picturesAre } from "../elements/thumb.ts";
import { imagesAre, pagesAre } from "../router.ts";
import tokens from "../tokens.css?inline";

const FRESH_MS = 60_000;
const asked = new Map<Api, { at: number; session: Promise<Session> }>();

/** The colours, sizes and type of our pages, inside of an element; nothing of what surrounds it comes in. */
const look = [
  unsafeCSS(tokens.replaceAll(":root", ":host")),
  css`
    .page {
      all: initial;
      color-scheme: light;
      display: block;
      color: var(--sg-ink);
      font: 400 var(--sg-size-m) / 1.55 var(--sg-font);
      -webkit-font-smoothing: antialiased;
      text-rendering: optimizeLegibility;
      background: var(--sg-ground);
    }
  `,
];

/**
 * Attributes: `base` (of the app's proxy), `csrf-cookie` (its name), `runs-url` and `launch-url` (of the app's pages; beside the
 * proxy where they are not said), `thumbnail-url` and `show-url` (of OMERO.web's small picture of an image, and of the page that
 * shows an image: with 0 for its number).
 */
export abstract class OmeroFrame extends LitElement {
  static override styles = [shared, ...look];

  @property() base = "";
  @property({ attribute: "csrf-cookie" }) csrfCookie = "csrftoken";
  @property({ attribute: "runs-url" }) runsUrl = "";
  @property({ attribute: "launch-url" }) launchUrl = "";
  @property({ attribute: "thumbnail-url" }) thumbnailUrl = "";
  @property({ attribute: "show-url" }) showUrl = "";
  @state() protected session: Session | null = null;
  @state() protected problem: Problem | null = null;
  private known = "";

  protected get api(): Api {
    return Api.at(this.base);
  }

  /** Whether the person may launch Runs at all. */
  protected get launches(): boolean {
    return this.session?.may.includes("runs.launch") ?? false;
  }

  /** What the element is for; drawn as soon as it is known who looks. */
  protected abstract content(): unknown;

  override connectedCallback(): void {
    super.connectedCallback();
    window.addEventListener(SIGNED_OUT, this.#signedOut);
    if (this.hasUpdated && !this.session) void this.begin();
  }

  override disconnectedCallback(): void {
    window.removeEventListener(SIGNED_OUT, this.#signedOut);
    super.disconnectedCallback();
  }

  protected override willUpdate(_changed: PropertyValues): void {
    const places = [
      this.base,
      this.csrfCookie,
      this.runsUrl,
      this.launchUrl,
      this.thumbnailUrl,
      this.showUrl,
    ];
    if (places.join("\n") === this.known) return;
    this.known = places.join("\n");
    this.api.through({ csrfCookie: this.csrfCookie });
    pagesAre((path) => this.addressOf(path));
    imagesAre((image) => (this.showUrl ? numbered(this.showUrl, image) : ""));
    picturesAre((image) => (this.thumbnailUrl ? numbered(this.thumbnailUrl, image) : null));
    void this.begin();
  }

  /** Where a page of ours is in OMERO.web. */
  protected addressOf(path: string): string {
    const beside = this.base.replace(/[^/]*\/*$/, "");
    if (!path.startsWith("/launch")) return `${this.runsUrl || beside}#${path}`;
    const asked = new URLSearchParams(path.split("?")[1]);
    asked.delete("step");
    const where = this.launchUrl || `${beside}launch/`;
    return asked.size ? `${where.split("?")[0]!}?${asked}` : where;
  }

  #signedOut = (): void => {
    asked.delete(this.api);
    this.problem = new Problem(401, "not-signed-in", "You are signed out of OMERO.web.", "");
  };

  /** Ask who looks: once in a while, however many elements there are. */
  protected async begin(): Promise<void> {
    const { api } = this;
    let known = asked.get(api);
    if (!known || performance.now() - known.at > FRESH_MS) {
      known = { at: performance.now(), session: api.session() };
      asked.set(api, known);
    }
    try {
      this.session = await known.session;
      this.problem = null;
    } catch (thrown) {
      asked.delete(api);
      this.problem = Problem.from(thrown);
    }
  }

  #again = (): void => {
    this.problem = null;
    void this.begin();
  };

  override render(): TemplateResult {
    return html`<div class="page">
      ${this.problem ? this.trouble(this.problem) : this.session ? this.content() : this.waits()}
    </div>`;
  }

  protected waits(): unknown {
    return html`<sg-progress label="Asking slidegate"></sg-progress>`;
  }

  /** Why nothing can be shown, and what can be done. */
  protected trouble(problem: Problem): unknown {
    if (problem.status === 401)
      return html`<sg-notice kind="empty" sign="person" heading="You are signed out"
        >Sign in to OMERO.web again; what runs goes on meanwhile.<button
          slot="do"
          class="primary"
          @click=${() => location.reload()}
        >
          ${icon("again", 16)} Sign in again
        </button></sg-notice
      >`;
    return trouble(problem, this.#again);
  }
}

/** An address with the number of an image ("omero:12") in the place of its 0. */
export function numbered(address: string, image: string): string {
  const number = numberOf(image);
  return number ? address.replace(/(^|[/=-])0(?=\/|$|&)/, `$1${number}`) : "";
}

/** The number of an image in OMERO: "omero:12#z=1,t=0" → "12". */
export const numberOf = (image: string): string => /^(?:omero:)?(\d+)(?:#|$)/.exec(image)?.[1] ?? "";
