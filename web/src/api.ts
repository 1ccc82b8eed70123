// SPDX-License-Identifier: BSD-3-Clause
/** The API v1 as the pages use it: one class; `shapes.ts` says what it answers. */

import { Problem } from "./problem.ts";
import { proved, signedOut, type Proxy } from "./proxy.ts";
import type {
  Costs,
  Estimate,
  Grant,
  ImageFacts,
  ImageTask,
  LaunchBody,
  Listing,
  Note,
  Page,
  Parameters,
  Person,
  PreviewAnswer,
  PreviewBody,
  ProblemBody,
  ResultFile,
  Run,
  RunEvent,
  RunFilter,
  RunSummary,
  Selection,
  Session,
  Site,
  Task,
  Token,
  Units,
  Webhook,
  Wish,
  Workflow,
} from "./shapes.ts";

export { Problem } from "./problem.ts";
export type * from "./shapes.ts";

/** The event on `window` that says: the session has ended, sign in again. */
export const SIGNED_OUT = "sg-signed-out";

type Progress = (wish: Wish) => void;

const LOOK_MS = 3000;
const LOST_MS = 8000;

interface Ask {
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

const clients = new Map<string, Api>();

/** One server, reached at `base` ("" for the server that this page came from). */
export class Api {
  private csrf: string | null = null;
  private tags = new Map<string, { tag: string; value: unknown }>();
  private proxy: Proxy | null = null;
  /** Since when the server does not answer; null where it did when it was last asked. */
  private silent: number | null = null;

  private constructor(readonly base: string) {}

  /** The client of a server: elements with the same base share it, and so the session. */
  static at(base = ""): Api {
    const plain = base.replace(/\/+$/, "");
    let client = clients.get(plain);
    if (!client) clients.set(plain, (client = new Api(plain)));
    return client;
  }

  /**
   * Reach the server through an app of OMERO.web: that one knows who asks, and no stream is held open, because it
   * serves few requests at once.
   */
  through(proxy: Proxy): this {
    this.proxy = proxy;
    return this;
  }

  url(path: string, query: Record<string, string | number | boolean | undefined | null> = {}): string {
    const pairs = Object.entries(query).filter(
      ([, value]) => value !== undefined && value !== null && value !== "",
    );
    const text = pairs.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join("&");
    return `${this.base}/v1/${path}${text ? `?${text}` : ""}`;
  }

  /** One request. Throws Problem; answers as they came (also 202 and 304). */
  async fetch(method: string, url: string, ask: Ask = {}): Promise<Response> {
    const headers: Record<string, string> = { Accept: "application/json", ...ask.headers };
    if (ask.body !== undefined) headers["Content-Type"] = "application/json";
    if (this.proxy) Object.assign(headers, proved(this.proxy, method));
    else if (method !== "GET" && this.csrf) headers["X-CSRF-Token"] = this.csrf;
    let response: Response;
    try {
      response = await fetch(url, {
        method,
        headers,
        credentials: "same-origin",
        body: ask.body === undefined ? null : JSON.stringify(ask.body),
        signal: ask.signal ?? null,
      });
    } catch (thrown) {
      if (ask.signal?.aborted) throw thrown;
      this.silent ??= performance.now();
      throw new Problem(
        0,
        "no-answer",
        "The server does not answer.",
        "Nothing was lost. Check your network, and try again.",
      );
    }
    if (response.status < 502) this.silent = null;
    else this.silent ??= performance.now();
    const elsewhere = this.proxy !== null && response.redirected; // to the page where one signs in to OMERO.web
    if ((response.ok && !elsewhere) || response.status === 304) return response;
    const problem = elsewhere ? signedOut() : await this.problem(response);
    if (problem.status === 401 && !url.endsWith("/v1/session"))
      window.dispatchEvent(new CustomEvent(SIGNED_OUT));
    throw problem;
  }

  private async problem(response: Response): Promise<Problem> {
    let body: Partial<ProblemBody> & { message?: string } = {};
    try {
      body = (await response.json()) as typeof body;
    } catch {
      // a proxy's page: the status has to do
    }
    const wait = response.headers.get("Retry-After");
    let detail = typeof body.detail === "string" ? body.detail : "";
    if (response.status === 403 && this.proxy && body.message)
      detail = "This page is too old, or another person signed in meanwhile: load it again.";
    if (response.status === 429 && wait && !detail)
      detail = `Too many requests at once. Try again in ${wait} seconds.`;
    return new Problem(
      response.status,
      body.code ?? `http-${response.status}`,
      body.title ?? "The server could not do this.",
      detail,
      Array.isArray(body.errors) ? body.errors : [],
      body.request ?? response.headers.get("X-Request-ID"),
    );
  }

