// SPDX-License-Identifier: BSD-3-Clause
/** What is to be done: a workflow, where it runs, its settings, and where these came from. */
import type { ReactiveControllerHost } from "lit";
import type { Api, Parameters, Site, Workflow } from "../api.ts";
import { newestBy } from "./offers.ts";

/** Draws its element when it changes. */
export class Choice {
  /** What sites offer; null before it is known. */
  flows: Workflow[] | null = null;
  sites: Site[] = [];
  name = "";
  site = "";
  values: Parameters = {};
  /** Regions that people drew on the images are used. */
  regions = true;
  /** What is wrong in the form, by name of the setting; and what the server did not take. */
  faults: Record<string, string> = {};
  refused: Record<string, string> = {};
  filled: "" | "last" | "run" = "";
  /** What was used last is looked up: the settings may be shown from now on, and nothing else is filled in. */
  settled = false;

  constructor(
    private readonly host: ReactiveControllerHost,
    private readonly api: () => Api,
  ) {}

  /** Ask what can be done, and where. Throws Problem. */
  async begin(): Promise<void> {
    [this.flows, this.sites] = await Promise.all([this.api().workflows(), this.api().sites()]);
    this.host.requestUpdate();
  }

  /** The newest version of each workflow, wherever it is offered. */
  get offered(): Workflow[] {
    return newestBy(this.flows ?? [], (flow) => flow.name).sort((a, b) => a.title.localeCompare(b.title));
  }

  /** The newest version of the chosen workflow at each site. */
  get there(): Workflow[] {
    return newestBy(
      (this.flows ?? []).filter((flow) => flow.name === this.name),
      (flow) => flow.site,
    );
  }

  /** What would run. */
  get workflow(): Workflow | null {
    return this.there.find((flow) => flow.site === this.site) ?? null;
  }

  get place(): Site | undefined {
    return this.sites.find((each) => each.site === this.site);
  }

  titleOf(site: string): string {
    const known = this.sites.find((each) => each.site === site)?.title;
    return known || (site === "local" ? "This computer" : site);
  }

  /** Choose a workflow, with the settings that this person used last. */
  async choose(name: string): Promise<void> {
    this.name = name;
    this.settled = false;
    this.runAt("");
    this.defaults();
    const used = await this.api()
      .lastUsed(name)
      .catch(() => null); // the defaults do
    if (this.name !== name || this.settled) return;
    this.settled = true;
    if (used?.site) this.runAt(used.site);
    this.#take(used?.parameters ?? null, "last");
  }

  /** Take the workflow and the settings of a Run. */
  like(run: { workflow: string; site: string; parameters: Parameters }): void {
    this.name = run.workflow;
    this.settled = true;
    this.runAt(run.site);
    this.defaults();
    this.#take(run.parameters, "run");
  }

  /** Choose where it runs: where it cannot, another place is found. */
  runAt(site: string): void {
    const there = this.there;
    const at = (id: string): Workflow | undefined => there.find((flow) => flow.site === id);
    this.site = (at(site) ?? at("local") ?? there[0])?.site ?? "";
    this.host.requestUpdate();
  }

  defaults(): void {
    const all = Object.entries(this.workflow?.schema.properties ?? {});
    this.values = Object.fromEntries(
      all.filter(([, of]) => of.default !== undefined).map(([name, of]) => [name, of.default!]),
    );
    this.regions = true;
    this.faults = {};
    this.refused = {};
    this.filled = "";
    this.host.requestUpdate();
  }

  /** Take what the form holds: the values that it was given, or others that somebody wrote. */
  input(values: Parameters, faults: Record<string, string>): void {
    this.values = values;
    this.faults = faults;
    this.host.requestUpdate();
  }

  /** Use regions that people drew on the images, or not. */
  useRegions(use: boolean): void {
    this.regions = use;
    this.host.requestUpdate();
  }

  refuse(errors: readonly { name: string; message: string }[]): void {
    this.refused = Object.fromEntries(errors.map((each) => [each.name, each.message]));
    this.host.requestUpdate();
  }

  #take(parameters: Parameters | null, filled: "last" | "run"): void {
    const known = this.workflow?.schema.properties ?? {};
    const taken = Object.entries(parameters ?? {}).filter(([name, given]) => name in known && given !== null);
    if (!taken.every(([name, given]) => known[name]?.default === given)) {
      this.values = { ...this.values, ...Object.fromEntries(taken) };
      this.filled = filled;
    }
    this.host.requestUpdate();
  }
}
