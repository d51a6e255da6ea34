import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { openBrowser } from '../browser.js';
import { withServer } from '../servers/needs.js';
import { startWorld, type World } from '../world.js';

/** What a newcomer does in the first minute, in a real browser. */
withServer('chromium', 'the playground in a browser', (executablePath) => {
  let world: World;
  let browser: Browser;
  let page: Page;
  const requests: string[] = [];
  const complaints: string[] = [];

  beforeAll(async () => {
    world = await startWorld({ SEED: 'demo' });
    browser = await openBrowser(executablePath);
    page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
    page.on('request', (request) => requests.push(request.url()));
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
  }, 120_000);

  afterAll(async () => {
    await browser?.close();
    await world?.close();
  }, 180_000);

  const run = () => page.click('.graphiql-execute-button');
  const tab = (name: string) => page.click(`.graphiql-tab-button:has-text("${name}")`);
  /** The answer that is shown, once it holds `text`. */
  const answer = async (text: string): Promise<string> => {
    await page.locator('.result-window', { hasText: text }).waitFor();
    return (await page.textContent('.result-window')) ?? '';
  };

  it('opens on the profile page, one click from its answer by three services', async () => {
    await page.goto(world.gateway.url);
    await page.waitForSelector('.graphiql-execute-button');
    expect(await page.locator('.graphiql-tab-button').allTextContents()).toEqual([
      'LogIn',
      'ProfilePage',
      'HomeTimeline',
      'Publish',
      'Follow',
    ]);
    await run();
    const shown = await answer('"followerCount"');
    expect(shown).toContain('"handle": "alice"');
    expect(shown).not.toContain('"errors"');
  }, 180_000);

  it('logs in as alice, and her token is in the headers of the other tabs', async () => {
    await tab('LogIn');
    await run();
    await answer('"token"');
    await page.waitForSelector('[data-session="alice"]');
    await tab('HomeTimeline');
    await run();
    const shown = await answer('"homeTimeline"');
    expect(shown).not.toContain('UNAUTHENTICATED');
    await page.click('button:has-text("Headers")');
    expect(await page.textContent('.graphiql-editor-tool')).toContain('Bearer ');
  }, 180_000);

  it('publishes and follows as alice', async () => {
    await tab('Publish');
    await run();
    expect(await answer('"publishPost"')).toContain('Hello from the playground');
    await tab('Follow');
    await run();
    expect(await answer('"follow"')).toContain('"viewerFollows": true');
  }, 180_000);

  it('a reload keeps who is logged in', async () => {
    await page.reload();
    await page.waitForSelector('[data-session="alice"]');
    await tab('HomeTimeline');
    await run();
    expect(await answer('"homeTimeline"')).not.toContain('UNAUTHENTICATED');
  }, 180_000);

  it('asked no other host for anything, and nothing was against its own rules', () => {
    const { host } = new URL(world.gateway.url);
    expect(requests.length).toBeGreaterThan(6);
    expect(requests.filter((url) => !url.startsWith('data:') && new URL(url).host !== host)).toEqual([]);
    expect(complaints).toEqual([]);
  });
});