  async get<T>(
    path: string,
    query: Record<string, string | number | boolean | undefined | null> = {},
    signal?: AbortSignal,
  ): Promise<T> {
    const response = await this.fetch("GET", this.url(path, query), { signal });
    return (await response.json()) as T;
  }

  async send<T>(
    method: "POST" | "PATCH" | "DELETE",
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<T> {
    const response = await this.fetch(method, this.url(path), { body, headers });
    const text = await response.text();
    return (text ? JSON.parse(text) : null) as T;
  }

  /** The answer of something that the server may need a while for: at once, or when its wish is granted. */
  private async answer<T>(response: Response, on?: Progress, signal?: AbortSignal): Promise<T> {
    const body = (await response.json()) as T & { id?: string };
    if (response.status !== 202) return body;
    return this.granted<T>(body.id ?? "", on, signal);
  }

  /** Wait until a wish is granted. Throws Problem when it is refused. */
  async granted<T>(wish: string, on?: Progress, signal?: AbortSignal): Promise<T> {
    let pause = 200;
    for (;;) {
      let now: Wish<T> | null = null;
      try {
        now = await this.get<Wish<T>>(`wishes/${wish}`, {}, signal);
      } catch (thrown) {
        if (!(thrown instanceof Problem && thrown.passes)) throw thrown;
        pause = 2000;
      }
      if (now) {
        if (now.state === "granted") return now.answer as T;
        if (now.state === "refused") {
          const why = now.problem;
          throw new Problem(409, why?.code ?? "refused", "This could not be done.", why?.message ?? "");
        }
        on?.(now as Wish);
      }
      await pausing(pause, signal);
      pause = Math.min(1500, pause * 1.3);
    }
  }

  // --- who is here
  async session(): Promise<Session> {
    const session = await this.get<Session>("session");
    this.csrf = session.csrf;
    return session;
  }

  async signIn(person: string, password: string): Promise<Session> {
    const session = await this.send<Session>("POST", "session", { person, password });
    this.csrf = session.csrf;
    return session;
  }

  async signOut(): Promise<void> {
    await this.send("DELETE", "session");
    this.csrf = null;
  }

  /** One's own: this session becomes another, all others end. */
  async changePassword(current: string, next: string): Promise<Session> {
    const session = await this.send<Session>("POST", "session/password", { current, new: next });
    this.csrf = session.csrf;
    return session;
  }

  // --- what can be done, and where
  async workflows(): Promise<Workflow[]> {
    return (await this.get<{ items: Workflow[] }>("workflows")).items;
  }

  async sites(): Promise<Site[]> {
    return (await this.get<{ items: Site[] }>("sites")).items;
  }

  lastUsed(workflow: string): Promise<{ parameters: Parameters | null; site: string | null }> {
    return this.get("last-used", { workflow });
  }

  // --- images
  async browse(at: string, signal?: AbortSignal): Promise<Listing> {
    return this.answer(await this.fetch("GET", this.url("browse", { at }), { signal }), undefined, signal);
  }

  async describe(images: string[], on?: Progress, signal?: AbortSignal): Promise<ImageFacts[]> {
    const response = await this.fetch("POST", this.url("images/describe"), { body: { images }, signal });
    return (await this.answer<{ images: ImageFacts[] }>(response, on, signal)).images;
  }

  /** A picture of a whole image, its longer side about `side` pixels. */
  async thumbnail(image: string, side: 256 | 1024, signal?: AbortSignal): Promise<Blob> {
    const url = this.url("images/thumbnail", { image, side });
    const headers = { Accept: "image/jpeg, application/json" };
    let response = await this.fetch("GET", url, { signal, headers });
    if (response.status === 202) {
      await this.answer(response, undefined, signal);
      response = await this.fetch("GET", url, { signal, headers });
    }
    return response.blob();
  }

  // --- launching
  estimate(body: Omit<LaunchBody, "again">): Promise<Estimate> {
    return this.send("POST", "estimates", body);
  }

  launch(body: LaunchBody, key: string): Promise<Wish<{ run: string; outcome: string }>> {
    return this.send("POST", "launches", body, { "Idempotency-Key": key });
  }

  async launches(): Promise<Wish[]> {
    return (await this.get<{ items: Wish[] }>("launches")).items;
  }

  /** Run on a region; returns the wish (for its pictures) with its answer. */
  async preview(
    body: PreviewBody,
    on?: Progress,
    signal?: AbortSignal,
  ): Promise<{ wish: string; answer: PreviewAnswer }> {
    const response = await this.fetch("POST", this.url("previews"), { body, signal });
    const { id } = (await response.json()) as Wish;
    return { wish: id, answer: await this.granted<PreviewAnswer>(id, on, signal) };
  }

  previewPicture(wish: string, which: "picture" | "plain"): string {
    return this.url(`previews/${wish}/${which}`);
  }

  // --- runs
  runs(filter: RunFilter = {}, signal?: AbortSignal): Promise<Page<RunSummary>> {
    return this.get("runs", { ...filter }, signal);
  }

  /** A Run; the same object as before when nothing changed. */
  async run(run: string): Promise<Run> {
    const url = this.url(`runs/${run}`);
    const known = this.tags.get(url);
    const response = await this.fetch("GET", url, { headers: known ? { "If-None-Match": known.tag } : {} });
    if (response.status === 304 && known) return known.value as Run;
    const value = (await response.json()) as Run;
    const tag = response.headers.get("ETag");
    if (tag) this.tags.set(url, { tag, value });
    return value;
  }

  tasks(
    run: string,
    query: { state?: string; after?: number | string; limit?: number } = {},
    signal?: AbortSignal,
  ): Promise<Page<Task>> {
    return this.get(`runs/${run}/tasks`, query, signal);
  }

  events(run: string, after?: number | string, limit = 200): Promise<Page<RunEvent>> {
    return this.get(`runs/${run}/events`, { after, limit });
  }

  costs(run: string): Promise<Costs> {
    return this.get(`runs/${run}/costs`);
  }

  cancel(run: string): Promise<unknown> {
    return this.send("POST", `runs/${run}/cancel`);
  }

  retry(run: string): Promise<unknown> {
    return this.send("POST", `runs/${run}/retry`);
  }

  async remove(run: string, results: boolean): Promise<{ removed: string[] }> {
    const response = await this.fetch("DELETE", this.url(`runs/${run}`, { results }));
    return this.answer(response);
  }

  async log(run: string, number: number, signal?: AbortSignal): Promise<{ text: string; ended: boolean }> {
    return this.answer(
      await this.fetch("GET", this.url(`runs/${run}/tasks/${number}/log`), { signal }),
      undefined,
      signal,
    );
  }

  async units(run: string, number: number, signal?: AbortSignal): Promise<Units> {
    return this.answer(
      await this.fetch("GET", this.url(`runs/${run}/tasks/${number}/units`), { signal }),
      undefined,
      signal,
    );
  }

  async files(run: string, number: number): Promise<ResultFile[]> {
    return (await this.get<{ items: ResultFile[] }>(`runs/${run}/tasks/${number}/files`)).items;
  }

  file(run: string, number: number, name: string): string {
    return this.url(`runs/${run}/tasks/${number}/files/${name.split("/").map(encodeURIComponent).join("/")}`);
  }

  archive(run: string): string {
    return this.url(`runs/${run}/archive`);
  }

  /**
   * Hear of changes: server-sent events, and where these do not arrive, polling. `heard` gets the new summary of a
   * Run, or null: something may have changed, look. `lost` hears when only polling is left for more than a moment (the
   * server ends each stream now and then, and the browser opens the next one). Returns how to stop.
   */
  watch(
    what: { run: string } | { runs: true },
    heard: (run: RunSummary | null) => void,
    lost: (lost: boolean) => void = () => undefined,
  ): () => void {
    if (this.proxy) return this.look(() => heard(null), lost);
    const url = this.url("events", "run" in what ? { run: what.run } : { runs: 1 });
    let polling: ReturnType<typeof setInterval> | undefined;
    let source: EventSource | null = null;
    let again: ReturnType<typeof setTimeout> | undefined;
    let told: ReturnType<typeof setTimeout> | undefined;
    let stopped = false;
    let begun = false;
    /** A browser holds few connections to one server, over all tabs: one that nobody looks at needs none. */
    const seen = (): void => {
      clearTimeout(again);
      clearInterval(polling);
      clearTimeout(told);
      polling = told = undefined;
      source?.close();
      if (!document.hidden && !stopped) open();
    };
    const well = (): void => {
      clearInterval(polling);
      clearTimeout(told);
      polling = told = undefined;
      lost(false);
    };
    const open = (): void => {
      source = new EventSource(url, { withCredentials: true });
      source.onopen = () => {
        well();
        if (begun) heard(null);
        begun = true;
      };
      source.addEventListener("run", (event) =>
        heard(JSON.parse((event as MessageEvent<string>).data) as RunSummary),
      );
      source.addEventListener("gone", () => heard(null));
      source.onerror = () => {
        polling ??= setInterval(() => heard(null), LOOK_MS);
        told ??= setTimeout(() => lost(true), LOST_MS);
        if (source?.readyState === EventSource.CLOSED && !stopped) again = setTimeout(open, 10_000);
      };
    };
    document.addEventListener("visibilitychange", seen);
    if (!document.hidden) open();
    return () => {
      stopped = true;
      document.removeEventListener("visibilitychange", seen);
      clearInterval(polling);
      clearTimeout(told);
      clearTimeout(again);
      source?.close();
    };
  }

  /** Say every few seconds that something may have changed, as long as somebody looks at the page. */
  private look(heard: () => void, lost: (lost: boolean) => void): () => void {
    let timer: ReturnType<typeof setInterval> | undefined;
    const look = (): void => {
      heard();
      lost(this.silent !== null && performance.now() - this.silent > LOST_MS);
    };
    const seen = (): void => {
      clearInterval(timer);
      if (!document.hidden) timer = setInterval(look, LOOK_MS);
    };
    const again = (): void => {
      seen();
      if (!document.hidden) look();
    };
    document.addEventListener("visibilitychange", again);
    seen();
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", again);
    };
  }

