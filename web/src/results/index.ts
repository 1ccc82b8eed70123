// SPDX-License-Identifier: BSD-3-Clause
/** The results of one image: the picture with its nuclei, plots that are linked with it, and the files. */
import { LitElement, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { Problem, type Task, type Wish } from "../api.ts";
import { shared } from "../elements/base.ts";
import { icon } from "../elements/icon.ts";
import "../elements/small.ts";
import { trouble } from "../elements/small.ts";
import { go, paths } from "../router.ts";
import { count, shortName } from "../words.ts";
import { beginning, keep, kept } from "./channels.ts";
import "./channels.ts";
import { RAMP, type Shown } from "./compose.ts";
import { filesPanel } from "./files.ts";
import "./list.ts";
import {
  type Filters,
  type Measure,
  NO_FILTERS,
  Nuclei,
  type RangeFilter,
  type Region,
  mean,
  measures,
  shown,
  titled,
} from "./nuclei.ts";
import "./plots.ts";
import { type FileFacts, type Picture, Reader } from "./reader.ts";
import { type Outlines, type SgSlide, type Under, SELECTED } from "./slide.ts";
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
      this.dispatchEvent(
        new CustomEvent("sg-title", {
          detail: { title: shortName(picture.name) },
          bubbles: true,
          composed: true,
        }),
      );
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
    return html`${this.#header()}
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

  #header(): TemplateResult {
    const { picture } = this;
    const side = (pixels: number): string =>
      picture?.pixel_size_um ? `${((pixels * picture.pixel_size_um) / 1000).toFixed(2)}` : count(pixels);
    const unit = picture?.pixel_size_um ? "mm" : "px";
    const name = picture
      ? shortName(picture.name)
      : (this.around.find((task) => task.number === this.number)?.name ?? `Image ${this.number}`);
    const report = this.#report();
    return html`<header>
      <div class="names">
        <a
          class="back"
          href=${paths.run(this.run)}
          @click=${(event: MouseEvent) => this.#go(event, paths.run(this.run))}
          >${icon("left", 16)} The run</a
        >
        <h1>${shortName(name)}</h1>
        ${picture ? html`<span class="facts">${side(picture.shape[2])} × ${side(picture.shape[1])} ${unit}${picture.pixel_size_um ? ` · ${picture.pixel_size_um} µm per pixel` : ""}</span>` : nothing}
      </div>
      ${report ? html`<a class="button quiet" href=${this.#reader!.fileUrl(report.name, true)} target="_blank" rel="noopener">${icon("log", 16)} Report</a>` : nothing}
      ${
        this.total > 1
          ? html`<nav class="steps" aria-label="Images of this run">
              ${this.#step(this.number - 1, "Previous image", "left")}<span
                >Image ${count(this.number)} of ${count(this.total)}</span
              >${this.#step(this.number + 1, "Next image", "right")}
            </nav>`
          : nothing
      }
    </header>`;
  }

  #report(): FileFacts | undefined {
    return this.files?.find((file) => file.role === "report" && file.type === "text/html");
  }

  #step(number: number, words: string, sign: "left" | "right"): TemplateResult {
    const there = this.around.find((task) => task.number === number)?.published === true;
    const path = paths.results(this.run, number);
    return html`<a
      class="button"
      aria-label=${words}
      aria-disabled=${there ? "false" : "true"}
      href=${there ? path : nothing}
      role="link"
      @click=${(event: MouseEvent) => there && this.#go(event, path)}
      >${icon(sign, 16)}</a
    >`;
  }

  #go(event: MouseEvent, path: string): void {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    go(this, path);
  }

  #stage(): TemplateResult {
    if (this.problem)
      return html`<div class="waits"><div>${trouble(this.problem, () => void this.#load())}</div></div>`;
    if (!this.picture) return this.#waiting();
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
      ${this.#legend()}${this.#tools()}${this.#readout()}${this.#densityScale()}
      ${this.lost ? html`<div class="lost">${trouble(this.lost, () => this.#again())}</div>` : nothing}`;
  }

  #waiting(): TemplateResult {
    const wish = this.waits;
    const known = wish?.total ? (wish.done ?? 0) / wish.total : null;
    return html`<div class="waits" role="status">
      <p>${wish ? "The picture is being made ready." : "Reading …"}</p>
      ${
        wish
          ? html`<sg-progress .value=${known} label="Making the picture ready"></sg-progress>
              <p class="muted small">
                ${wish.trouble ?? wish.step ?? "It was not looked at for a while, so its pixels are fetched again."}
              </p>`
          : nothing
      }
    </div>`;
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

  #legend(): TemplateResult {
    return html`<div class="legend" role="group" aria-label="Channels shown">
      ${this.picture!.channels.map((channel, at) => {
        const one = this.shown[at]!;
        return html`<button
          aria-pressed=${one.visible ? "true" : "false"}
          title=${one.visible ? `Hide ${channel.name}` : `Show ${channel.name}`}
          @click=${() => this.#show(this.shown.map((other, i) => (i === at ? { ...other, visible: !other.visible } : other)))}
        >
          <svg class="dot" viewBox="0 0 12 12" aria-hidden="true">
            <circle
              cx="6"
              cy="6"
              r="5"
              fill=${one.visible ? one.colour : "none"}
              stroke=${one.colour}
              stroke-width="1.5"
            ></circle></svg
          ><span>${channel.name}</span>
        </button>`;
      })}
      ${
        this.picture!.labels || this.nuclei
          ? html`<button
              aria-pressed=${this.outlines.visible ? "true" : "false"}
              title=${this.outlines.visible ? "Hide what was found" : "Show what was found"}
              @click=${() => (this.outlines = { ...this.outlines, visible: !this.outlines.visible })}
            >
              <svg class="dot" viewBox="0 0 12 12" aria-hidden="true">
                <circle
                  cx="6"
                  cy="6"
                  r="4.5"
                  fill="none"
                  stroke=${this.outlines.colour}
                  stroke-width="2"
                  stroke-dasharray=${this.outlines.visible ? "none" : "2 2"}
                ></circle></svg
              ><span>Found nuclei</span>
            </button>`
          : nothing
      }
    </div>`;
  }

  #tools(): TemplateResult {
    return html`<div class="tools" role="toolbar" aria-label="Picture" aria-orientation="vertical">
      <button aria-label="Zoom in" title="Zoom in (+)" @click=${() => this.slide?.zoomBy(1.6)}>
        ${icon("plus", 18)}
      </button>
      <button aria-label="Zoom out" title="Zoom out (-)" @click=${() => this.slide?.zoomBy(1 / 1.6)}>
        <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true">
          <path d="M4 10h12" stroke="currentColor" stroke-width="1.75" stroke-linecap="round"></path>
        </svg>
      </button>
      <button
        aria-label="Show the whole image"
        title="Show the whole image (0)"
        @click=${() => this.slide?.fit()}
      >
        ${icon("image", 18)}
      </button>
      ${
        this.nuclei
          ? html`<button
              aria-label="Select nuclei in a rectangle"
              aria-pressed=${this.choosing ? "true" : "false"}
              title="Select nuclei in a rectangle: drag over the picture (or hold Shift and drag)"
              @click=${() => (this.choosing = !this.choosing)}
            >
              ${icon("region", 18)}
            </button>`
          : nothing
      }
    </div>`;
  }

  #readout(): TemplateResult {
    const under = this.under;
    if (!under)
      return html`<div class="readout faint">
        Point at the picture to read its values. Shift and drag selects a region.
      </div>`;
    const size = this.picture!.pixel_size_um;
    const place = size
      ? `x ${shown(under.x * size)} µm, y ${shown(under.y * size)} µm`
      : `x ${count(under.x)} px, y ${count(under.y)} px`;
    const side = 2 ** under.level;
    return html`<div class="readout">
      <div>
        <span class="faint">${place}</span
        >${under.id ? html` · <b>nucleus ${under.id}</b>${this.#underWords(under.row)}` : nothing}
      </div>
      <div class="values">
        ${under.values?.map((value, at) => html`<span><i .style=${`background:${this.shown[at]!.colour}`}></i>${this.picture!.channels[at]!.name} <b>${count(value)}</b></span>`)}
        ${under.level > 0 ? html`<span class="faint">mean of ${side} × ${side} px</span>` : html`<span class="faint">counts</span>`}
      </div>
    </div>`;
  }

  #underWords(row: number): string {
    const area = this.nuclei?.at("area_um2");
    return row >= 0 && area ? `, ${shown(area[row]!)} µm²` : "";
  }

  #densityScale(): TemplateResult | typeof nothing {
    if (!this.coarse || !this.densest || !this.outlines.visible) return nothing;
    const unit = this.picture!.pixel_size_um ? "per mm²" : "per megapixel";
    const stops = RAMP.map((colour, at) => `rgb(${colour.join(" ")}) ${(100 * at) / (RAMP.length - 1)}%`);
    return html`<div class="density">
      Nuclei ${unit}<i .style=${`background:linear-gradient(90deg, ${stops.join(",")})`}></i>
      <div><span>0</span><span>${shown(Number(this.densest.toPrecision(2)))}</span></div>
    </div>`;
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
      ${this.#chips()}${this.#means()} ${this.chosen >= 0 ? this.#one() : nothing} ${this.#plots()}
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

  #chips(): TemplateResult {
    const { histogram, scatter, region } = this.filters;
    if (!histogram && !scatter && !region)
      return html`<p class="hint">
        Drag over a plot, or hold Shift and drag over the picture, to select nuclei.
      </p>`;
    const chip = (words: string, part: Partial<Filters>): TemplateResult =>
      html`<button aria-label="Remove: ${words}" @click=${() => this.#filter(part)}>
        ${words} ${icon("cross", 12)}
      </button>`;
    const size = this.picture?.pixel_size_um;
    const side = (a: number, b: number): string => shown((b - a) * (size ?? 1));
    return html`<div class="chips">
      ${histogram ? chip(this.#rangeWords(histogram), { histogram: null }) : nothing}
      ${scatter ? chip(scatter.map((one) => this.#rangeWords(one)).join(", "), { scatter: null }) : nothing}
      ${region ? chip(`Region ${side(region.x0, region.x1)} × ${side(region.y0, region.y1)} ${size ? "µm" : "px"}`, { region: null }) : nothing}
      ${[histogram, scatter, region].filter(Boolean).length > 1 ? html`<button @click=${() => this.#filter(NO_FILTERS)}>Clear all</button>` : nothing}
    </div>`;
  }

  #rangeWords({ column, from, to }: RangeFilter): string {
    const measure = this.#measure(column);
    const name = measure?.label ?? column;
    const unit = measure?.unit ? ` ${measure.unit}` : "";
    if (from === Number.NEGATIVE_INFINITY)
      return to === Number.POSITIVE_INFINITY ? `any ${name}` : `${name} up to ${shown(to)}${unit}`;
    return to === Number.POSITIVE_INFINITY
      ? `${name} from ${shown(from)}${unit}`
      : `${name} ${shown(from)} to ${shown(to)}${unit}`;
  }

  /** What the selected nuclei are on average, beside all. */
  #means(): TemplateResult {
    const nuclei = this.nuclei!;
    return html`<table class="means">
      <caption class="sr">
        Means${this.selected ? " of the selected nuclei and of all" : ""}
      </caption>
      <thead>
        <tr>
          <th scope="col">On average</th>
          ${this.selected ? html`<th scope="col">selected</th>` : nothing}
          <th scope="col">all</th>
        </tr>
      </thead>
      <tbody>
        ${this.#chosenMeasures().map((measure) => {
          const values = nuclei.at(measure.name);
          const of = (which: Uint8Array | null): string => (values ? shown(mean(values, which).mean) : "…");
          return html`<tr>
            <th scope="row">${titled(measure)}</th>
            ${this.selected ? html`<td>${of(this.selected)}</td>` : nothing}
            <td>${of(null)}</td>
          </tr>`;
        })}
      </tbody>
    </table>`;
  }

  #one(): TemplateResult {
    const nuclei = this.nuclei!;
    return html`<div class="one">
      <div class="row">
        <h3>Nucleus ${nuclei.at("id")?.[this.chosen]}</h3>
        <span
          ><button class="quiet" @click=${() => this.#choosen(this.chosen, true)}>Show</button
          ><button class="quiet" aria-label="Let go of this nucleus" @click=${() => (this.chosen = -1)}>
            ${icon("cross", 16)}
          </button></span
        >
      </div>
      <dl>
        ${this.#card().map((measure) => {
          const value = nuclei.at(measure.name)?.[this.chosen];
          return html`<dt>${measure.label}</dt>
            <dd>${value === undefined ? "…" : `${shown(value)} ${measure.unit}`}</dd>`;
        })}
      </dl>
    </div>`;
  }

  #plots(): TemplateResult {
    const nuclei = this.nuclei!;
    const histogram = this.filters.histogram?.column === this.across ? this.filters.histogram : null;
    const [a, b] = this.filters.scatter ?? [];
    const scatter =
      a && b && a.column === this.plotX && b.column === this.plotY ? this.filters.scatter : null;
    return html`<section>
        <div class="pick">
          <label class="sr" for="across">Histogram of</label
          >${this.#select("across", this.across, (name) => (this.across = name))}
          <label class="log"
            ><input
              type="checkbox"
              .checked=${this.logOne}
              @change=${(event: Event) => (this.logOne = (event.target as HTMLInputElement).checked)}
            />log</label
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
          <label class="axis" for="up">Up</label
          >${this.#select("up", this.plotY, (name) => (this.plotY = name))}
          <label class="log"
            ><input
              type="checkbox"
              .checked=${this.logTwo}
              @change=${(event: Event) => (this.logTwo = (event.target as HTMLInputElement).checked)}
            />log</label
          >
        </div>
        <div class="pick">
          <label class="axis" for="over">Across</label
          >${this.#select("over", this.plotX, (name) => (this.plotX = name))}
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

  #select(id: string, value: string, set: (name: string) => void): TemplateResult {
    const groups = [...new Set(this.#measures.map((one) => one.group))];
    return html`<select
      id=${id}
      .value=${value}
      @change=${(event: Event) => {
        const name = (event.target as HTMLSelectElement).value;
        set(name);
        this.#need(name);
      }}
    >
      ${groups.map((group) => html`<optgroup label=${group}>${this.#measures.filter((one) => one.group === group).map((one) => html`<option value=${one.name} ?selected=${one.name === value}>${titled(one)}</option>`)}</optgroup>`)}
    </select>`;
  }
}

export { SELECTED };

declare global {
  interface HTMLElementTagNameMap {
    "sg-results": SgResults;
  }
}
