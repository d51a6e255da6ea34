import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { Planner, PlanRequest } from '../../../gateway/plan/planner.js';
import { ROOT } from '../../../commands/root.js';

/**
 * Found with @graphql-hive/router-query-planner 0.0.38: some questions end the whole process (`panic in a function that
 * cannot unwind`). A second process is asked first, so that this one lives to tell.
 */
export class Probe {
  #child: ChildProcess | undefined;
  #loaded: string | undefined;
  #last: Promise<unknown> = Promise.resolve();
  /** Questions that ended the process. */
  readonly deadly: string[] = [];

  around(native: Planner, supergraph: string): Planner {
    return {
      ...native,
      plan: async (request) => {
        if (!(await this.#survives(supergraph, request))) {
          this.deadly.push(request.query);
          throw new Error('The native planner ended its process.');
        }
        return native.plan(request);
      },
    };
  }

  close(): void {
    this.#child?.kill();
    this.#child = undefined;
  }

  /** One question at a time. */
  #survives(supergraph: string, request: PlanRequest): Promise<boolean> {
    const asked = this.#last.then(() => this.#ask(supergraph, request));
    this.#last = asked;
    return asked;
  }

  #ask(supergraph: string, { query, labels, percent }: PlanRequest): Promise<boolean> {
    if (!this.#child) this.#loaded = undefined;
    // What it says when it dies is a page of addresses.
    const child = (this.#child ??= fork(join(ROOT, 'test/federation/generated/planner-probe.mjs'), {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      execArgv: [],
      env: {},
    }));
    return new Promise((resolve) => {
      const died = () => {
        this.#child = undefined;
        resolve(false);
      };
      child.once('exit', died);
      child.once('message', () => {
        child.off('exit', died);
        resolve(true);
      });
      child.send({ query, labels, percent, ...(this.#loaded !== supergraph && { supergraph }) });
      this.#loaded = supergraph;
    });
  }
}