  // --- OMERO
  /** The images of a selection, and what keeps some of them from being used. */
  async selection(url: string, signal?: AbortSignal): Promise<Selection> {
    return (await (await this.fetch("GET", url, { signal })).json()) as Selection;
  }

  /** What was done with images: their Tasks, newest first. */
  async imageTasks(images: string[], signal?: AbortSignal): Promise<ImageTask[]> {
    const query = images.map((image) => `image=${encodeURIComponent(image)}`).join("&");
    const response = await this.fetch("GET", `${this.url("images/tasks")}?${query}`, { signal });
    return ((await response.json()) as { items: ImageTask[] }).items;
  }

  /** What one has granted, and whether that is needed. */
  omeroGrant(): Promise<Grant> {
    return this.get("omero/grant");
  }

  /** Let slidegate open a session of one's own in OMERO. Throws Problem. */
  async grant(password: string): Promise<void> {
    await this.answer(await this.fetch("POST", this.url("omero/grant"), { body: { password } }));
  }

  async revoke(): Promise<void> {
    const response = await this.fetch("DELETE", this.url("omero/grant"));
    if (response.status !== 204) await this.answer(response);
  }

  // --- one's own account
  async tokens(): Promise<Token[]> {
    return (await this.get<{ items: Token[] }>("tokens")).items;
  }

