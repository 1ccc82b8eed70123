// SPDX-License-Identifier: BSD-3-Clause
/** The results of one image: the picture with its nuclei, plots that are linked with it, and the files. */
import { LitElement, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { Problem, type Task, type Wish } from "../api.ts";
import { shared } from "../elements/base.ts";
import "../elements/small.ts";
import { trouble } from "../elements/small.ts";
import { entitle, go } from "../router.ts";
import { count, shortName } from "../words.ts";
import { beginning, keep, kept } from "./channels.ts";
import "./channels.ts";
import { card, chips, chooser, means } from "./cards.ts";
import type { Shown } from "./compose.ts";
import { filesPanel } from "./files.ts";
import { header } from "./header.ts";
import "./list.ts";
import {
  type Filters,
  type Measure,
  NO_FILTERS,
  Nuclei,
  type RangeFilter,
  type Region,
  measures,
} from "./nuclei.ts";
import "./histogram.ts";
import { densityScale, legend, nowhere, readout, tools, waiting } from "./overlay.ts";
import "./scatter.ts";
import { type FileFacts, type Picture, Reader } from "./reader.ts";
import type { Outlines, SgSlide, Under } from "./slide.ts";
import "./slide.ts";
import { style } from "./style.ts";

type Tab = "nuclei" | "picture" | "files";
const TABS: readonly [Tab, string][] = [
  ["nuclei", "Nuclei"],
  ["picture", "Picture"],
  ["files", "Files"],
];

/** Attributes: `run`, `number` (of the image in the run, from 1), `base` (of the server; empty for this one). */
@customElement("sg-results")
export class SgResults extends LitElement {
  static override styles = [shared, style];

  @property() base = "";
  @property() run = "";
  @property({ type: Number }) number = 0;

  @state() private picture: Picture | null = null;
  @state() private waits: Wish | null = null;
  @state() private problem: Problem | null = null;
  @state() private lost: Problem | null = null;
  @state() private nuclei: Nuclei | null = null;
  @state() private noTable: string | null = null;
  @state() private files: FileFacts[] | null = null;
  @state() private around: Task[] = [];
  @state() private total = 0;

  @state() private shown: readonly Shown[] = [];
  @state() private outlines: Outlines = { visible: true, opacity: 0.9, colour: "#ffffff" };
  @state() private filters: Filters = NO_FILTERS;
  @state() private selected: Uint8Array | null = null;
  @state() private chosen = -1;
  @state() private under: Under | null = null;
  @state() private coarse = false;
  @state() private densest = 0;
  @state() private choosing = false;
  @state() private tab: Tab = "nuclei";
  @state() private across = "area_um2";
  @state() private plotX = "area_um2";
  @state() private plotY = "";
  @state() private logOne = false;
  @state() private logTwo = false;
  @state() private theme = "";
  @state() private arrived = 0;

  @query("sg-slide") slide!: SgSlide | null;
  #reader: Reader | null = null;
  #measures: Measure[] = [];
  #stop = new AbortController();
  #themes = [matchMedia("(prefers-color-scheme: dark)"), new MutationObserver(() => this.#themed())] as const;

  override connectedCallback(): void {
    super.connectedCallback();
    this.#themes[0].addEventListener("change", this.#themed);
    this.#themes[1].observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    if (this.hasUpdated) void this.#load();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#themes[0].removeEventListener("change", this.#themed);
    this.#themes[1].disconnect();
    this.#stop.abort();
  }

  readonly #themed = (): void => {
    this.theme = `${document.documentElement.dataset["theme"] ?? ""} ${this.#themes[0].matches}`;
  };

  override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has("run") || changed.has("number") || changed.has("base")) void this.#load();
  }

  // --- reading

  async #load(): Promise<void> {
    this.#stop.abort();
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    this.picture =
      this.waits =
      this.problem =
      this.lost =
      this.nuclei =
      this.noTable =
      this.files =
      this.selected =
        null;
    this.filters = NO_FILTERS;
    this.chosen = -1;
    this.under = null;
    if (!this.run || !(this.number > 0)) return;
    const reader = new Reader(this.base, this.run, this.number);
    this.#reader = reader;
    void this.#readAround(signal);
    const table = this.#readTable(reader, signal);
    void this.#readFiles(reader, signal);
    try {
      const picture = await reader.picture((wish) => (this.waits = wish), signal);
      if (signal.aborted) return;
      this.shown = kept(this.run, picture) ?? beginning(picture.channels);
      this.picture = picture;
      entitle(this, shortName(picture.name));
    } catch (thrown) {
      if (!signal.aborted) this.problem = Problem.from(thrown);
    }
    await table;
    this.#choose();
  }

  async #readTable(reader: Reader, signal: AbortSignal): Promise<void> {
    try {
      const nuclei = new Nuclei(await reader.table(signal), reader, signal);
      await Promise.all(["id", "x_px", "y_px"].map((name) => nuclei.column(name)));
      if (!signal.aborted) this.nuclei = nuclei;
    } catch (thrown) {
      if (!signal.aborted) this.noTable = Problem.from(thrown).message;
    }
  }

  async #readFiles(reader: Reader, signal: AbortSignal): Promise<void> {
    try {
      this.files = await reader.files(signal);
    } catch {
      if (!signal.aborted) this.files = [];
    }
  }

  async #readAround(signal: AbortSignal): Promise<void> {
    try {
      const api = this.#reader!.api;
      const [page, run] = await Promise.all([
        api.tasks(this.run, { after: Math.max(0, this.number - 2), limit: 3 }, signal),
        api.run(this.run),
      ]);
      if (signal.aborted) return;
      this.around = page.items;
      this.total = run.tasks;
    } catch {
      this.around = []; // the way to the neighbours is missing, nothing else
    }
  }

  /** What is plotted at first: area, and the first marker over it. */
  #choose(): void {
    const { nuclei, picture } = this;
    if (!nuclei) return;
    this.#measures = measures(nuclei.table, picture?.channels.map((channel) => channel.name) ?? []);
    const has = (name: string): boolean => this.#measures.some((one) => one.name === name);
    const first = this.#measures[0]?.name ?? "";
    if (!has(this.across)) this.across = first;
    if (!has(this.plotX)) this.plotX = first;
    if (!has(this.plotY)) this.plotY = ["c1_mean", "c0_mean", "eccentricity"].find(has) ?? first;
    for (const name of new Set([...this.#chosenMeasures().map((one) => one.name)])) this.#need(name);
    this.requestUpdate();
  }

  #need(name: string): void {
    this.nuclei?.column(name).then(
      () => (this.arrived += 1),
      (thrown: unknown) => {
        if (!this.#stop.signal.aborted) this.lost = Problem.from(thrown);
      },
    );
  }

  // --- choosing

  #filter(part: Partial<Filters>): void {
    this.filters = { ...this.filters, ...part };
    this.selected = this.nuclei?.select(this.filters) ?? null;
  }

  #choosen(row: number, zoom: boolean): void {
    this.chosen = row;
    const xs = this.nuclei?.at("x_px");
    const ys = this.nuclei?.at("y_px");
    if (row < 0 || !xs || !ys) return;
    if (zoom) this.slide?.zoomTo(xs[row]!, ys[row]!);
    for (const measure of this.#card()) this.#need(measure.name);
  }

  #measure(name: string): Measure | null {
    return this.#measures.find((one) => one.name === name) ?? null;
  }

  #chosenMeasures(): Measure[] {
    const names = [...new Set([this.across, this.plotX, this.plotY])];
    return names.map((name) => this.#measure(name)).filter((one) => one !== null);
  }

  /** The measures that a single nucleus is described by. */
  #card(): Measure[] {
    const plain = this.#measures.filter((one) =>
      /^(area_um2|eccentricity|c\d+_mean|x_um|y_um)$/.test(one.name),
    );
    const order = [...plain, ...this.#chosenMeasures()];
    return order.filter((one, at) => order.findIndex((other) => other.name === one.name) === at);
  }

  // --- showing

  override render(): TemplateResult {
    if (this.problem?.status === 404) return nowhere(this.problem, this.run);
    return html`${this.#top()}
      <div class="both">
        <div class="stage">${this.#stage()}</div>
        <aside aria-label="Nuclei, picture and files">
          <div role="tablist" aria-label="What is shown here">
            ${TABS.map(([tab, words]) => this.#tab(tab, words))}
          </div>
          <div role="tabpanel" id="panel" aria-labelledby="tab-${this.tab}" tabindex="0">
            ${this.#panel()}
          </div>
        </aside>
      </div>`;
  }

  #top(): TemplateResult {
    const file = this.#report();
    const report = file && this.#reader ? this.#reader.fileUrl(file.name, true) : null;
    const { run, number, total, around, picture } = this;
    return header({
      run,
      number,
      total,
      around,
      picture,
      report,
      go: (event, path) => this.#go(event, path),
    });
  }

  #report(): FileFacts | undefined {
    return this.files?.find((file) => file.role === "report" && file.type === "text/html");
  }

  #go(event: MouseEvent, path: string): void {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    go(this, path);
  }

  #stage(): TemplateResult {
    if (this.problem)
      return html`<div class="waits"><div>${trouble(this.problem, () => void this.#load())}</div></div>`;
    if (!this.picture) return waiting(this.waits);
    return html`<sg-slide
        .reader=${this.#reader}
        .picture=${this.picture}
        .nuclei=${this.nuclei}
        .shown=${this.shown}
        .outlines=${this.outlines}
        .selected=${this.selected}
        .region=${this.filters.region}
        .chosen=${this.chosen}
        .choosing=${this.choosing}
        @sg-under=${(event: CustomEvent<Under | null>) => (this.under = event.detail)}
        @sg-pick=${(event: CustomEvent<number>) => this.#choosen(event.detail, false)}
        @sg-region=${(event: CustomEvent<Region>) => this.#regioned(event.detail)}
        @sg-view=${(event: CustomEvent<{ coarse: boolean }>) => (this.coarse = event.detail.coarse)}
        @sg-density=${(event: CustomEvent<number>) => (this.densest = event.detail)}
        @sg-lost=${(event: CustomEvent<unknown>) => this.#lose(event.detail)}
      ></sg-slide>
      ${legend(
        this.picture,
        this.shown,
        this.picture.labels || this.nuclei ? this.outlines : null,
        (all) => this.#show(all),
        (one) => (this.outlines = one),
      )}${tools(() => this.slide, this.choosing, this.nuclei ? () => (this.choosing = !this.choosing) : null)}${readout(this.under, this.picture, this.shown, this.nuclei)}${this.coarse && this.densest && this.outlines.visible ? densityScale(this.picture, this.densest) : nothing}
      ${this.lost ? html`<div class="lost">${trouble(this.lost, () => this.#again())}</div>` : nothing}`;
  }

  #lose(thrown: unknown): void {
    const problem = Problem.from(thrown);
    if (problem.code === "picture-not-at-hand") void this.#load();
    else this.lost = problem;
  }

  #again(): void {
    this.lost = null;
    this.slide?.again();
  }

  #regioned(region: Region): void {
    this.choosing = false;
    this.tab = "nuclei";
    this.#filter({ region });
  }

  #tab(tab: Tab, words: string): TemplateResult {
    const move = (event: KeyboardEvent): void => {
      const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
      if (!step) return;
      const at = (TABS.findIndex(([name]) => name === tab) + step + TABS.length) % TABS.length;
      this.tab = TABS[at]![0];
      void this.updateComplete.then(() =>
        this.renderRoot.querySelector<HTMLElement>(`#tab-${this.tab}`)?.focus(),
      );
    };
    return html`<button
      role="tab"
      id="tab-${tab}"
      aria-controls="panel"
      aria-selected=${this.tab === tab ? "true" : "false"}
      tabindex=${this.tab === tab ? "0" : "-1"}
      @click=${() => (this.tab = tab)}
      @keydown=${move}
    >
      ${words}
    </button>`;
  }

  #panel(): TemplateResult {
    if (this.tab === "files") return filesPanel(this.files, this.#reader, this.#report());
    if (this.tab === "nuclei") return this.#nucleiPanel();
    if (!this.picture) return html`<p class="muted">The picture is not here yet.</p>`;
    return html`<sg-channels
        .channels=${this.picture.channels}
        .shown=${this.shown}
        .outlines=${this.picture.labels || this.nuclei ? this.outlines : null}
        @sg-shown=${(event: CustomEvent<Shown[]>) => this.#show(event.detail)}
        @sg-outlines=${(event: CustomEvent<Outlines>) => (this.outlines = event.detail)}
      ></sg-channels>
      ${this.picture.labels_problem ? html`<p class="hint">There are no outlines: ${this.picture.labels_problem}</p>` : nothing}`;
  }

  #show(shown: readonly Shown[]): void {
    this.shown = shown;
    keep(this.run, this.picture!, shown);
  }

  #nucleiPanel(): TemplateResult {
    const { nuclei } = this;
    if (this.noTable) return html`<p class="muted">${this.noTable}</p>`;
    if (!nuclei) return html`<p class="muted" role="status">Reading the table …</p>`;
    const some = this.selected ? this.selected.reduce((sum, one) => sum + one, 0) : 0;
    const share = this.selected && nuclei.rows ? (100 * some) / nuclei.rows : 0;
    return html` <div class="count" role="status">
        ${
          this.selected
            ? html`<b>${count(some)}</b>
                <span class="muted"
                  >of ${count(nuclei.rows)} nuclei selected
                  (${share < 0.1 && some ? "< 0.1" : share.toFixed(1)} %)</span
                >`
            : html`<b>${count(nuclei.rows)}</b> <span class="muted">nuclei found</span>`
        }
      </div>
      ${chips(
        this.filters,
        this.picture?.pixel_size_um ?? null,
        (name) => this.#measure(name),
        (part) => this.#filter(part),
      )}${means(nuclei, this.#chosenMeasures(), this.selected)}
      ${
        this.chosen >= 0
          ? card(
              nuclei,
              this.chosen,
              this.#card(),
              () => this.#choosen(this.chosen, true),
              () => (this.chosen = -1),
            )
          : nothing
      }
      ${this.#plots()}
      <section>
        <h3>${this.selected ? "Selected nuclei" : "All nuclei"}</h3>
        <sg-nuclei-list
          .nuclei=${nuclei}
          .selected=${this.selected}
          .measures=${this.#chosenMeasures()}
          .chosen=${this.chosen}
          .file=${`${shortName(this.picture?.name ?? "nuclei").replace(/\.[a-z.]+$/i, "")}-nuclei`}
          .arrived=${this.arrived}
          @sg-pick=${(event: CustomEvent<number>) => this.#choosen(event.detail, true)}
        ></sg-nuclei-list>
      </section>`;
  }

  #plots(): TemplateResult {
    const nuclei = this.nuclei!;
    const histogram = this.filters.histogram?.column === this.across ? this.filters.histogram : null;
    const [a, b] = this.filters.scatter ?? [];
    const scatter =
      a && b && a.column === this.plotX && b.column === this.plotY ? this.filters.scatter : null;
    return html`<section>
        <div class="pick">
          <label class="sr" for="across">Histogram of</label>${chooser(
            "across",
            this.across,
            this.#measures,
            (name) => {
              this.across = name;
              this.#need(name);
            },
          )}
          <label class="log"
            ><input
              type="checkbox"
              .checked=${this.logOne}
              @change=${(event: Event) => (this.logOne = (event.target as HTMLInputElement).checked)}
            />log scale</label
          >
        </div>
        <sg-histogram
          .measure=${this.#measure(this.across)}
          .values=${nuclei.at(this.across) ?? null}
          .selected=${this.selected}
          .filter=${histogram}
          .log=${this.logOne}
          .theme=${this.theme}
          @sg-range=${(event: CustomEvent<RangeFilter | null>) => this.#filter({ histogram: event.detail })}
        ></sg-histogram>
      </section>
      <section>
        <div class="pick">
          <label class="axis" for="up">Up</label>${chooser("up", this.plotY, this.#measures, (name) => {
            this.plotY = name;
            this.#need(name);
          })}
          <label class="log"
            ><input
              type="checkbox"
              .checked=${this.logTwo}
              @change=${(event: Event) => (this.logTwo = (event.target as HTMLInputElement).checked)}
            />log scale</label
          >
        </div>
        <div class="pick">
          <label class="axis" for="over">Across</label>${chooser(
            "over",
            this.plotX,
            this.#measures,
            (name) => {
              this.plotX = name;
              this.#need(name);
            },
          )}
        </div>
        <sg-scatter
          .across=${this.#measure(this.plotX)}
          .up=${this.#measure(this.plotY)}
          .xs=${nuclei.at(this.plotX) ?? null}
          .ys=${nuclei.at(this.plotY) ?? null}
          .selected=${this.selected}
          .filter=${scatter}
          .chosen=${this.chosen}
          .log=${this.logTwo}
          .theme=${this.theme}
          @sg-ranges=${(event: CustomEvent<[RangeFilter, RangeFilter] | null>) => this.#filter({ scatter: event.detail })}
        ></sg-scatter>
      </section>`;
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "sg-results": SgResults;
  }
}
