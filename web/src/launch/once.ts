// SPDX-License-Identifier: BSD-3-Clause
/**
 * One launch, one Run: what is launched keeps its key until it is known what became of it, also over a reload. A second
 * click, a repeated request and a page that was loaded anew thus ask for the same Run.
 */
import { Problem, type Api, type LaunchBody } from "../api.ts";
import { count, sentence } from "../words.ts";

export interface Launched {
  run: string;
  outcome: string;
}

/** How far a launch is: `part` from 0 to 1, null where nobody knows. */
export interface Launching {
  words: string;
  part: number | null;
}

const NAME = "slidegate-launching";
let held: { body: string; key: string } | null = null;

/** Ask for a Run and wait until there is one. Throws Problem. */
export async function launch(api: Api, body: LaunchBody, told: (now: Launching) => void): Promise<Launched> {
  told({ words: "Handing over…", part: null });
  try {
    const wish = await api.launch(body, keyFor(body));
    const answer = await api.granted<Launched>(wish.id, ({ trouble, step, done, total }) => {
      const words = sentence(trouble ?? step ?? "Waiting for its turn");
      if (total)
        told({ words: `${words}: ${count(done ?? 0)} of ${count(total)}`, part: (done ?? 0) / total });
      else told({ words: `${words}…`, part: null });
    });
    forgetKey();
    return answer;
  } catch (thrown) {
    const problem = Problem.from(thrown);
    if (problem.status !== 0) forgetKey();
    throw problem;
  }
}

/** The key for a request; the same for the same request, until `forgetKey`. */
function keyFor(body: LaunchBody): string {
  const text = JSON.stringify(body);
  if (!held) {
    try {
      held = JSON.parse(sessionStorage.getItem(NAME) ?? "null") as typeof held;
    } catch {
      held = null;
    }
  }
  if (held?.body !== text) {
    const random = crypto.getRandomValues(new Uint8Array(16)); // randomUUID is missing without https
    held = { body: text, key: Array.from(random, (each) => each.toString(16).padStart(2, "0")).join("") };
    try {
      sessionStorage.setItem(NAME, JSON.stringify(held));
    } catch {
      // holds for this page, then
    }
  }
  return held.key;
}

function forgetKey(): void {
  held = null;
  try {
    sessionStorage.removeItem(NAME);
  } catch {
    // nothing was kept
  }
}