  /** `days` null: it does not end by itself. */
  makeToken(name: string, days: number | null): Promise<{ token: string }> {
    return this.send("POST", "tokens", { name, days });
  }

  revokeToken(id: number): Promise<unknown> {
    return this.send("DELETE", `tokens/${id}`);
  }

  async webhooks(): Promise<Webhook[]> {
    return (await this.get<{ items: Webhook[] }>("webhooks")).items;
  }

  addWebhook(url: string): Promise<{ id: number; secret: string }> {
    return this.send("POST", "webhooks", { url });
  }

  removeWebhook(id: number): Promise<unknown> {
    return this.send("DELETE", `webhooks/${id}`);
  }

  // --- people, for administrators
  async people(): Promise<Person[]> {
    return (await this.get<{ items: Person[] }>("people")).items;
  }

  addPerson(person: { person: string; role: string; group: string; password?: string }): Promise<Person> {
    return this.send("POST", "people", person);
  }

  changePerson(
    person: string,
    change: Partial<{ role: string; group: string; active: boolean; password: string }>,
  ): Promise<Person> {
    return this.send("PATCH", `people/${encodeURIComponent(person)}`, change);
  }

  /** Who changed what, newest first. */
  record(person: string, before?: string | number): Promise<Page<Note>> {
    return this.get("audit", { person, before, limit: 50 });
  }
}

/** Wait; throws when the signal is given. */
export function pausing(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error);
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    });
  });
}
